package qca8k_test

import (
	"fmt"
	"slices"
	"testing"

	"spigate/hw"
	"spigate/hw/hwtest"
	"spigate/hw/qca8k/qca8ksim"
)

// where prints the ports that a frame reaches, sorted.
func where(outs []hwtest.Out) string {
	var s []string
	for _, o := range outs {
		s = append(s, fmt.Sprintf("%s:%d", o.Port, o.Tag))
	}
	slices.Sort(s)
	return fmt.Sprint(s)
}

func TestFramesGoWhereThePlanSaysByTheRegistersAlone(t *testing.T) {
	b := open(t, config("qca8337", 0))
	apply(t, b, plan())
	for _, c := range []struct {
		from string
		tag  uint16
		want string
	}{
		{"wan", 0, "[eth0:10]"},
		{"wan", 10, "[eth0:10]"},
		{"wan", 20, "[]"},
		{"lan1", 0, "[eth0:20 lan3:0]"},
		{"lan3", 0, "[eth0:20 lan1:0]"},
		{"lan3", 30, "[]"},
		{"lan1", 30, "[eth0:30 lan4:30]"},
		{"lan4", 0, "[]"},
		{"lan4", 30, "[eth0:30 lan1:30]"},
		{"eth0", 0, "[]"},
		{"eth0", 10, "[wan:0]"},
		{"eth0", 20, "[lan1:0 lan3:0]"},
		{"eth0", 30, "[lan1:30 lan4:30]"},
		{"eth0", 40, "[]"},
		{"eth0", 4095, "[]"},
	} {
		if got := where(b.reach(c.from, c.tag)); got != c.want {
			t.Errorf("at %s with tag %d: %s, not %s", c.from, c.tag, got, c.want)
		}
	}
	for tag := range uint16(4096) {
		if got := b.sim.Forward(5, tag); len(got) != 0 {
			t.Fatalf("port 5 is nobody's, and reaches %v with tag %d", got, tag)
		}
	}
}

// TestWhatAnotherProgramLeftGoes: rows with ports that nobody named, frames as
// they came, a mirror, leaks, vendor tags; the first Apply ends them all.
func TestWhatAnotherProgramLeftGoes(t *testing.T) {
	b := open(t, config("ar8327", 0))
	b.sim.SetRow(20, 1<<20|1<<19)               // all are members, as they came
	b.sim.SetRow(50, 1<<20|1<<19|0x3fff<<4)     // nobody
	b.sim.SetRow(60, 1<<20|0x3fff<<4&^(3<<14))  // nobody's port 5 alone
	b.sim.SetRow(4095, 1<<20|1<<19)             // no VLAN
	b.sim.Poke(0x620, 5<<4)                     // copies go to port 5
	b.sim.Poke(0x660+12*4, 1<<25|1<<20|4<<16|3) // lan1 is copied
	b.sim.Poke(0x660+12*3, 1<<28|1<<10|4<<16)   // lan3 leaks
	b.sim.Poke(0x09c, 2<<2|2)                   // vendor tags at the router
	b.sim.Poke(0x624, 0x01010101)               // floods go to the router alone
	b.sim.Poke(0x424+8*4, 2<<12)                // lan1 sends all with tag
	apply(t, b, plan())
	if got := where(b.reach("lan1", 0)); got != "[eth0:20 lan3:0]" {
		t.Errorf("lan1 reaches %s", got)
	}
	if got := where(b.reach("lan3", 0)); got != "[eth0:20 lan1:0]" {
		t.Errorf("lan3 reaches %s", got)
	}
	for _, id := range []uint16{50, 60, 4095} {
		if row := b.sim.Row(id); row != 0 {
			t.Errorf("row %d is still there: %#x", id, row)
		}
	}
	if got := b.sim.Peek(0x660 + 12*3); got&(1<<28|1<<10) != 0 {
		t.Errorf("lan3 still leaks: %#x", got)
	}
}

func TestAddressesAreForgottenAtOnePortOnly(t *testing.T) {
	b := open(t, config("qca8337", 0))
	apply(t, b, plan())
	one, two := [6]byte{2, 0, 0, 0, 0, 1}, [6]byte{2, 0, 0, 0, 0, 2}
	b.sim.Receive(qca8ksim.Frame{Port: 4, Source: one, To: two})
	b.sim.Receive(qca8ksim.Frame{Port: 3, Source: two, To: one})
	if b.sim.Learned(20, one) != 4 || b.sim.Learned(20, two) != 3 {
		t.Fatal("the chip has learned nothing")
	}
	if got := b.sim.Receive(qca8ksim.Frame{Port: 4, Source: one, To: two}); len(got) != 1 || got[0] != (qca8ksim.Out{Port: 3}) {
		t.Errorf("a frame to a known station goes to %v", got)
	}
	if err := b.Flush("lan1"); err != nil {
		t.Fatal(err)
	}
	if b.sim.Learned(20, one) != -1 || b.sim.Learned(20, two) != 3 {
		t.Errorf("after the flush of lan1: %d %d", b.sim.Learned(20, one), b.sim.Learned(20, two))
	}
}

