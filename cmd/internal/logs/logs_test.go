package logs

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestALoggerFollowsWhatItsRootIsToldLater(t *testing.T) {
	var out bytes.Buffer
	root := New(&out, Options{})
	log := root.Logger().With("part", "router").WithGroup("link")
	log.Debug("unseen")
	log.Info("early", "port", "lan")
	if got := out.String(); !strings.Contains(got, "level=INFO msg=early part=router link.port=lan\n") || strings.Contains(got, "unseen") {
		t.Errorf("as text it is %q", got)
	}
	out.Reset()
	s := NewSyslog(SyslogConfig{Network: "udp", Facility: 3, App: "spigate", Host: "gw1"})
	root.Use(Options{JSON: true, Level: slog.LevelWarn}, s)
	log.Info("unseen")
	log.Warn("late\n", "port", "wan", "error", errors.New("no carrier"))
	var line struct {
		Level, Msg, Part string
		Link             struct{ Port, Error string }
	}
	if err := json.Unmarshal(out.Bytes(), &line); err != nil || line.Msg != "late\n" || line.Part != "router" || line.Link.Error != "no carrier" || line.Level != "WARN" {
		t.Errorf("as JSON it is %q, %v", out.String(), err)
	}
	if m, _ := s.next(time.Time{}); !strings.HasSuffix(string(m), ` - [spigate@32473 part="router" link.port="wan" link.error="no carrier"] late `) || !strings.HasPrefix(string(m), "<28>1 2") {
		t.Errorf("as syslog it is %q", m)
	}
	if s.n != 1 {
		t.Errorf("%d messages are queued", s.n)
	}
}

func TestAStormOfOneMessageIsToldAndThenCounted(t *testing.T) {
	var l limiter
	at := time.Unix(1000, 0)
	passed := 0
	for range 1000 {
		if pass, _ := l.ask("storm", at); pass {
			passed++
		}
	}
	if passed != limitBurst || l.suppressed.Load() != 900 {
		t.Errorf("%d passed, %d did not", passed, l.suppressed.Load())
	}
	if pass, _ := l.ask("another", at); !pass {
		t.Error("another message must wait for the storm")
	}
	if pass, missed := l.ask("storm", at.Add(limitInterval)); !pass || missed != 900 {
		t.Errorf("after it: %v, missed %d", pass, missed)
	}
	if pass, missed := l.ask("storm", at.Add(-time.Hour)); !pass || missed != 0 {
		t.Errorf("with a clock that was set back: %v, %d", pass, missed)
	}
	for i := range 10 * limitKeys {
		l.ask(strings.Repeat("x", i), at)
	}
	if len(l.keys) > limitKeys {
		t.Errorf("it knows %d messages", len(l.keys))
	}
}

func TestWhatWasSuppressedIsInTheNextRecord(t *testing.T) {
	var out bytes.Buffer
	h := New(&out, Options{}).Logger().Handler()
	at := time.Unix(1000, 0)
	for range limitBurst + 3 {
		h.Handle(t.Context(), slog.NewRecord(at, slog.LevelInfo, "storm", 0))
	}
	out.Reset()
	h.Handle(t.Context(), slog.NewRecord(at.Add(time.Minute), slog.LevelInfo, "storm", 0))
	if got := out.String(); !strings.Contains(got, "msg=storm suppressed=3") {
		t.Errorf("it is %q", got)
	}
}
