package wire

import (
	"strings"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/faketime"

	"spigate/netstack"
)

func TestARouterWhoseTablesAreNotSweptIsNotAlive(t *testing.T) {
	clock := faketime.NewManualClock()
	chassis, err := netstack.NewChassis(netstack.ChassisConfig{Clock: clock, Flows: 64}, nil)
	if err != nil {
		t.Fatal(err)
	}
	d := &Daemon{chassis: chassis}
	if err := d.Alive(); err != nil {
		t.Error(err)
	}
	clock.Advance(time.Minute) // the sweep goes with the clock
	if err := d.Alive(); err != nil {
		t.Errorf("after a minute: %v", err)
	}
	chassis.Close() // ends the sweep
	clock.Advance(9 * time.Second)
	if err := d.Alive(); err == nil || !strings.Contains(err.Error(), "swept for 9s") {
		t.Errorf("without a sweep: %v", err)
	}
}
