package ltm

import (
	"net/netip"
	"os"
	"testing"
)

// The shipped examples, played as they are, but for the names of devices. Their
// default route leads to a neighbour that is not there: what is sealed does not
// need it.
func TestTheShippedTunnelServesBothDirections(t *testing.T) {
	e := digOn(t, roads{local: local, far: far, tagged: true}, example(t, "ipsec-tunnel"), "", oppositeTunnel)
	e.serve(e.far, netip.AddrPortFrom(far, 80))
	e.serve(e.local, netip.AddrPortFrom(local, 80))
	road := e.between()
	e.reaches(e.local, netip.AddrPortFrom(far, 80), 200_000)
	e.reaches(e.far, netip.AddrPortFrom(local, 80), 200_000)
	e.reachesByPing(e.local, far)
	e.reachesByPing(e.far, local)
	e.isSealed(road)
}

func TestTheShippedInterfaceAndNATWorkSideBySide(t *testing.T) {
	beyondIf := netip.MustParseAddr("10.3.1.1")
	opposite := peerOf(nearEnd, "") + policyOf("tunnel", oppositeEnd, "") + selectorOf("networks", "10.3.1.0/24", "10.2.1.0/24") +
		selectorOf("nat", "192.168.15.2/32", "10.1.1.0/24") + everybody + "[route.\"192.168.15.2/32\"]\nvia = \"10.3.1.1\"\n"
	e := digOn(t, roads{local: local, far: beyondIf, tagged: true}, example(t, "ipsec-interface"), "", opposite)
	e.must(e.local.Address("eth1", netip.PrefixFrom(user, 24)))
	e.ip(e.local, "route", "add", known.String(), "via", gatewayOf(user).String())
	e.must(e.far.Address("eth0", netip.PrefixFrom(hidden, 32)))
	e.serve(e.local, netip.AddrPortFrom(local, 80))
	e.serve(e.far, netip.AddrPortFrom(beyondIf, 80))
	s := e.serve(e.far, netip.AddrPortFrom(hidden, 80))
	road := e.between()
	e.reaches(e.local, netip.AddrPortFrom(beyondIf, 80), 100_000)
	e.reaches(e.far, netip.AddrPortFrom(local, 80), 100_000)
	e.reaches(e.local, netip.AddrPortFrom(known, 80), 100_000)
	if got := s.visitors(); len(got) != 1 || got[0].Addr() != user {
		t.Errorf("%v came", got)
	}
	e.isSealed(road)
	var peers []struct {
		Name string `json:"name"`
	}
	e.must(e.daemon.Show(e.ctx, &peers, "net", "ipsec", "peer"))
	if len(peers) != 1 {
		t.Errorf("%d IKE SAs with one peer: %+v", len(peers), peers)
	}
}

func example(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../../../configs/examples/" + name + ".toml")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
