package netstack

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	tunnels "spigate/netstack/ipsec"
	ikev2 "spigate/netstack/ipsec/ike"
)

// What the log is told of tunnels. What anybody can cause is said a few times a
// second at most; the counters have all of it.

// logIKE writes what IKE says. What is wrong comes with its remedy.
func (r *Router) logIKE(e ikev2.Event) {
	level := slog.LevelInfo
	switch e.Kind {
	case ikev2.IKEFailed, ikev2.ChildFailed, ikev2.PeerDead, ikev2.Refused, ikev2.IKEv1Refused:
		level = slog.LevelWarn
	case ikev2.Ignored:
		level = slog.LevelDebug
	}
	attrs := []slog.Attr{slog.String("local", e.Local.String()), slog.String("remote", e.Remote.String())}
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
	r.log.LogAttrs(context.Background(), level, e.Kind.String(), attrs...)
}

func hex(spi uint32) string { return fmt.Sprintf("%08x", spi) }

// lostESPLog bounds the lines about ESP that was not let in.
type lostESPLog struct {
	mu    sync.Mutex
	since int64
	n     int
}

const lostESPLines = 5 // a second

func (l *lostESPLog) allow(now int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now-l.since >= int64(sweepEvery) {
		l.since, l.n = now, 0
	}
	l.n++
	return l.n <= lostESPLines
}

// logLostESP tells of ESP that was not let in: of an SPI of nobody, and of what
// was inside that the SA was not made for (VR32).
func (r *Router) logLostESP(got *tunnels.Received, outer []byte, now int64) {
	var say string
	switch got.Verdict {
	case tunnels.NoSA:
		say = "ESP with an SPI of nobody"
	case tunnels.SelectorReject, tunnels.Undecided:
		say = "ESP with a packet that its SA was not made for"
	default:
		return
	}
	if !r.lostESP.allow(now) {
		return
	}
	attrs := []any{"spi", hex(got.SPI), "from", fmt.Sprintf("%d.%d.%d.%d", outer[12], outer[13], outer[14], outer[15])}
	if got.SA != nil {
		attrs = append(attrs, "packet", got.Flow.String())
	}
	r.log.Warn(say, attrs...)
}
