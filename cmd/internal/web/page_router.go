//go:build !noweb

package web

import (
	"strings"

	"spigate/cmd/internal/control"
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
	return page{path: "/config", title: "Configuration", menu: "Router", template: "config", get: p.config}
}

// config is a configuration as it stands, without its secrets.
type config struct {
	control.ConfigText
	Lines []string
}

func (p *site) config(r *request) (any, error) {
	text, err := r.backend.ShowConfig(r.value("slot"))
	if err != nil {
		return nil, err
	}
	return config{text, strings.Split(strings.TrimSuffix(text.Text, "\n"), "\n")}, nil
}
