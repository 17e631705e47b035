package ltm

import (
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"spigate/tests/netns"
)

// An end that was killed has forgotten everything. When it is back, its hosts'
// packets make it begin anew, and what the other end still has from before is
// replaced; with up = true it needs no packet for that. Connections that were
// there go on, for they are the hosts' own.
func TestAnEndThatWasKilledComesBack(t *testing.T) {
	loose := "[ltm.profile.fastl4.fastL4]\nloose_initialization = true\n"
	for _, c := range []struct {
		name string
		near string
		who  func(e *ends) *netns.Namespace // speaks first afterwards
	}{
		{"its host speaks first", "", func(e *ends) *netns.Namespace { return e.local }},
		{"the other host speaks first", "up = true\n", func(e *ends) *netns.Namespace { return e.far }},
	} {
		t.Run(c.name, func(t *testing.T) {
			near := nearTunnel + c.near + protected(ipsec0) + "[ltm.virtual.rest]\ndestination = \"0.0.0.0:any\"\nip_forward = true\nrequire_protection = true\n" + loose
			e := dig(t, seedRoads, near, oppositeTunnel)
			e.serve(e.far, netip.AddrPortFrom(far, 80))
			conn := e.talk(netip.AddrPortFrom(far, 80), 10_000)
			e.restart(near)
			to := map[*netns.Namespace]netip.Addr{e.local: far, e.far: local}[c.who(e)]
			if took := e.reachesByPing(c.who(e), to); took > 5*time.Second {
				t.Errorf("an answer came after %v", took)
			} else {
				t.Logf("%v after it was ready an answer was back", took)
			}
			if err := exchange(conn, 100_000); err != nil {
				t.Errorf("the connection from before: %v", err)
			}
		})
	}
}

// SIGHUP exchanges selectors, servers and lifetimes under a transfer that loses
// nothing: a tunnel that the new configuration still has stays as it is. One that
// it does not have is gone, for both ends.
func TestAReloadOfTunnelsUnderATransfer(t *testing.T) {
	second := selectorOf("second", "10.2.2.0/24", "10.1.1.0/24")
	mirror := selectorOf("second", "10.1.1.0/24", "10.2.2.0/24")
	near := nearTunnel + protected(ipsec0) + "[route.\"10.2.2.0/24\"]\nvia = \"10.2.1.1\"\n"
	e := dig(t, seedRoads, near, oppositeTunnel+mirror)
	other := netip.MustParseAddr("10.2.2.1")
	e.must(e.local.Address("eth0", netip.PrefixFrom(other, 32)))
	e.serve(e.far, netip.AddrPortFrom(far, 80))
	bulk := e.startBulk(netip.AddrPortFrom(far, 80))
	bulk.passes(1 << 20)
	ups := strings.Count(e.log(), `msg="CHILD UP"`)

	server := protected("[ltm.virtual.second]\ndestination = \"10.1.1.0/24:any\"\nsource = \"10.2.2.0/24\"\nip_forward = true\n")
	e.reload(near + second + server)
	bulk.passes(1 << 20)
	if n := strings.Count(e.log(), `msg="CHILD UP"`); n != ups {
		t.Errorf("the tunnel of the transfer was negotiated again: %d SAs were made, now %d", ups, n)
	}
	c, err := e.dialFrom(e.local, netip.AddrPortFrom(other, 0), netip.AddrPortFrom(far, 80), soon)
	if err == nil {
		err = exchange(c, 1000)
		c.Close()
	}
	if err != nil {
		t.Errorf("through the new selector: %v", err)
	}
	bulk.passes(1 << 20)
	e.reload(near + server)
	bulk.passes(1 << 20)
	e.opposite.says("CHILD DOWN", "selector=second")
	if c, err := e.dialFrom(e.local, netip.AddrPortFrom(other, 0), netip.AddrPortFrom(far, 80), silence); err == nil {
		c.Close()
		t.Error("the selector that is gone still works")
	}
	bulk.stop()
	if n := e.drops("selector_miss"); n == 0 {
		t.Error("nothing was dropped by selector_miss: the server requires protection")
	}
}

// What is wrong at one end is said in both logs, with what to do about it; when it
// is mended, at the next packet the tunnel comes up, without a restart.
func TestWhatIsWrongIsSaidWithItsRemedy(t *testing.T) {
	good := nearTunnel + both
	for _, c := range []struct {
		name   string
		near   string
		ours   []string // that began
		theirs []string
	}{
		{"another pre-shared key", strings.Replace(good, secret, "known to one of them", 1),
			[]string{"AUTHENTICATION_FAILED", "remedy=", "use the same pre-shared key on both ends"},
			[]string{"pre-shared key", "remedy=", "use the same pre-shared key on both ends"}},
		{"another network", strings.Replace(good, `destination_address = "10.1.1.0/24"`, `destination_address = "10.1.0.0/24"`, 1),
			[]string{"TS_UNACCEPTABLE", "remedy=", "mirrored selectors"},
			[]string{"10.1.0.0/24", "remedy=", "mirror"}},
		{"another cipher for packets", strings.Replace(good, "tunnel_local_address", "ike_phase2_encrypt_algorithm = \"aes256\"\ntunnel_local_address", 1),
			[]string{"NO_PROPOSAL_CHOSEN", "remedy=", "configure one of these"},
			[]string{"NO_PROPOSAL_CHOSEN", "remedy=", "configure one of the offered proposals"}},
		{"another cipher for IKE", peerOf(oppositeEnd, "phase1_perfect_forward_secrecy = \"modp4096\"\n") + strings.TrimPrefix(good, peerOf(oppositeEnd, "")),
			[]string{"NO_PROPOSAL_CHOSEN", "remedy=", "configure one of these"},
			[]string{"NO_PROPOSAL_CHOSEN", "remedy=", "configure one of the offered proposals"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := dig(t, seedRoads, c.near, oppositeTunnel)
			to := far
			if strings.Contains(c.near, "10.1.0.0/24") {
				to = netip.MustParseAddr("10.1.0.1")
				e.reload(c.near + protected("[ltm.virtual.wrong]\ndestination = \"10.1.0.0/24:any\"\nip_forward = true\n"))
			}
			if c, err := e.dial(e.local, netip.AddrPortFrom(to, 80), silence); err == nil {
				c.Close()
				t.Fatal("it came through all the same")
			}
			e.says(c.ours...)
			e.opposite.says(c.theirs...)
			e.reload(good)
			t.Logf("mended, an answer after %v", e.reachesByPing(e.local, far))
		})
	}
}

// An end that ends says so, and the other one keeps nothing.
func TestAnEndThatIsStoppedSaysSo(t *testing.T) {
	e := digging(t, seedRoads, both)
	e.reachesByPing(e.local, far)
	e.must(e.daemon.Signal(syscall.SIGTERM))
	<-e.daemon.Done()
	e.opposite.says("IKE DOWN")
	e.opposite.says("CHILD DOWN")
}
