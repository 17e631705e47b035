package configs

import (
	"math"
	"time"
)

// The ranges of the three timers, from section 1.1. NetScaler counts the two
// session timers in minutes and the gate in seconds, hence the units.
func sessionSpan() span {
	return span{60 * time.Minute, time.Minute, 1440 * time.Minute, time.Minute}
}

func gateSpan() span {
	return span{30 * time.Second, 3 * time.Second, 1200 * time.Second, time.Second}
}

// halfOpenSpan ends at ten minutes, so that a flood of IKE headers cannot pin
// its state for long (R40).
func halfOpenSpan() span {
	return span{30 * time.Second, 3 * time.Second, 600 * time.Second, time.Second}
}

func (r *reader) ipsecalg(root *table, w *raw) {
	alg := root.sub("ipsecalg")
	for _, t := range alg.named("profile", algName) {
		p := &ALGProfile{
			Name:               t.name(),
			IKESessionTimeout:  t.duration("ike_session_timeout", sessionSpan()),
			ESPSessionTimeout:  t.duration("esp_session_timeout", sessionSpan()),
			ESPGateTimeout:     t.duration("esp_gate_timeout", gateSpan()),
			IKEHalfOpenTimeout: t.duration("ike_half_open_timeout", halfOpenSpan()),
			ConnFailover:       t.flag("connfailover", true),
			BlockMode:          choose(t, "block_mode", BlockHold, blockModeWords()),
			LateBindingOut:     t.flag("late_binding_out", true),
			LateBindingIn:      t.flag("late_binding_in", false),
			IKEKeepWithESP:     t.flag("ike_keep_with_esp", false),
			SameClientParallel: t.flag("same_client_parallel", false),
			IKEPortPreserve:    t.flag("ike_port_preserve", false),
			IKECookieDemux:     t.flag("ike_cookie_demux", false),
			GateSeqMax:         uint32(t.whole("gate_seq_max", 1024, 0, math.MaxUint32)),
		}
		// On by default, so only somebody who asked for it is told.
		if p.ConnFailover && t.has("connfailover") {
			r.warn(t.at("connfailover"), "has no effect without a peer in [ha]")
		}
		// With port 500 in one client's hands, an answer there is that client's,
		// whatever cookie it has.
		if p.IKEPortPreserve && p.IKECookieDemux {
			r.fault(t.at("ike_cookie_demux"), "cannot be combined with ike_port_preserve: an answer to port 500 is for the client that kept it")
		}
		t.done()
		w.ALG = append(w.ALG, p)
	}
	alg.done()
}
