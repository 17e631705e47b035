package hw_test

import (
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"spigate/hw"
	"spigate/hw/hwtest"
)

// seconds is a point in time, from the beginning of a test.
func seconds(n float64) int64 { return int64(n * float64(time.Second)) }

// kept is a keeper over a chip with faults, and what it has told.
type kept struct {
	*hw.Keeper
	chip *hwtest.Fake
	told []string
}

// office is a plan for the ports of hwtest.Small.
func office(t *testing.T, c hw.Capabilities) hw.Plan {
	t.Helper()
	var names []string
	for _, p := range c.Ports {
		if !p.CPU {
			names = append(names, p.Name)
		}
	}
	if len(names) < 3 {
		t.Fatalf("a chip with ports %v", names)
	}
	return hw.Plan{VLANs: []hw.VLAN{
		{ID: 10, Untagged: names[:2]},
		{ID: 20, Untagged: names[2:3], Tagged: names[:1]},
	}}
}

func newKept(t *testing.T) *kept {
	k := &kept{chip: hwtest.NewFake(hwtest.Small())}
	k.Keeper = hw.NewKeeper(k.chip, func(e hw.Event) { k.told = append(k.told, e.String()) })
	return k
}

// news returns what was told since the last call, cables left out.
func (k *kept) news() (out []string) {
	for _, s := range k.told {
		if !strings.HasPrefix(s, "port ") {
			out = append(out, s)
		}
	}
	k.told = nil
	return out
}

func (k *kept) wants(t *testing.T, p hw.Plan) {
	t.Helper()
	is, err := k.chip.Table()
	if err == nil {
		err = hw.Compare(is, p.Table(k.chip.Capabilities()))
	}
	if err != nil {
		t.Error(err)
	}
}

func TestAPlanIsKeptAndToldOnce(t *testing.T) {
	k := newKept(t)
	p := office(t, k.Capabilities())
	if _, err := k.SetPlan(p, 0); err != nil {
		t.Fatal(err)
	}
	k.wants(t, p)
	if got := k.news(); len(got) != 1 || !strings.Contains(got[0], "VLANs added [10 20]") {
		t.Errorf("told %q", got)
	}
	k.chip.ClearLog()
	for n := range 100 {
		k.Step(seconds(float64(n)))
	}
	if got := k.news(); len(got) != 0 {
		t.Errorf("nothing happened, and told %q", got)
	}
	if got := k.chip.Log("set", "remove", "pvid", "port", "mtu", "flush", "prepare"); len(got) != 0 {
		t.Errorf("nothing happened, and the chip was told %q", got)
	}
	if n := len(k.chip.Log("table")); n < 15 || n > 21 {
		t.Errorf("looked %d times in 100 s", n)
	}
}

// tried is a chip that notes when it was prepared.
type tried struct {
	*hwtest.Fake
	now   int64
	times []int64
}

func (t *tried) Prepare() error {
	t.times = append(t.times, t.now/int64(time.Second))
	return t.Fake.Prepare()
}

func TestAChipThatIsSilentAtTheStartIsTriedAgainAndAgain(t *testing.T) {
	chip := &tried{Fake: hwtest.NewFake(hwtest.Small())}
	k := &kept{chip: chip.Fake}
	k.Keeper = hw.NewKeeper(chip, func(e hw.Event) { k.told = append(k.told, e.String()) })
	p := office(t, k.Capabilities())
	chip.Silence()
	if _, err := k.SetPlan(p, 0); !errors.Is(err, hw.ErrSilent) {
		t.Fatalf("got %v", err)
	}
	for s := range int64(130) {
		chip.now = s * int64(time.Second)
		k.Step(chip.now)
	}
	if diff := cmp.Diff([]int64{0, 1, 3, 7, 15, 31, 61, 91, 121}, chip.times); diff != "" {
		t.Errorf("tried at other seconds: %s", diff)
	}
	if st := k.Status(); st.Kept || st.Err == nil || st.Silent != 1 {
		t.Errorf("status %+v", st)
	}
	if got := k.news(); len(got) != 1 || !strings.Contains(got[0], "does not answer") {
		t.Errorf("two minutes of silence were told as %q", got)
	}
	chip.Answer()
	k.Step(seconds(151))
	k.wants(t, p)
	if got := k.news(); len(got) != 1 || !strings.Contains(got[0], "again, after 2m31s") {
		t.Errorf("told %q", got)
	}
	if st := k.Status(); !st.Kept || st.Err != nil || st.Since != seconds(151) {
		t.Errorf("status %+v", st)
	}
}

