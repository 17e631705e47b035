package control

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func (b *fake) LSNLogStats() []LSNLogStat {
	return []LSNLogStat{{Name: "archive", Kind: "syslog", Up: true, Sent: 7}, {Name: "collector", Kind: "ipfix", Lost: 3}}
}

func (b *fake) LSNHelperStats() []LSNHelperStat {
	return []LSNHelperStat{{Name: "ftp", Counters: map[string]uint64{"watched": 4}}, {Name: "tftp", TD: 7}}
}

func TestCountersOfLogAndHelpersPassTheSocket(t *testing.T) {
	b := &fake{}
	c, _ := serve(t, b)
	logs, err := all(c.LSNLogStats(t.Context(), Filter{Name: "collector"}))
	if diff := cmp.Diff(b.LSNLogStats()[1:], logs); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
	if _, err := all(c.LSNLogStats(t.Context(), Filter{Name: "nobody"})); !IsNotFound(err) {
		t.Errorf("an unknown target: %v", err)
	}
	td := uint16(0)
	helpers, err := all(c.LSNHelperStats(t.Context(), Filter{TD: &td}))
	if diff := cmp.Diff(b.LSNHelperStats()[:1], helpers); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
}
