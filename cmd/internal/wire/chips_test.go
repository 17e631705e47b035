package wire

import (
	"errors"
	"strings"
	"testing"

	"spigate/configs"
	"spigate/hw"
)

// overMDIO is a configuration for a chip at a bus that is not there.
const overMDIO = `version = 1
[port.lan]
driver = "raw"
device = "nosuch0"
[switch.sw0]
driver   = "qca8337"
cpu_port = "lan"
mtu      = MTU
[switch.sw0.port.lan1]
number = 1
[vlan.inside]
switch   = "sw0"
id       = 20
untagged = ["lan1"]
`

func TestAChipAtABusThatIsNotThereYetIsWaitedFor(t *testing.T) {
	c, _, err := configs.Parse("chip.toml", []byte(strings.Replace(overMDIO, "MTU", "1500", 1)))
	if err != nil {
		t.Fatal(err)
	}
	log := &logged{}
	s := newSwitches(logger(log))
	if err := s.open(c); err != nil {
		t.Fatal(err)
	}
	if st := s.all[0].keeper.Status(); !errors.Is(st.Err, hw.ErrSilent) || !strings.Contains(st.Err.Error(), "device nosuch0: management bus") {
		t.Errorf("status %+v", st)
	}
	if !strings.Contains(log.String(), "nosuch0") {
		t.Errorf("the log says %q", log)
	}
	if err := s.close(); err != nil {
		t.Error(err)
	}
}

func TestWhatAChipCannotDoIsAFaultOfTheFile(t *testing.T) {
	c, _, err := configs.Parse("chip.toml", []byte(strings.Replace(overMDIO, "MTU", "9200", 1)))
	if err != nil {
		t.Fatal(err)
	}
	faults := checkSwitches(c)
	if len(faults) != 1 || !strings.Contains(faults[0].Error(), "chip.toml:8:12: switch.sw0.mtu: mtu 9200: QCA8337 passes packets of 9000 bytes at most") {
		t.Errorf("faults %q", faults)
	}
}
