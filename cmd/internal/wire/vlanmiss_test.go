package wire

import (
	"strings"
	"testing"

	"spigate/cmd/internal/control"
	"spigate/netstack/frame"
)

// missConfig is guideConfig whose second server was forgotten to be told of the
// VLAN on which the other side begins: what the guide warns of.
func missConfig(vlans string) string {
	return strings.Replace(guideConfig, "vlans = [\"vlan-internal-2-0\", \"external\"]\nvlans_enabled = true", vlans, 1)
}

// attempt sends the first packet of a TCP connection by a port.
func (o *operated) attempt(port int, src, dst string) {
	o.t.Helper()
	key := tuple(frame.ProtoTCP, src, dst)
	packet := packetSpec{proto: frame.ProtoTCP, ttl: 64, tcpFlags: frame.TCPSyn,
		src: frame.Endpoint{Addr: key.Src, Port: key.SrcPort}, dst: frame.Endpoint{Addr: key.Dst, Port: key.DstPort}}.bytes()
	ethernet := append([]byte{2, 0, 0, 0, 0, byte(port), 6, 0, 0, 0, 0, 1, 8, 0}, packet...)
	o.router.Chassis.Port(port).Input([]frame.Frame{frame.Copy(ethernet, 0)})
}

// missed is the row of vlan_miss.
func (o *operated) missed() control.Drop {
	o.t.Helper()
	for d, err := range o.client.Drops(o.t.Context()) {
		if err != nil {
			o.t.Fatal(err)
		}
		switch {
		case d.Reason == "vlan_miss":
			return d
		case d.VLANMisses != nil:
			o.t.Errorf("%s has missed VLANs", d.Reason)
		}
	}
	o.t.Fatal("there is no row vlan_miss")
	return control.Drop{}
}

// Q2, and the commonest fault of BIG-IP's guide (VR46).
func TestAServerThatIsMissedByItsVLANIsExplained(t *testing.T) {
	for _, c := range []struct{ name, vlans, want string }{
		{"the other side's is not listed", `vlans = ["vlan-internal-2-0"]` + "\nvlans_enabled = true",
			`virtual server ipsec-2 listens on vlan-internal-2-0, not on external, where 10.1.1.1:40000 -> 10.2.1.1:80 (tcp) came in: add "external" to its vlans`},
		{"it is shut out", `vlans = ["external"]` + "\nvlans_disabled = true",
			`virtual server ipsec-2 listens on vlan-internal-2-0, not on external, where 10.1.1.1:40000 -> 10.2.1.1:80 (tcp) came in: take "external" out of its vlans`},
		{"none is listed", "vlans_enabled = true",
			`virtual server ipsec-2 listens on no VLAN, not on external, where 10.1.1.1:40000 -> 10.2.1.1:80 (tcp) came in: add "external" to its vlans`},
	} {
		o := operatedBy(t, missConfig(c.vlans))
		if d := o.missed(); d.Count != 0 || d.VLANMisses != nil {
			t.Errorf("%s: before anything was sent: %+v", c.name, d)
		}
		o.attempt(1, "10.1.1.1:40001", "10.2.1.1:80")
		o.attempt(1, "10.1.1.1:40000", "10.2.1.1:80")
		d := o.missed()
		if d.Count != 2 || len(d.VLANMisses) != 1 || d.VLANMisses[0].Count != 2 {
			t.Fatalf("%s: %+v", c.name, d)
		}
		if got := d.VLANMisses[0].Advice(); got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, got, c.want)
		}
		for v, err := range o.client.LTMVirtuals(t.Context(), control.Filter{}) {
			if want := map[bool]uint64{true: 2}[v.Name == "ipsec-2"]; err != nil || v.VLANMisses != want {
				t.Errorf("%s: %s has %d misses, want %d (%v)", c.name, v.Name, v.VLANMisses, want, err)
			}
		}
	}
}

func TestAnAttemptOnAListedVLANIsCountedOnItsServer(t *testing.T) {
	o := operatedBy(t, guideConfig)
	o.attempt(1, "10.1.1.1:40000", "10.2.1.1:80")
	if d := o.missed(); d.Count != 0 || d.VLANMisses != nil {
		t.Errorf("%+v", d)
	}
	got := seen(o, o.client.Connections(t.Context(), control.Filter{}), func(c control.Connection) string {
		return c.Virtual + " " + c.State
	})
	if got != "ipsec-2 handshake" {
		t.Errorf("connections: %s", got)
	}
	for v, err := range o.client.LTMVirtuals(t.Context(), control.Filter{Name: "ipsec-2"}) {
		if err != nil || v.BitsIn != 8*40 || v.PacketsIn != 1 || v.Current != 1 || v.Total != 1 {
			t.Errorf("%+v, %v", v, err)
		}
	}
}