// TestAResetIsNoticedAndTheBoardsRegistersComeBack: the pads and the router's
// port are as the boot loader had set them, and the page is not believed.
func TestAResetIsNoticedAndTheBoardsRegistersComeBack(t *testing.T) {
	c := config("qca8337", 0)
	sim := qca8ksim.New(qca8ksim.QCA8337)
	sim.Poke(0x004, 0x07600000)
	sim.Poke(0x07c, 0x7e)
	b := reopen(t, c, sim)
	apply(t, b, plan())
	before := sim.Registers()
	sim.Reset()
	is, err := b.Table()
	if err != nil {
		t.Fatal(err)
	}
	if hw.Compare(is, plan().Table(b.Capabilities())) == nil {
		t.Fatal("the table of a chip that was reset is as it was")
	}
	apply(t, b, plan())
	after := sim.Registers()
	for addr, v := range before {
		if after[addr] != v && addr < 0x1000 && addr != 0x610 && addr != 0x614 {
			t.Errorf("register %#x was %#x and is %#x after the reset", addr, v, after[addr])
		}
	}
	for _, f := range sim.Faults() {
		t.Error(f)
	}
}

func TestTheMTUIsSetWithThePortsOffAndTheyAreOnAgain(t *testing.T) {
	b := open(t, config("qca8337", 0))
	p := plan()
	p.MTU = 1600
	apply(t, b, p)
	if got := b.sim.Peek(0x078); got != 1618 {
		t.Errorf("the greatest frame is %d bytes", got)
	}
	if got := b.sim.Peek(0x07c) & 0xc; got != 0xc {
		t.Error("the router's port is off")
	}
}

func TestCountersGoOnPastThirtyTwoBitsAndAReset(t *testing.T) {
	for _, driver := range []string{"qca8337", "ar8327"} {
		b := open(t, config(driver, 0))
		apply(t, b, plan())
		lan1 := func() hw.Counters {
			t.Helper()
			c, err := b.Counters()
			if err != nil {
				t.Fatal(err)
			}
			return c[4] // the ports are eth0, wan, lan4, lan3, lan1
		}
		frames := uint32(0x00) // broadcast
		if driver == "ar8327" {
			frames = 0x20
		}
		b.sim.Count(4, frames, 0xffff_fff0)
		b.sim.Count(4, 0x3c, 0xffff_ffff_0)
		b.sim.Count(4, 0x0c, 3)
		b.sim.Count(4, 0x50, 4)
		b.sim.Count(4, 0x90, 5)
		if c := lan1(); c != (hw.Counters{Port: "lan1", RxFrames: 0xffff_fff0, RxBytes: 0xffff_ffff_0, RxErrors: 3, RxDropped: 4, TxDropped: 5}) {
			t.Errorf("%s: %+v", driver, c)
		}
		b.sim.Count(4, frames, 0x20)
		if c := lan1(); c.RxFrames != 0x1_0000_0010 {
			t.Errorf("%s: %#x frames after the counter wrapped", driver, c.RxFrames)
		}
		b.sim.Reset()
		if c := lan1(); c.RxFrames != 0x1_0000_0010 || c.RxBytes != 0xffff_ffff_0 {
			t.Errorf("%s: after a reset %+v", driver, c)
		}
		apply(t, b, plan())
		b.sim.Count(4, frames, 1)
		b.sim.Count(4, 0x3c, 64)
		if c := lan1(); c.RxFrames != 0x1_0000_0011 || c.RxBytes != 0xffff_ffff_0+64 || c.RxErrors != 3 {
			t.Errorf("%s: a frame after the reset: %+v", driver, c)
		}
	}
}

func TestLinksOfPHYsAndOfTheRoutersPort(t *testing.T) {
	b := open(t, config("qca8337", 0))
	apply(t, b, plan())
	b.sim.SetLink(2, false)
	b.sim.Poke(0x07c+4*3, 1<<9|1<<8|1) // lan3: 100 Mbit/s, half
	got, err := b.Links()
	if err != nil {
		t.Fatal(err)
	}
	want := []hw.Link{
		{Port: "eth0", Up: true, Speed: 1000, Duplex: true}, {Port: "wan", Up: true, Speed: 1000, Duplex: true},
		{Port: "lan4"}, {Port: "lan3", Up: true, Speed: 100}, {Port: "lan1", Up: true, Speed: 1000, Duplex: true},
	}
	if !slices.Equal(got, want) {
		t.Errorf("links %+v", got)
	}
}
