package doctor

import (
	"fmt"
	"math"
	"time"

	"spigate/cmd/internal/control"
)

// tables looks at what has a limit in [limits]. Each traffic domain has tables
// of the full size; the fullest of them counts.
func (r *report) tables(b Router, st *control.Status, m *control.Metered) {
	r.begin(partTables, "")
	defer r.end()
	table := func(key string, n, of uint64) {
		share := percent(n, of)
		r.level(key, share, "raise "+key+" in [limits] if there is memory for it, or look for what fills it: spigate top", "%d of %d", n, of)
	}
	table("flows", st.Flows, st.FlowCapacity)
	var sessions, connections uint64
	for i := range m.NAT {
		var sum uint64
		for _, p := range m.NAT[i].Protocols {
			sum += p.Sessions
		}
		sessions, connections = max(sessions, sum), max(connections, m.NAT[i].Connections)
	}
	table("lsn_sessions", sessions, m.Limits.LSNSessions)
	table("connections", connections, m.Limits.Connections)
	if s, err := b.IPsecStat(""); err == nil {
		table("ike_sessions", s.IKESessions, m.Limits.IKESessions)
		table("esp_sessions", s.ESPSessions, m.Limits.ESPSessions)
	}
}

func (r *report) natLog(targets []control.LSNLogStat) {
	r.begin(partNATLog, "")
	defer r.end()
	for i := range targets {
		t := &targets[i]
		switch {
		case !t.Up && t.Sent+t.Failures+t.Lost > 0:
			r.fail(t.Name, "is the collector on, and does the host have a route to it? records wait, then the oldest are lost", "%s cannot be reached; %d records wait, %d are lost", t.Address, t.Queued, t.Lost)
		case t.Lost > 0:
			r.warn(t.Name, "make its queue longer, or the collector faster", "%d records are lost: they found the queue full", t.Lost)
		default:
			r.ok(t.Name, "%d records sent to %s", t.Sent, t.Address)
		}
	}
	if len(targets) == 0 {
		r.rows[r.part].Found = "there is no [log.nat]"
	}
}

func (r *report) flash(h *Host) {
	r.begin(partFlash, "")
	defer r.end()
	if h.Keeps != nil {
		r.fail("configuration", "until this is mended, config apply is refused; the router runs on", "%v", h.Keeps)
		return
	}
	r.ok("configuration", "kept in %s", h.KeptIn)
}

// clock looks at the wall clock: certificates, logs and --at go by it.
func (r *report) clock(h *Host) {
	r.begin(partClock, "")
	defer r.end()
	const set = "set it, and run a time service (ntpd, chrony, systemd-timesyncd): logs and certificates go by it"
	now := h.Now.UTC().Format(time.RFC3339)
	switch {
	case !h.Built.IsZero() && h.Now.Before(h.Built):
		r.fail("time", set, "it is %s here, and this program was built later", now)
	case h.Synced != nil && !*h.Synced:
		r.warn("time", "run a time service (ntpd, chrony, systemd-timesyncd)", "%s, and the kernel says that nobody keeps it", now)
	default:
		r.ok("time", "%s", now)
	}
}

func (r *report) configuration(st *control.Status, b Router) {
	r.begin(partConfig, "")
	defer r.end()
	if st.Confirm != nil {
		r.warn("confirm", "spigate config confirm keeps it; spigate config rollback ends the wait", "what runs is rolled back in %s unless it is confirmed", time.Duration(math.Ceil(float64(*st.Confirm)))*time.Second)
	} else {
		r.ok("confirm", "what runs is for good (%s)", st.Config)
	}
	history, err := b.ConfigHistory()
	if err != nil {
		return // a daemon that keeps none; flash has said so
	}
	for _, h := range history {
		switch h.State {
		case control.RevisionDamaged:
			r.warn(revision(&h), "nothing: it is passed over, and the next config apply replaces it", "a kept revision cannot be read: %s", h.Why)
		case control.RevisionCandidate:
			r.warn(revision(&h), "spigate config diff candidate shows it; mend it and apply it again", "what was applied last did not come to run")
		}
	}
}

func revision(h *control.ConfigRevision) string {
	switch {
	case h.Number != nil:
		return fmt.Sprintf("revision %d", *h.Number)
	case h.Sequence != nil:
		return fmt.Sprintf("sequence %d", *h.Sequence)
	}
	return "revision"
}

func (r *report) tunnels(peers []control.NetIPsecPeer) {
	r.begin(partTunnels, "")
	defer r.end()
	for i := range peers {
		p := &peers[i]
		failed := p.LastError != nil && !p.LastError.Over
		switch {
		case p.State == control.StateUp && !failed:
			r.ok(p.Name, "up")
		case p.State == control.StateDisabled || p.State == control.StateUnused:
			r.ok(p.Name, "%s", p.State)
		case failed:
			do := p.LastError.Remedy
			if do == "" {
				do = "spigate show net ipsec peer " + p.Name
			}
			r.fail(p.Name, do, "%s: %s", p.State, p.LastError.Reason)
		case p.State == control.StateNegotiating:
			r.warn(p.Name, "wait some seconds, then look again", "it is being negotiated")
		default:
			r.warn(p.Name, "it comes up with the first packet for it, or at once with: spigate initiate net ipsec selector NAME", "down, and nothing has failed")
		}
	}
	if len(peers) == 0 {
		r.rows[r.part].Found = "there is no IKE peer"
	}
}

func (r *report) switches(all []control.Switch) {
	r.begin(partSwitches, "")
	defer r.end()
	for i := range all {
		s := &all[i]
		switch {
		case s.State != control.SwitchKept:
			why := "it is not as the configuration says"
			if s.Error != nil {
				why = *s.Error
			}
			r.fail(s.Name, "its ports go on as they last were; is its driver the right one, and its bus free? spigate show switch "+s.Name, "%s", why)
		case s.Repairs > 0:
			r.warn(s.Name, "does something else change the chip? a brown-out resets it too", "as configured, but it had lost its VLANs, and was set again (%d so far)", s.Repairs)
		default:
			r.ok(s.Name, "%s, as configured", s.Chip)
		}
	}
	if len(all) == 0 {
		r.rows[r.part].Found = "there is no switch chip"
	}
}
