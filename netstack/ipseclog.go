package netstack

import (
	"fmt"
	"sync"
	"time"

	"spigate/netstack/frame"
	tunnels "spigate/netstack/ipsec"
)

// What the log is told of tunnels' packets. Anybody can cause it, so there are
// few lines, and the next one says how many were left out; the counters have
// all of it.

// tunnelLog bounds a Router's lines about tunnels, each kind for itself: a flood
// of one kind does not hide another.
type tunnelLog struct {
	ike       lineLimit // of peers that are configured
	strangers lineLimit // of others who speak IKE
	nobody    lineLimit // SPIs of nobody
	outside   lineLimit // what an SA was not made for
	inClear   lineLimit
}

const fewLines = 5

func newTunnelLog() *tunnelLog {
	few := func() lineLimit { return lineLimit{burst: fewLines, every: 10 * time.Second} }
	return &tunnelLog{ike: lineLimit{burst: 1000, every: 100 * time.Millisecond}, strangers: few(), nobody: few(), outside: few(), inClear: few()}
}

// lineLimit lets lines through: burst at once, and one more every so often.
type lineLimit struct {
	burst int
	every time.Duration

	mu   sync.Mutex
	full int64 // when burst lines may be written again, monotonic ns
	left int   // out, since the last line
}

// admit reports whether a line may be written now, and how many were left out
// before it.
func (l *lineLimit) admit(now int64) (ok bool, left int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	full := max(l.full, now)
	if full-now > int64(l.burst-1)*int64(l.every) {
		l.left++
		return false, 0
	}
	l.full, left, l.left = full+int64(l.every), l.left, 0
	return true, left
}

func hex(spi uint32) string { return fmt.Sprintf("%08x", spi) }

// warnOfTunnel writes a line, if l lets it through.
func (r *Router) warnOfTunnel(l *lineLimit, now int64, say string, attrs func() []any) {
	ok, left := l.admit(now)
	if !ok {
		return
	}
	args := r.events.where(attrs()...)
	if left > 0 {
		args = append(args, "left_out", left)
	}
	r.log.Warn(say, args...)
}

// logLostESP tells of ESP that was not let in: of an SPI of nobody, and of what
// was inside that the SA was not made for (VR32). outer is how the packet began.
func (r *Router) logLostESP(got *tunnels.Received, outer []byte, now int64) {
	from, to := frame.Addr(outer[12:16]), frame.Addr(outer[16:20])
	switch got.Verdict {
	case tunnels.NoSA:
		r.warnOfTunnel(&r.tunnelLog.nobody, now, "ESP with an SPI of nobody", func() []any {
			return []any{"spi", hex(got.SPI), "from", from.String(), "to", to.String(),
				"remedy", "a peer that sends so has not noticed that its SA ended here; unless it is passive, new ones are negotiated by themselves"}
		})
	case tunnels.SelectorReject, tunnels.Undecided:
		r.warnOfTunnel(&r.tunnelLog.outside, now, "ESP with a packet that its SA was not made for", func() []any {
			return append([]any{"spi", hex(got.SPI), "from", from.String(), "to", to.String()},
				append(flowArgs(got.Flow), "remedy", "make the selectors of both ends mirror each other; NAT at the other end belongs before its selectors")...)
		})
	}
}

// logInClear tells of a packet that should have come through a tunnel (VR32).
func (r *Router) logInClear(p *packet, selector string, f tunnels.Flow) {
	r.warnOfTunnel(&r.tunnelLog.inClear, p.now, "a packet came in clear that a traffic selector protects", func() []any {
		return append([]any{"selector", selector, "vlan", r.names[p.in]},
			append(flowArgs(f), "remedy", "let the other end send it through the tunnel, or put a selector of action bypass before this one")...)
	})
}

// flowArgs is a flow's 5-tuple; ports are left out where they are not known.
func flowArgs(f tunnels.Flow) []any {
	src, dst := f.Src.String(), f.Dst.String()
	if f.Ports {
		src, dst = frame.Endpoint{Addr: f.Src, Port: f.SrcPort}.String(), frame.Endpoint{Addr: f.Dst, Port: f.DstPort}.String()
	}
	return []any{"proto", f.Proto, "src", src, "dst", dst}
}
