//go:build !noweb

package web

import (
	"fmt"
	"strconv"
	"strings"

	"spigate/cmd/internal/control"
	"spigate/configs"
)

func (p *site) portsPage() page {
	return page{path: "/ports", title: "Ports and switches", menu: "Router", template: "ports", refresh: 10, get: p.ports}
}

// ports is what the router has plugged in.
type ports struct {
	Status    control.Status
	Unhealthy string
	Version   control.Version
	VLANs     []control.VLAN
	Switches  []control.Switch
}

func (p *site) ports(r *request) (any, error) {
	st := r.backend.Status()
	return ports{st, st.Unhealthy(), r.backend.Version(), r.backend.VLANs(), r.backend.Switches()}, nil
}

func (p *site) configPage() page {
	return page{path: "/config", title: "Configuration", menu: "Configuration", template: "config", get: p.config, post: p.configDo}
}

// config is a configuration as it stands, without its secrets.
type config struct {
	control.ConfigText
	Lines     []string
	Pending   *control.Seconds // until what runs is rolled back unless it is confirmed
	History   []control.ConfigRevision
	Slot      string
	NoHistory string              // why there is none
	Against   string              // with which revision it is compared
	Diff      *control.ConfigDiff // nil: it is not
}

func (p *site) config(r *request) (any, error) {
	out := config{Slot: r.value("slot"), Against: r.value("against")}
	var err error
	if out.ConfigText, err = r.backend.ShowConfig(out.Slot); err != nil {
		return nil, err
	}
	out.Lines = lines(out.Text)
	// A router that runs on a file alone may have none: the text is there all the same.
	if out.History, err = r.backend.ConfigHistory(); err != nil {
		out.NoHistory = err.Error()
	}
	out.Pending = r.backend.Status().Confirm
	// It tells whether a secret is the same.
	if out.Against != "" && r.session.may(configs.WebAdmin) {
		diff, err := r.backend.DiffConfig(nil, out.Against)
		if err != nil {
			return nil, err
		}
		out.Diff = &diff
	}
	return out, nil
}

func lines(text string) []string { return strings.Split(strings.TrimSuffix(text, "\n"), "\n") }

// configDo confirms what runs, or goes back.
func (p *site) configDo(r *request) (outcome, error) {
	by := "web: " + r.session.user.name
	switch action := r.PostForm.Get("action"); action {
	case "confirm":
		if _, err := r.backend.ConfirmConfig(by); err != nil {
			return outcome{}, err
		}
		return outcome{to: "/config", notice: "Confirmed: what runs is the configuration for good."}, nil
	case "rollback":
		n, err := control.RollbackLast, error(nil)
		if text := r.value("number"); text != "" {
			if n, err = strconv.Atoi(text); err != nil || n < 0 {
				return outcome{}, &control.Error{Message: fmt.Sprintf("there is no revision %q", text), Code: control.CodeBadRequest}
			}
		}
		done, err := r.backend.RollbackConfig(n, by)
		if err != nil {
			return outcome{}, err
		}
		return outcome{to: "/config", notice: "Rolled back. " + appliedSays(&done)}, nil
	default:
		return outcome{}, unknownAction(action)
	}
}
