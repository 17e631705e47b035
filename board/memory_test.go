package board

import (
	"testing"

	"pgregory.net/rapid"
)

func TestFullTablesFitIntoAnyMemory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ram := rapid.Int64Range(1*miB, 64*giB).Draw(t, "ram")
		m, more := Budget(ram), Budget(ram+rapid.Int64Range(0, giB).Draw(t, "more"))
		if !m.Fits(1) {
			t.Errorf("%d bytes: tables of %d in a limit of %d", ram, m.Tables(1), m.Limit)
		}
		for _, n := range [][2]int{{m.Flows, more.Flows}, {m.LSNSessions, more.LSNSessions}, {m.IKESessions, more.IKESessions},
			{m.ESPSessions, more.ESPSessions}} {
			if n[0] < least || n[0] > n[1] {
				t.Errorf("%d bytes: %+v, and with more %+v", ram, m, more)
			}
		}
	})
}

// 128 MB as the kernel leaves them.
func TestASmallBoardHoldsAHundredThousandFlows(t *testing.T) {
	m := Budget(104 * miB)
	if m.Flows < 100000 || m.LSNSessions < 50000 || m.Connections < 10000 || m.IKESessions < 4000 || m.ESPSessions < 4000 {
		t.Errorf("%+v", m)
	}
	if m.Fits(2) {
		t.Error("tables of two traffic domains fit into the budget of one")
	}
}

func TestALargeMachineHasTheDefaults(t *testing.T) {
	want := plenty()
	want.Limit = 512 * miB
	if m := Budget(giB); m != want {
		t.Errorf("%+v, want %+v", m, want)
	}
	if m := Budget(0); m != plenty() {
		t.Errorf("%+v of a memory that is not known", m)
	}
}