func TestAChipThatWasResetGetsItsVLANsAgain(t *testing.T) {
	k := newKept(t)
	p := office(t, k.Capabilities())
	k.SetPlan(p, 0)
	k.news()
	k.chip.Reset()
	k.Step(seconds(6))
	k.wants(t, p)
	got := k.news()
	if len(got) != 2 || !strings.Contains(got[0], "was it reset?") || !strings.Contains(got[1], "again: VLANs added [10 20]") {
		t.Errorf("told %q", got)
	}
	if st := k.Status(); !st.Kept || st.Repairs != 1 {
		t.Errorf("status %+v", st)
	}
}

func TestAChipThatForgetsAWriteIsFoundOutAtOnce(t *testing.T) {
	k := newKept(t)
	p := office(t, k.Capabilities())
	k.chip.Forget("set 20")
	if _, err := k.SetPlan(p, 0); err == nil || !strings.Contains(err.Error(), "VLAN 20 is missing") {
		t.Fatalf("got %v", err)
	}
	k.Step(seconds(1))
	k.wants(t, p)
	if got := k.news(); len(got) != 2 || !strings.Contains(got[0], "has not done what it was told") {
		t.Errorf("told %q", got)
	}
}

func TestAPlanBeyondTheChipLeavesTheOldOneInForce(t *testing.T) {
	k := newKept(t)
	p := office(t, k.Capabilities())
	k.SetPlan(p, 0)
	k.news()
	wrong := hw.Plan{VLANs: []hw.VLAN{{ID: 30, Untagged: []string{"nowhere"}}}}
	if _, err := k.SetPlan(wrong, seconds(1)); err == nil || !strings.Contains(err.Error(), "no port nowhere") {
		t.Errorf("got %v", err)
	}
	k.wants(t, p)
	if diff := cmp.Diff(p, k.Plan()); diff != "" || !k.Status().Kept || len(k.told) != 0 {
		t.Errorf("told %q, kept %v, plan: %s", k.told, k.Status().Kept, diff)
	}
}

func TestACableIsToldWhenItComesAndGoes(t *testing.T) {
	k := newKept(t)
	p := office(t, k.Capabilities())
	port := p.VLANs[0].Untagged[0]
	k.chip.SetLink(port, true)
	k.SetPlan(p, 0)
	k.told = nil
	k.chip.SetLink(port, false)
	k.Changed()
	k.Step(seconds(0.1))
	k.chip.SetLink(port, true)
	k.Step(seconds(2))
	if diff := cmp.Diff([]string{"port " + port + " is down", "port " + port + " is up, 1000 Mbit/s full duplex"}, k.told); diff != "" {
		t.Error(diff)
	}
}

func TestAPortThatFlapsIsToldTwice(t *testing.T) {
	k := newKept(t)
	p := office(t, k.Capabilities())
	port := p.VLANs[0].Untagged[0]
	k.chip.SetLink(port, true)
	k.SetPlan(p, 0)
	k.told = nil
	for n := range 60 {
		k.chip.SetLink(port, n%2 == 1)
		k.Changed()
		k.Step(seconds(float64(n) / 2))
	}
	if len(k.told) != 5 || !strings.Contains(k.told[4], "has changed 5 times in 10s: look at its cable") {
		t.Fatalf("told %q", k.told)
	}
	k.told = nil
	for n := range 30 {
		k.Step(seconds(30 + float64(n)))
	}
	if diff := cmp.Diff([]string{"port " + port + " rests after 60 changes: it is up, 1000 Mbit/s full duplex"}, k.told); diff != "" {
		t.Error(diff)
	}
	k.told = nil
	k.chip.SetLink(port, false)
	k.Step(seconds(70))
	if len(k.told) != 1 {
		t.Errorf("after the rest a change is told as %q", k.told)
	}
}

func TestAChipThatFallsSilentKeepsItsLastLinks(t *testing.T) {
	k := newKept(t)
	p := office(t, k.Capabilities())
	k.SetPlan(p, 0)
	k.news()
	k.chip.Silence()
	k.Step(seconds(2))
	if _, err := k.Counters(); !errors.Is(err, hw.ErrSilent) {
		t.Errorf("counters of a silent chip: %v", err)
	}
	st := k.Status()
	if st.Kept || len(st.Links) != len(k.Capabilities().Ports) || len(k.news()) != 1 {
		t.Errorf("status %+v", st)
	}
	k.chip.Answer()
	k.Step(seconds(4))
	if !k.Status().Kept {
		t.Errorf("status %+v", k.Status())
	}
}

