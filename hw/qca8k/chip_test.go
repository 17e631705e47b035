package qca8k_test

import (
	"errors"
	"strings"
	"testing"

	"spigate/hw"
	"spigate/hw/hwtest"
	"spigate/hw/qca8k"
	"spigate/hw/qca8k/qca8ksim"
)

// bench is a driver with the chip that it drives.
type bench struct {
	hw.Chip
	sim    *qca8ksim.Sim
	config qca8k.Config
}

func config(driver string, cpu int) qca8k.Config {
	c := qca8k.Config{
		Driver: driver, CPU: cpu, CPUName: "eth0",
		// Names are in another order than numbers, and port 5 is nobody's.
		Ports: []qca8k.Port{{"wan", 1}, {"lan4", 2}, {"lan3", 3}, {"lan1", 4}},
	}
	return c
}

func chipID(driver string) uint32 {
	if driver == "ar8327" {
		return qca8ksim.AR8327
	}
	return qca8ksim.QCA8337
}

// open opens a chip after power-on, whose faults fail the test at its end.
func open(t testing.TB, c qca8k.Config) *bench {
	t.Helper()
	sim := qca8ksim.New(chipID(c.Driver))
	t.Cleanup(func() {
		for _, f := range sim.Faults() {
			t.Errorf("the chip: %s", f)
		}
	})
	return reopen(t, c, sim)
}

func reopen(t testing.TB, c qca8k.Config, sim *qca8ksim.Sim) *bench {
	t.Helper()
	c.Bus = sim
	chip, err := qca8k.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	return &bench{chip, sim, c}
}

func (b *bench) number(name string) int {
	for _, p := range b.config.Ports {
		if p.Name == name {
			return p.Number
		}
	}
	return b.config.CPU
}

func (b *bench) name(number int) string {
	for _, p := range b.config.Ports {
		if p.Number == number {
			return p.Name
		}
	}
	if number == b.config.CPU {
		return b.config.CPUName
	}
	return "nobody's"
}

// reach is where frames go by the registers.
func (b *bench) reach(from string, tag uint16) (out []hwtest.Out) {
	for _, o := range b.sim.Forward(b.number(from), tag) {
		out = append(out, hwtest.Out{Port: b.name(o.Port), Tag: o.Tag})
	}
	return out
}

func suite(c qca8k.Config) hwtest.Options {
	return hwtest.Options{
		Open:    func(t testing.TB) hw.Chip { return open(t, c) },
		Again:   func(t testing.TB, closed hw.Chip) hw.Chip { return reopen(t, c, closed.(*bench).sim) },
		SetLink: func(chip hw.Chip, port string, up bool) { chip.(*bench).sim.SetLink(chip.(*bench).number(port), up) },
		Observe: func(chip hw.Chip, step func(string, hwtest.Reach)) {
			b := chip.(*bench)
			b.sim.Observe(func() { step("a write on the bus", b.reach) })
		},
		Draws: 150,
	}
}

func TestEachChipAtEachPortOfTheRouterPassesTheSuite(t *testing.T) {
	for _, driver := range []string{"qca8337", "ar8327"} {
		for _, cpu := range []int{0, 6} {
			t.Run(driver, func(t *testing.T) { hwtest.Run(t, suite(config(driver, cpu))) })
		}
	}
}

func TestCapabilitiesAreKnownWithoutAChip(t *testing.T) {
	c := config("qca8337", 6)
	caps := qca8k.Capabilities(c)
	b := open(t, c)
	if got := b.Capabilities(); got.Chip != "QCA8337 revision 2" || caps.Chip != "QCA8337" {
		t.Errorf("chip %q, without one %q", got.Chip, caps.Chip)
	}
	if caps.CPU() != "eth0" || len(caps.Ports) != 5 || caps.Ports[0].Name != "wan" || caps.MaxMTU != 9000 {
		t.Errorf("capabilities %+v", caps)
	}
}

func TestAWrongConfigurationIsNamedWithAllItsFaults(t *testing.T) {
	bad := qca8k.Config{Driver: "qca9999", CPU: 3, CPUName: "eth0", Ports: []qca8k.Port{{"lan1", 7}, {"lan1", 3}, {"", 2}}}
	_, err := qca8k.Open(bad)
	if err == nil {
		t.Fatal("nothing is wrong")
	}
	for _, want := range []string{"qca9999", "port 0 or 6", "not 7", `port "lan1"`, "number 3", `port ""`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in: %v", want, err)
		}
	}
	if err := (qca8k.Config{Driver: "ar8327"}).Check(); err == nil {
		t.Error("a switch without ports is taken")
	}
}

