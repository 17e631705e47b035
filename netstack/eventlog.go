package netstack

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"spigate/alg/ipsec"
	"spigate/netstack/lsn"
)

// eventsPerSecond bounds the ALG's log lines: an event is an IKE or ESP
// session that comes or goes, and a flood of forged ones must cost counters,
// not flash and CPU.
const eventsPerSecond = 100

// eventLog writes the ALG's events (R34) as log lines with the keys
// event src nat dst td spiin spiout cookie msgid reason. Each Router has its
// own: a flood in one traffic domain does not silence the others.
type eventLog struct {
	log    *slog.Logger
	domain uint16 // td, if not 0

	mu         sync.Mutex
	since      int64 // start of the running second, monotonic ns
	written    int
	suppressed int

	told map[string]bool // the 1:1 addresses there were when statics was called last; its own
}

func (l *eventLog) write(e *ipsec.Event) {
	ok, lost := l.admit(e.At)
	if lost > 0 {
		l.log.Warn("ipsecalg events left out", l.where("count", lost)...)
	}
	if !ok {
		return
	}
	args := l.where(
		"event", strings.ReplaceAll(e.What, " ", "_"),
		"src", e.Inside, "nat", e.NAT, "dst", e.Server,
	)
	if e.SPIIn != 0 || e.SPIOut != 0 {
		args = append(args, "spiin", ipsec.SPIText(e.SPIIn), "spiout", ipsec.SPIText(e.SPIOut))
	}
	if e.Cookie != 0 {
		args = append(args, "cookie", fmt.Sprintf("%016x", e.Cookie))
	}
	if e.MessageID != 0 {
		args = append(args, "msgid", fmt.Sprintf("%08x", e.MessageID))
	}
	if e.Reason != "" {
		args = append(args, "reason", e.Reason)
	}
	l.log.Info("ipsecalg", args...)
}

// where adds the traffic domain to args, unless it is the usual one.
func (l *eventLog) where(args ...any) []any {
	if l.domain == 0 {
		return args
	}
	return append(args, "td", l.domain)
}

// admit reports whether one more line may be written, and how many were left
// out in the second before.
func (l *eventLog) admit(now int64) (ok bool, lost int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now-l.since >= int64(sweepEvery) {
		l.since, l.written, lost, l.suppressed = now, 0, l.suppressed, 0
	}
	if l.written == eventsPerSecond {
		l.suppressed++
		return false, lost
	}
	l.written++
	return true, lost
}

// statics logs which NAT addresses are one subscriber's alone (R27), each when
// it comes: a reload that leaves it as it was is no news. Their ESP makes no
// sessions, and so no lines: these tell whose it is. One call at a time.
func (l *eventLog) statics(walk func(func(lsn.StaticInfo) bool)) {
	before := l.told
	l.told = map[string]bool{}
	walk(func(s lsn.StaticInfo) bool {
		if s.Proto == 0 && s.Outside.Port == 0 {
			key := fmt.Sprint(s.Name, " ", s.Inside.Addr, " ", s.Outside.Addr, " ", s.Remote)
			l.told[key] = true
			if !before[key] {
				l.static(&s)
			}
		}
		return true
	})
}

func (l *eventLog) static(s *lsn.StaticInfo) {
	args := []any{"event", "STATIC", "name", s.Name, "src", s.Inside.Addr, "nat", s.Outside.Addr}
	if !s.Remote.IsZero() {
		args = append(args, "dst", s.Remote)
	}
	l.log.Info("lsn", l.where(args...)...)
}