func TestASwitchThatCannotBeOpenedYetIsOpenedLater(t *testing.T) {
	chip, there := hwtest.NewFake(hwtest.Small()), false
	k := &kept{chip: chip}
	k.Keeper = hw.NewKeeper(hw.Late(chip.Capabilities(), func() (hw.Chip, error) {
		if !there {
			return nil, hw.ErrSilent
		}
		return chip, nil
	}), func(e hw.Event) { k.told = append(k.told, e.String()) })
	p := office(t, k.Capabilities())
	if _, err := k.SetPlan(p, 0); !errors.Is(err, hw.ErrSilent) {
		t.Fatalf("got %v", err)
	}
	if _, err := k.Counters(); !errors.Is(err, hw.ErrSilent) {
		t.Errorf("counters: %v", err)
	}
	there = true
	k.Step(seconds(1))
	k.wants(t, p)
	if err := k.Close(nil); err != nil {
		t.Error(err)
	}
	k.Step(seconds(60))
	if _, err := k.SetPlan(p, seconds(60)); !errors.Is(err, hw.ErrSilent) {
		t.Errorf("after the end: %v", err)
	}
}

// turning is a chip that counts in numbers of 32 bits, as chips do, with a driver
// that adds them up.
type turning struct {
	*hwtest.Fake
	frames, sum uint64
	last        uint32
}

func (t *turning) Counters() ([]hw.Counters, error) {
	is := uint32(t.frames)
	t.sum += uint64(is - t.last)
	t.last = is
	return []hw.Counters{{Port: "lan1", RxFrames: t.sum}}, nil
}

func TestCountersThatNobodyAsksForMissNoTurn(t *testing.T) {
	chip := &turning{Fake: hwtest.NewFake(hwtest.Small())}
	k := hw.NewKeeper(chip, func(hw.Event) {})
	if _, err := k.SetPlan(office(t, k.Capabilities()), 0); err != nil {
		t.Fatal(err)
	}
	const perSecond, total = 1488095, uint64(4 * 3600 * 1488095) // the most of 1 Gbit/s
	for s := 1.0; s <= 4*3600; s++ {
		chip.frames += perSecond
		k.Step(seconds(s))
	}
	got, err := k.Counters()
	if err != nil || got[0].RxFrames != total {
		t.Errorf("counted %v, %v, want %d", got, err, total)
	}
}

// hanging is a chip whose bus hangs while it is held.
type hanging struct {
	*hwtest.Fake
	held, begun chan struct{}
}

func (h *hanging) Prepare() error {
	select {
	case h.begun <- struct{}{}:
	default:
	}
	<-h.held
	return h.Fake.Prepare()
}

// What the router does beside must not wait for a chip that hangs in the kernel:
// its status is asked for by the watchdog.
func TestAChipThatHangsHoldsUpOnlyThoseWhoAreAtIt(t *testing.T) {
	chip := &hanging{hwtest.NewFake(hwtest.Small()), make(chan struct{}), make(chan struct{}, 1)}
	k := hw.NewKeeper(chip, func(hw.Event) {})
	first := office(t, k.Capabilities())
	later := hw.Plan{VLANs: first.VLANs[:1]}
	ended := make(chan error, 3)
	go func() { _, err := k.SetPlan(first, 0); ended <- err }()
	<-chip.begun
	k.Changed()
	if st := k.Status(); st.Kept || len(k.Capabilities().Ports) != 5 {
		t.Errorf("status %+v", st)
	}
	go func() { _, err := k.SetPlan(later, 1); ended <- err }()
	go func() { k.Step(2); ended <- nil }()
	for len(k.Plan().VLANs) != 1 {
		runtime.Gosched()
	}
	close(chip.held)
	for range 3 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	is, err := chip.Table()
	if err == nil {
		err = hw.Compare(is, later.Table(chip.Capabilities()))
	}
	if err != nil {
		t.Error(err)
	}
}

func TestTheLimitsOfASwitchAreKnownWhileItIsOpened(t *testing.T) {
	chip := hwtest.NewFake(hwtest.Small())
	caps := chip.Capabilities()
	caps.Chip = "not open yet"
	k := hw.NewKeeper(hw.Late(caps, func() (hw.Chip, error) { return chip, nil }), func(hw.Event) {})
	p, ended := office(t, caps), make(chan error)
	go func() { _, err := k.SetPlan(p, 0); ended <- err }()
	for k.Capabilities().Chip == caps.Chip { // the race detector looks on
		runtime.Gosched()
	}
	if err := <-ended; err != nil || !k.Status().Kept {
		t.Error(err)
	}
}
