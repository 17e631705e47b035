package wire

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"spigate/cmd/internal/control"
	"spigate/configs"
	"spigate/hw"
	"spigate/hw/hwtest"
)

// onASwitch is onFiles with a switch behind the port lan. Its chip is the one
// of the test.
const onASwitch = `
[switch.sw0]
driver   = "dsa"
cpu_port = "lan"
[vlan.staff]
switch    = "sw0"
id        = 20
untagged  = ["lan1"]
tagged    = ["lan3"]
addresses = ["10.0.20.1/24"]
[vlan.guests]
switch    = "sw0"
id        = 30
untagged  = ["lan2"]
tagged    = ["lan3"]
addresses = ["10.0.30.1/24"]
`

// logged keeps what is logged.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func logger(l *logged) *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// switchBench is a set of switches over one chip in memory, at a time of the test's.
type switchBench struct {
	switches
	chip *hwtest.Fake
	log  *logged
	time int64
}

func newSwitchBench(chip *hwtest.Fake) *switchBench {
	b := &switchBench{chip: chip, log: &logged{}}
	b.switches = newSwitches(logger(b.log))
	b.switches.now = func() int64 { return b.time }
	b.openChip = func(*configs.Config, *configs.Switch, *slog.Logger) (openedChip, error) {
		return openedChip{chip: chip}, nil
	}
	return b
}

// withSwitch reads onASwitch with texts replaced.
func withSwitch(t *testing.T, replace ...string) *configs.Config {
	t.Helper()
	text := onFiles[:strings.Index(onFiles, "[vlan.second]")] + onASwitch
	text = strings.Replace(text, "driver = \"pcap\"\ndevice = \"DIR/LAN.pcap\"", "driver = \"raw\"\ndevice = \"br-lan\"", 1)
	text = strings.NewReplacer(append([]string{"DIR", "/nowhere"}, replace...)...).Replace(text)
	c, _, err := configs.Parse("router.toml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// chip is one with the ports of onASwitch.
func chip() *hwtest.Fake {
	return hwtest.NewFake(hw.Capabilities{Driver: "dsa", Chip: "a chip in memory", Ports: []hw.Port{
		{Name: "br-lan", CPU: true}, {Name: "lan1"}, {Name: "lan2"}, {Name: "lan3"},
	}})
}

func TestTheChipGetsTheVLANsOfTheRouter(t *testing.T) {
	b := newSwitchBench(chip())
	c := withSwitch(t)
	if err := b.open(c); err != nil {
		t.Fatal(err)
	}
	is, err := b.chip.Table()
	if err == nil {
		err = hw.Compare(is, hw.Table{
			VLANs: []hw.VLAN{
				{ID: 20, Tagged: []string{"br-lan", "lan3"}, Untagged: []string{"lan1"}},
				{ID: 30, Tagged: []string{"br-lan", "lan3"}, Untagged: []string{"lan2"}},
			},
			PVID: map[string]uint16{"lan1": 20, "lan2": 30},
			On:   map[string]bool{"br-lan": true, "lan1": true, "lan2": true, "lan3": true},
		})
	}
	if err != nil {
		t.Error(err)
	}
}

func TestASilentSwitchDoesNotKeepTheRouterFromStarting(t *testing.T) {
	b := newSwitchBench(chip())
	b.chip.Silence()
	c := withSwitch(t)
	if err := b.open(c); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.log.String(), "switch=sw0") || !strings.Contains(b.log.String(), "does not answer") {
		t.Errorf("the log says %q", b.log)
	}
	b.time = 35e9
	v := newViews(c)
	v.switches = &b.switches
	rows := v.Switches()
	if len(rows) != 1 || rows[0].State != control.SwitchFailed || rows[0].Error == nil || rows[0].Since != 35 || rows[0].Ports[1].Link != control.LinkUnknown {
		t.Errorf("shown as %+v", rows)
	}
}

func TestAChipThatForgetsWhatItWasToldIsToldAgain(t *testing.T) {
	b := newSwitchBench(chip())
	b.chip.Forget("set 20")
	if err := b.open(withSwitch(t)); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.log.String(), "has not done what it was told: VLAN 20 is missing") {
		t.Errorf("the log says %q", b.log)
	}
	b.all[0].keeper.Step(2e9)
	if !b.all[0].keeper.Status().Kept {
		t.Errorf("still %v", b.all[0].keeper.Status().Err)
	}
}

func TestAPlanBeyondTheChipIsAnErrorAtTheStart(t *testing.T) {
	small := hwtest.NewFake(hw.Capabilities{Chip: "a small chip", VLANs: 1, Ports: []hw.Port{{Name: "br-lan", CPU: true}, {Name: "lan1"}, {Name: "lan2"}, {Name: "lan3"}}})
	b := newSwitchBench(small)
	if err := b.open(withSwitch(t)); err == nil || !strings.Contains(err.Error(), "switch sw0: there are 2 VLANs, and the table of a small chip has 1 rows") {
		t.Errorf("got %v", err)
	}
}

func TestAPortMovesToAnotherVLANWithoutARestart(t *testing.T) {
	b := newSwitchBench(chip())
	was, is := withSwitch(t), withSwitch(t, `untagged  = ["lan2"]`, `untagged  = ["lan1"]`, `untagged  = ["lan1"]`, `untagged  = ["lan2"]`)
	if err := b.open(was); err != nil {
		t.Fatal(err)
	}
	if fixed := fixedChanges(was, is); len(fixed) > 0 {
		t.Fatalf("needs a restart: %v", fixed)
	}
	b.chip.ClearLog()
	b.apply(is)
	if table, err := b.chip.Table(); err != nil || table.PVID["lan1"] != 30 || table.PVID["lan2"] != 20 {
		t.Errorf("PVIDs %v, %v", table.PVID, err)
	}
	if !strings.Contains(b.log.String(), "VLANs changed [20 30], ports changed [lan1 lan2]") {
		t.Errorf("the log says %q", b.log)
	}
	again := len(b.chip.Log("set", "pvid", "port", "flush"))
	b.apply(is)
	if more := b.chip.Log("set", "pvid", "port", "flush")[again:]; len(more) > 0 {
		t.Errorf("the same configuration once more told the chip %q", more)
	}
}

func TestNewVLANsNeedARestart(t *testing.T) {
	if fixed := fixedChanges(withSwitch(t), withSwitch(t, "id        = 30", "id        = 31")); len(fixed) != 1 || fixed[0] != "vlan" {
		t.Errorf("changed: %v", fixed)
	}
}

func TestAKeeperOfASwitchEndsWithTheRouter(t *testing.T) {
	b := newSwitchBench(chip())
	notifying := hwtest.Notifying{Fake: b.chip}
	b.openChip = func(*configs.Config, *configs.Switch, *slog.Logger) (openedChip, error) {
		return openedChip{chip: notifying}, nil
	}
	if err := b.open(withSwitch(t)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- b.tasks()[0].Run(ctx) }()
	b.chip.SetLink("lan1", false)
	b.chip.SetLink("lan1", true)
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := b.close(); err != nil {
		t.Error(err)
	}
}
