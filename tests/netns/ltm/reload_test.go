package ltm

import (
	"fmt"
	"net"
	"net/netip"
	"testing"

	"spigate/tests/netns"
)

// Four servers beside that of the transfer, told apart by port, as they are before the reload and after it.
// The third one is another server then, and still one that its connections are
// legal for: disabled, and not on their VLAN. The fifth one is new.
func before() string {
	return onPort("bulk", 7005, "") + onPort("same", 7000, "") + onPort("gone", 7001, "") + onPort("altered", 7002, "") + onPort("moved", 7003, "")
}

func after() string {
	return onPort("bulk", 7005, "") + onPort("same", 7000, "") + onPort("altered", 7002, "disabled = true\nvlans = [\"external\"]\nvlans_enabled = true\n") +
		onPort("moved", 7013, "") + onPort("new", 7004, "")
}

func onPort(name string, port int, more string) string {
	return fmt.Sprintf("[ltm.virtual.%s]\ndestination = \"10.1.1.0/24:%d\"\nip_protocol = \"tcp\"\nip_forward = true\n%s", name, port, more)
}

// live is how many connections each of the four servers has.
const live = 250

// A reload under 1,000 live connections: those that are still legal go on and
// lose nothing, the others end at once for both sides, and nobody else notices:
// not even a transfer on the fast path, whose flow stays where it is (VR11).
func TestAReloadUnderAThousandConnections(t *testing.T) {
	p := settle(t, before())
	var crowds []*crowd
	for i := range 4 {
		crowds = append(crowds, p.gather(netip.AddrPortFrom(far, uint16(7000+i)), live))
	}
	p.serve(p.far, netip.AddrPortFrom(far, 7004))
	p.serve(p.far, netip.AddrPortFrom(far, 7005))
	bulk := p.startBulk(netip.AddrPortFrom(far, 7005))
	bulk.passes(8 << 20)
	for _, c := range crowds {
		c.everybodySpeaks(2)
	}
	flow := bulk.packets()

	p.reload(after())
	p.logged("connections_kept", 2*live+1)
	p.logged("connections_ended", 2*live)
	for i, c := range crowds {
		if i == 0 || i == 2 {
			c.everybodySpeaks(2)
			continue
		}
		c.isGone()
	}
	bulk.passes(16 << 20)
	if then := bulk.packets(); then < flow+(8<<20)/1500 {
		t.Errorf("the transfer's flow had %d packets and now has %d: it was taken off the fast path", flow, then)
	}
	bulk.stop()
	crowds[0].isWell()
	crowds[2].isWell()
	p.reaches(p.local, netip.AddrPortFrom(far, 7004), 1000)
	p.reaches(p.local, netip.AddrPortFrom(far, 7000), 1000)
	// A segment that came in the moment in which its connection ended is one
	// that nobody listens for, too.
	earlier := p.drops("no_listener")
	p.dropped("no_listener", earlier+p.getsNothing(p.local, p.far, netip.AddrPortFrom(far, 7001))+
		p.getsNothing(p.local, p.far, netip.AddrPortFrom(far, 7003)))
}

// logged waits for a number in the daemon's log.
func (p *place) logged(key string, n int) {
	p.t.Helper()
	p.eventually("the log", func() error {
		for _, line := range p.daemon.Output() {
			if netns.ParseLogLine(line)[key] == fmt.Sprint(n) {
				return nil
			}
		}
		return fmt.Errorf("there is no line with %s=%d", key, n)
	})
}

// The same with translated sources: what a side is told has to come from the
// address that it knows, and what it says afterwards comes to that address.
func TestAReloadEndsTranslatedConnectionsForBothSides(t *testing.T) {
	p := settle(t, servers("fastL4"))
	var crowds []*crowd
	for i := range 3 {
		crowds = append(crowds, p.gather(netip.AddrPortFrom(far, uint16(81+i)), 30))
	}
	for _, c := range crowds {
		c.everybodySpeaks(2)
	}
	p.reload(carrier)
	p.logged("connections_ended", 90)
	for _, c := range crowds {
		c.isGone()
	}
	// The group translates what its subscribers begin now.
	s := p.serve(p.far, netip.AddrPortFrom(far, 80))
	p.reaches(p.local, netip.AddrPortFrom(far, 80), 1000)
	if got := s.visitors(); len(got) != 1 || got[0].Addr() != natAddress {
		t.Errorf("%v came, expected %v", got, natAddress)
	}
}

// A daemon that was killed knows nothing of the connections that it had: who
// goes on talking is reset (VR15), or picked up, as the profile says.
func TestAfterARestartConnectionsAreResetOrPickedUp(t *testing.T) {
	for _, c := range []struct {
		name, profile string
		fate          func(t *testing.T, c net.Conn)
	}{
		{"reset", "", func(t *testing.T, c net.Conn) {
			_, err := c.Read(make([]byte, 1))
			isReset(t, "who went on talking", err)
		}},
		{"picked up", "[ltm.profile.fastl4.fastL4]\nloose_initialization = true\n", func(t *testing.T, c net.Conn) {
			if err := exchange(c, 100_000); err != nil {
				t.Error(err)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := settle(t, ipsec0+c.profile)
			p.serve(p.far, netip.AddrPortFrom(far, 80))
			conn := p.talk(netip.AddrPortFrom(far, 80), 1000)
			p.restart(ipsec0 + c.profile)
			if c.name == "reset" {
				_, err := conn.Write([]byte("anybody there?"))
				p.must(err)
			}
			c.fate(t, conn)
		})
	}
}
