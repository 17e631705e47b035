package qca8ksim_test

import (
	"slices"
	"strings"
	"testing"

	"spigate/hw/qca8k/qca8ksim"
)

// write does a whole register by hand.
func write(t *testing.T, s *qca8ksim.Sim, addr, v uint32) {
	t.Helper()
	phy, reg := 0x10|int(addr>>6&7), int(addr>>1&0x1e)
	for _, err := range []error{s.Write(0x18, 0, uint16(addr>>9)), s.Write(phy, reg, uint16(v)), s.Write(phy, reg+1, uint16(v>>16))} {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func read(t *testing.T, s *qca8ksim.Sim, addr uint32) uint32 {
	t.Helper()
	phy, reg := 0x10|int(addr>>6&7), int(addr>>1&0x1e)
	if err := s.Write(0x18, 0, uint16(addr>>9)); err != nil {
		t.Fatal(err)
	}
	lo, err := s.Read(phy, reg)
	if err != nil {
		t.Fatal(err)
	}
	hi, err := s.Read(phy, reg+1)
	if err != nil {
		t.Fatal(err)
	}
	return uint32(hi)<<16 | uint32(lo)
}

func TestWhatARealChipDoesNotDefineIsAFault(t *testing.T) {
	for want, do := range map[string]func(s *qca8ksim.Sim){
		"high half without the low one": func(s *qca8ksim.Sim) { _ = s.Write(0x10, 1, 0) },
		"the low half alone":            func(s *qca8ksim.Sim) { _, _ = s.Write(0x10, 0, 0), s.Write(0x18, 0, 0) },
		"a read came before":            func(s *qca8ksim.Sim) { _ = s.Write(0x10, 4, 0); _, _ = s.Read(0x10, 4) },
		"high half without the low":     func(s *qca8ksim.Sim) { _, _ = s.Read(0x10, 1) },
		"there are 10 bits":             func(s *qca8ksim.Sim) { _ = s.Write(0x18, 0, 0x400) },
		"not the switch's":              func(s *qca8ksim.Sim) { _ = s.Write(3, 0, 0x8000) },
		"reserved":                      func(s *qca8ksim.Sim) { write(t, s, 0x620, 1<<31) },
		"there is nothing":              func(s *qca8ksim.Sim) { write(t, s, 0x500, 0) },
		"the chip hangs":                func(s *qca8ksim.Sim) { write(t, s, 0x078, 1600) },
		"while it is busy":              func(s *qca8ksim.Sim) { write(t, s, 0x614, 1<<31|3|20<<16); write(t, s, 0x614, 1<<31|3|21<<16) },
		"data is written while":         func(s *qca8ksim.Sim) { write(t, s, 0x614, 1<<31|3|20<<16); write(t, s, 0x610, 1<<20) },
		"data is read while":            func(s *qca8ksim.Sim) { write(t, s, 0x614, 1<<31|6|20<<16); read(t, s, 0x610) },
		"without its valid bit":         func(s *qca8ksim.Sim) { write(t, s, 0x614, 1<<31|2|20<<16) },
		"no such VLAN":                  func(s *qca8ksim.Sim) { write(t, s, 0x610, 1<<20); write(t, s, 0x614, 1<<31|2|4095<<16) },
		"there is no command":           func(s *qca8ksim.Sim) { write(t, s, 0x614, 1<<31|7) },
		"without the busy bit":          func(s *qca8ksim.Sim) { write(t, s, 0x614, 3) },
		"the module is off":             func(s *qca8ksim.Sim) { read(t, s, 0x1000) },
		"lost by it":                    func(s *qca8ksim.Sim) { write(t, s, 0x030, 1); read(t, s, 0x1000) },
		"to be forgotten":               func(s *qca8ksim.Sim) { write(t, s, 0x60c, 1<<31|5|2<<8) },
		"there are 0 to 31":             func(s *qca8ksim.Sim) { _, _ = s.Read(32, 0) },
	} {
		s := qca8ksim.New(qca8ksim.QCA8337)
		do(s)
		if faults := s.Faults(); !slices.ContainsFunc(faults, func(f string) bool { return strings.Contains(f, want) }) {
			t.Errorf("%q is not among the faults %q", want, faults)
		}
	}
}

func TestACommandEndsWhenItsBusyBitWasLookedAt(t *testing.T) {
	s := qca8ksim.New(qca8ksim.QCA8337)
	write(t, s, 0x610, 1<<20|1<<19|0x3fff<<4)
	write(t, s, 0x614, 1<<31|2|20<<16)
	if s.Row(20) != 0 {
		t.Error("the row is there before the command has ended")
	}
	looks := 0
	for ; read(t, s, 0x614)&(1<<31) != 0; looks++ {
		if looks > 10 {
			t.Fatal("busy for ever")
		}
	}
	if looks == 0 || s.Row(20) == 0 {
		t.Errorf("%d looks found it busy, the row is %#x", looks, s.Row(20))
	}
	if faults := s.Faults(); len(faults) != 0 {
		t.Error(faults)
	}
}

// TestAChipThatNobodyHasToldAnythingSendsEverythingEverywhere: the start from
// which a driver must get it.
func TestAChipThatNobodyHasToldAnythingSendsEverythingEverywhere(t *testing.T) {
	s := qca8ksim.New(qca8ksim.AR8327)
	s.Poke(0x624, 0x7f7f7f)
	if got := s.Forward(1, 0); len(got) != 6 {
		t.Errorf("%v", got)
	}
	if got := s.Forward(1, 7); len(got) != 6 || got[0].Tag != 7 {
		t.Errorf("%v", got)
	}
}

// TestTheModesOfAPort: which frames pass by port masks, rows and membership.
func TestTheModesOfAPort(t *testing.T) {
	const all = 0x7f &^ 2
	row := uint32(1<<20 | 0x3fff<<4&^(3<<4|3<<8)) // ports 0 and 2, as they came; not port 1
	for mode, want := range map[uint32]map[uint16]int{
		0: {20: 6, 30: 6}, // ports only
		1: {20: 2, 30: 6}, // rows that are there
		2: {20: 2, 30: 0}, // rows must be there
		3: {20: 0, 30: 0}, // and the port a member
	} {
		s := qca8ksim.New(qca8ksim.QCA8337)
		s.Poke(0x624, 0x7f7f7f)
		s.SetRow(20, row)
		s.Poke(0x660+12, 4<<16|mode<<8|all)
		for tag, n := range want {
			if got := s.Forward(1, tag); len(got) != n {
				t.Errorf("mode %d, VLAN %d: %v, not %d ports", mode, tag, got, n)
			}
		}
	}
}

func TestAPortThatIsOffOrWithoutACableOrWithoutAMACPassesNothing(t *testing.T) {
	for what, off := range map[string]func(s *qca8ksim.Sim){
		"state": func(s *qca8ksim.Sim) { s.Poke(0x660+12, 0x7d) },
		"cable": func(s *qca8ksim.Sim) { s.SetLink(1, false) },
		"mac":   func(s *qca8ksim.Sim) { s.Poke(0x07c+4, 0) },
		"tags":  func(s *qca8ksim.Sim) { s.Poke(0x09c+4, 2) },
		"only tagged": func(s *qca8ksim.Sim) {
			s.Poke(0x424+8, 1<<2)
		},
	} {
		s := qca8ksim.New(qca8ksim.QCA8337)
		s.Poke(0x624, 0x7f7f7f)
		off(s)
		if got := s.Forward(1, 0); len(got) != 0 {
			t.Errorf("%s: in at port 1: %v", what, got)
		}
		if got := s.Forward(2, 0); what != "only tagged" && slices.ContainsFunc(got, func(o qca8ksim.Out) bool { return o.Port == 1 }) {
			t.Errorf("%s: out at port 1: %v", what, got)
		}
	}
}