func TestNobodyOnTheBusIsSilenceAndAnotherChipIsNot(t *testing.T) {
	c := config("qca8337", 0)
	for what, trouble := range map[string]func(s *qca8ksim.Sim){
		"no answer": (*qca8ksim.Sim).Silence, "all ones": (*qca8ksim.Sim).Absent, "all zeros": func(s *qca8ksim.Sim) { s.Poke(0, 0) },
	} {
		sim := qca8ksim.New(qca8ksim.QCA8337)
		trouble(sim)
		c.Bus = sim
		if _, err := qca8k.Open(c); !errors.Is(err, hw.ErrSilent) {
			t.Errorf("%s: %v", what, err)
		}
	}
	c.Bus = qca8ksim.New(qca8ksim.AR8327)
	if _, err := qca8k.Open(c); err == nil || errors.Is(err, hw.ErrSilent) || !strings.Contains(err.Error(), "0x12") {
		t.Errorf("an AR8327 in place of a QCA8337: %v", err)
	}
}

// plan is two networks: 10 at wan without tag, 20 at lan1 and lan3 without tag,
// 30 with tag at lan4 and lan1.
func plan() hw.Plan {
	return hw.Plan{VLANs: []hw.VLAN{
		{ID: 10, Untagged: []string{"wan"}},
		{ID: 20, Untagged: []string{"lan1", "lan3"}},
		{ID: 30, Tagged: []string{"lan1", "lan4"}},
	}}
}

func apply(t testing.TB, b *bench, p hw.Plan) {
	t.Helper()
	if _, err := hw.Apply(b, p); err != nil {
		t.Fatal(err)
	}
}

func TestSilenceAtEveryAccessIsReportedAndMendedLater(t *testing.T) {
	c := config("qca8337", 0)
	c.Ports = append(c.Ports, qca8k.Port{Name: "sfp", Number: 6})
	p := plan()
	p.MTU = 1600
	p.VLANs[0].Untagged = []string{"wan", "sfp"}
	for n := 0; ; n++ {
		sim := qca8ksim.New(qca8ksim.QCA8337)
		b := reopen(t, c, sim)
		sim.SilenceAfter(n)
		_, err := hw.Apply(b, p)
		if err == nil {
			if n < 300 {
				t.Errorf("only %d accesses", n)
			}
			return
		}
		if !errors.Is(err, hw.ErrSilent) {
			t.Fatalf("silent after %d accesses: %v", n, err)
		}
		sim.Answer()
		apply(t, b, p)
		if err := hw.Compare(tableOf(t, b), p.Table(b.Capabilities())); err != nil {
			t.Fatalf("silent after %d accesses, then mended: %v", n, err)
		}
		if got := where(b.reach("wan", 0)); got != "[eth0:10 sfp:0]" {
			t.Fatalf("silent after %d accesses: ports are not back: wan reaches %s", n, got)
		}
	}
}

func tableOf(t testing.TB, b *bench) hw.Table {
	t.Helper()
	is, err := b.Table()
	if err != nil {
		t.Fatal(err)
	}
	return is
}

func TestAWriteThatGetsLostIsFoundAndMended(t *testing.T) {
	c := config("ar8327", 0)
	found := 0
	for n := 1; n < 60; n++ {
		sim := qca8ksim.New(qca8ksim.AR8327)
		b := reopen(t, c, sim)
		sim.ForgetWrite(n)
		if _, err := hw.Apply(b, plan()); err != nil {
			found++
		}
		sim.Answer()
		apply(t, b, plan())
		for _, o := range b.reach("wan", 0) {
			if o.Port != "eth0" {
				t.Fatalf("write %d lost, then mended: wan reaches %v", n, o)
			}
		}
	}
	if found < 10 {
		t.Errorf("only %d lost writes are found", found)
	}
}

func TestAChipThatStaysBusyIsSilent(t *testing.T) {
	b := open(t, config("qca8337", 0))
	apply(t, b, plan())
	b.sim.StayBusy()
	if _, err := b.Table(); !errors.Is(err, hw.ErrSilent) {
		t.Errorf("table: %v", err)
	}
	if err := b.Flush("lan1"); !errors.Is(err, hw.ErrSilent) {
		t.Errorf("flush: %v", err)
	}
	b.sim.Answer()
	apply(t, b, plan())
}

func TestAChipTakenOffTheBusIsSilentThoughReadsWork(t *testing.T) {
	b := open(t, config("qca8337", 0))
	apply(t, b, plan())
	b.sim.Absent()
	_, table := b.Table()
	_, links := b.Links()
	_, counters := b.Counters()
	for _, err := range []error{table, links, counters, b.SetPVID("lan1", 7), b.Prepare()} {
		if !errors.Is(err, hw.ErrSilent) || !strings.Contains(err.Error(), "0xffff") {
			t.Errorf("all ones: %v", err)
		}
	}
}
