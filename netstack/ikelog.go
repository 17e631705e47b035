package netstack

import (
	"context"
	"log/slog"
	"net/netip"

	ikev2 "spigate/netstack/ipsec/ike"
)

// logIKE writes what IKE says, with the keys local remote peer selector ike_sa
// spi_in spi_out reason remedy td. What is wrong comes with its remedy. What
// somebody caused who is no peer, and may be anybody, is bounded more tightly.
func (r *Router) logIKE(e ikev2.Event) {
	lines := &r.tunnelLog.ike
	if e.Peer == "" {
		lines = &r.tunnelLog.strangers
	}
	ok, left := lines.admit(e.At)
	if !ok {
		return
	}
	level := slog.LevelInfo
	switch e.Kind {
	case ikev2.IKEFailed, ikev2.ChildFailed, ikev2.PeerDead, ikev2.Ignored, ikev2.Refused, ikev2.IKEv1Refused:
		level = slog.LevelWarn
	}
	var attrs []slog.Attr
	for _, end := range []struct {
		key  string
		addr netip.AddrPort
	}{{"local", e.Local}, {"remote", e.Remote}} {
		if end.addr.IsValid() { // nobody has spoken yet, if the peer has to begin
			attrs = append(attrs, slog.String(end.key, end.addr.String()))
		}
	}
	text := func(key, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(key, value))
		}
	}
	text("peer", e.Peer)
	text("selector", e.Child)
	if e.IKE != 0 {
		attrs = append(attrs, slog.Uint64("ike_sa", e.IKE))
	}
	if e.In != 0 {
		text("spi_in", hex(e.In))
		text("spi_out", hex(e.Out))
	}
	text("reason", e.Reason)
	text("remedy", e.Remedy)
	if r.domain != 0 {
		attrs = append(attrs, slog.Uint64("td", uint64(r.domain)))
	}
	if left > 0 {
		attrs = append(attrs, slog.Int("left_out", left))
	}
	r.log.LogAttrs(context.Background(), level, e.Kind.String(), attrs...)
}
