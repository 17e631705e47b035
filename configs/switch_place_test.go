package configs

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFaultsOfSwitchesStandWhereTheyAre(t *testing.T) {
	text := "version = 1\n[port.lan]\ndriver = \"raw\"\ndevice = \"br\"\n[switch.s]\ndriver = \"dsa\"\n  cpu_port = \"lna\"\n" +
		"[vlan.a]\nswitch = \"s\"\nid = 4095\nuntagged = [\"x\",\n \"y\"]\n[vlan.b]\nswitch = \"s\"\nid = 2\nuntagged = [\"z\", \"y\"]\n[vlan.c]\nswitch = \"t\"\n"
	_, got := parse(text)
	want := []string{
		`f:7:14: switch.s.cpu_port: there is no [port.lna]; did you mean "lan"?`,
		"f:10:6: vlan.a.id: must be from 1 to 4094, not 4095",
		`f:16:18: vlan.b.untagged[1]: "y" is untagged in [vlan.a] already: a frame without a tag is of one VLAN; write it in tagged in one of the two`,
		"f:17:7: vlan.c.id: is missing: a VLAN on a switch has one from 1 to 4094, for its frames come to the router tagged",
		`f:18:10: vlan.c.switch: there is no [switch.t]`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLimitsThatAreNotWrittenAreTheBoards(t *testing.T) {
	of := Options{Limits: func(model string) (Limits, error) {
		if model != "small" {
			return Limits{}, errors.New("there is no model " + model)
		}
		return Limits{Flows: 1000, LSNSessions: 2000}, nil
	}}
	text := "version = 1\n[board]\nmodel = \"small\"\n[limits]\nlsn_sessions = 64\n"
	c, _, err := LoadText("f", []byte(text), of)
	if err != nil {
		t.Fatal(err)
	}
	want := DefaultLimits()
	want.Flows, want.LSNSessions = 1000, 64
	if c.Limits != want {
		t.Errorf("limits %+v, want %+v", c.Limits, want)
	}
	_, _, err = LoadText("f", []byte(strings.Replace(text, "small", "huge", 1)), of)
	if err == nil || err.Error() != "f:3:9: board.model: there is no model huge" {
		t.Errorf("an unknown model: %v", err)
	}
	c, _, err = Parse("f", []byte(strings.Replace(text, "lsn_sessions = 64", "", 1)))
	if err != nil || c.Limits != DefaultLimits() {
		t.Errorf("without options: %+v, %v", c.Limits, err)
	}
}

func TestAFaultThatAnotherOneFindsStandsInTheFile(t *testing.T) {
	c, messages := parse(switched)
	if len(messages) > 0 {
		t.Fatal(messages)
	}
	for _, tt := range []struct{ got, want string }{
		{c.Fault("bad", "switch", "sw0").Error(), "f:15:9: switch.sw0: bad"},
		{c.Fault("bad", "switch", "sw0", "cpu_port").Error(), "f:17:12: switch.sw0.cpu_port: bad"},
		{c.Fault("bad", "switch", "sw0", "mtu").Error(), "f:15:9: switch.sw0.mtu: bad"},
		{c.FaultOf(1, "bad", "vlan", "home", "untagged").Error(), "f:37:21: vlan.home.untagged[1]: bad"},
		{c.FaultOf(7, "bad\nbad", "vlan", "home", "untagged").Error(), "f:37:12: vlan.home.untagged[7]: bad bad"},
		{c.PortFault(c.Switches[0], "lan4", "bad").Error(), "f:38:11: vlan.home.tagged[0]: bad"},
		{c.PortFault(c.Switches[0], "lan1", "bad").Error(), "f:37:21: vlan.home.untagged[1]: bad"},
		{c.PortFault(c.Switches[1], "b", "bad").Error(), "f:26:10: switch.soft0.port.b.device: bad"},
		{c.PortFault(c.Switches[2], "p2", "bad").Error(), "f:32:19: switch.chip.port.p2.device: bad"},
		{c.PortFault(c.Switches[2], "p3", "bad").Error(), "f:27:9: switch.chip: bad"},
		{c.Fault("bad", "nowhere").Error(), "f:1:1: nowhere: bad"},
		{c.Warning("odd", "vlan", "home", "id").String(), "f:36:6: vlan.home.id: warning: odd"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s, want %s", tt.got, tt.want)
		}
	}
}
