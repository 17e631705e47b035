package inside

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip/faketime"

	"spigate/netstack"
	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/link"
	"spigate/netstack/lsn"
)

// sink is a driver that takes everything: what remains is the router's own
// cost.
type sink struct {
	link.Driver
	taken *int
	from  *frame.Endpoint // of the last packet with ports, may be nil
}

func (s sink) Write(batch []frame.Frame) (int, drop.Reason) {
	*s.taken += len(batch)
	if s.from != nil {
		b := batch[len(batch)-1].Bytes()[frame.HeaderLen:]
		*s.from = frame.Endpoint{Addr: frame.Addr(b[12:16]), Port: binary.BigEndian.Uint16(b[20:])}
	}
	return len(batch), drop.None
}

// slowPath sends NAT traversal's UDP through the whole router: the ALG has to
// see every packet of port 4500, so none of it takes the fast path.
func slowPath(b *testing.B) {
	p := packet{
		proto: frame.ProtoUDP, dstMAC: frame.MAC{2, 0, 0, 0, 0, 1}, srcMAC: frame.MAC{2, 0, 0, 0, 0, 9},
		src: netip.MustParseAddr("192.0.2.11"), dst: netip.MustParseAddr("203.0.113.254"),
		srcPort: 4500, dstPort: 4500, length: 100,
	}
	taken := 0
	r, err := benchRouter(&taken, nil, netstack.RouterConfig{LSN: oneAddress()}, "192.0.2.1/24", 0)
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	batch, _ := batchOf(p.build())
	r.Port(0).Input(batch[:1])
	if taken != 1 {
		b.Fatal("nothing came out")
	}
	b.ReportAllocs()
	for b.Loop() {
		batch, _ = batchOf(p.build())
		r.Port(0).Input(batch)
	}
	if want := 1 + b.N*frame.Batch; taken < want {
		b.Fatalf("%d of %d packets came out", taken, want)
	}
}

// oneAddress is a NAT of one network with one address.
func oneAddress() lsn.Config {
	nat := frame.Addr{203, 0, 113, 3}
	return lsn.Config{
		Clients: []lsn.Client{{Name: "C", Networks: network("192.0.2.0/24")}},
		Pools:   []lsn.Pool{{Name: "N", Ranges: []lsn.Range{{First: nat, Last: nat}}}},
		Groups:  []lsn.Group{{Name: "G", Client: "C", Pools: []string{"N"}}},
	}
}

// The neighbours of a benchRouter.
var (
	benchClient = netip.MustParseAddr("192.0.2.11")
	benchServer = netip.MustParseAddr("203.0.113.254")
)

// benchRouter is a router whose neighbours have introduced themselves, the
// server and, if it is in the network of the router's address local, the
// client. from is where the last packet to the server came from, may be nil;
// flows is the size of the flow table, 0 the default.
func benchRouter(taken *int, from *frame.Endpoint, c netstack.RouterConfig, local string, flows int) (*netstack.Router, error) {
	inside, _ := link.NewPair(frame.MAC{2, 0, 0, 0, 0, 1}, frame.MAC{2, 0, 0, 0, 1, 1}, 1500)
	outside, _ := link.NewPair(frame.MAC{2, 0, 0, 0, 0, 2}, frame.MAC{2, 0, 0, 0, 1, 2}, 1500)
	r, err := netstack.New(netstack.Config{ChassisConfig: netstack.ChassisConfig{
		Ports: []netstack.Port{
			{Name: "lan", Driver: sink{inside, taken, nil}, VLANs: []netstack.VLAN{{ID: lan, Name: "inside", Addresses: network(local)}}},
			{Name: "wan", Driver: sink{outside, taken, from}, VLANs: []netstack.VLAN{{ID: wan, Name: "outside", Addresses: network("203.0.113.1/24")}}},
		},
		Flows: flows,
		Clock: faketime.NewManualClock(), // it stands still: nobody is there to confirm a neighbour
	}, RouterConfig: c})
	if err != nil {
		return nil, err
	}
	introduce(r, 1, benchServer, netip.MustParseAddr("203.0.113.1"))
	if own := netip.MustParsePrefix(local); own.Contains(benchClient) {
		introduce(r, 0, benchClient, own.Addr())
	}
	*taken = 0
	return r, nil
}

// introduce has a neighbour ask for the router's address: who asks is known
// from then on (RFC 826).
func introduce(r *netstack.Router, port int, who, asked netip.Addr) {
	ask := []byte{
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 7, 8, 6,
		0, 1, 8, 0, 6, 4, 0, 1,
		2, 0, 0, 0, 0, 7,
	}
	ask = append(append(append(ask, who.AsSlice()...), 0, 0, 0, 0, 0, 0), asked.AsSlice()...)
	r.Port(port).Input([]frame.Frame{frame.Copy(ask, 0)})
}

func network(s string) []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix(s)} }
