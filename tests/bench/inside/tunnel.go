package inside

import (
	"fmt"
	"io"
	"net/netip"

	"spigate/netstack"
	"spigate/netstack/frame"
	"spigate/netstack/ipsec"
	"spigate/netstack/vserver"
	"spigate/tests/bench/report"
	"spigate/tests/netns"
)

// gateway is a whole router in this process with a tunnel to benchServer: what
// comes in by its lan for farNetwork goes into it. In front of everything is one
// virtual server.
type gateway struct {
	r     *netstack.Router
	taken int
	peer  *ipsec.SA // the other end's, that seals for us
}

const farNetwork = "198.18.0.0/24"

var (
	farHost = netip.MustParseAddr("198.18.0.9")
	gateEnd = netip.MustParseAddr("203.0.113.1")
)

// newGateway makes one whose tunnel has suite s, or one without a tunnel if s is
// nil.
func newGateway(s *ipsec.Suite) (*gateway, error) {
	g := &gateway{}
	c := netstack.RouterConfig{
		Listeners: vserver.Config{Servers: []vserver.Server{Forwarding("all", "0.0.0.0/0")}},
		Routes:    []netstack.Route{{To: netip.MustParsePrefix("0.0.0.0/0"), Via: benchServer}},
	}
	if s != nil {
		c.IPsec = ipsec.Config{
			Policies:  []ipsec.Policy{{Name: "P", Mode: ipsec.Tunnel, Local: gateEnd, Remote: benchServer}},
			Selectors: []ipsec.TrafficSelector{{Name: "S", Policy: "P", Source: netip.MustParsePrefix("192.0.2.0/24"), Destination: netip.MustParsePrefix(farNetwork)}},
		}
	}
	var err error
	if g.r, err = benchRouter(&g.taken, nil, c, "192.0.2.1/24", 0); err != nil || s == nil {
		return g, err
	}
	sa := ipsec.SAConfig{SPI: 0x1001, Outbound: true, Mode: ipsec.Tunnel, Suite: *s, Keys: SomeKeys(*s), Local: gateEnd.As4(), Remote: benchServer.As4()}
	if _, err = g.r.IPsec().Add("S", sa, 0); err != nil {
		return g, err
	}
	sa.SPI, sa.Outbound = 0x1002, false
	if _, err = g.r.IPsec().Add("S", sa, 0); err != nil {
		return g, err
	}
	sa.Outbound, sa.Local, sa.Remote = true, sa.Remote, sa.Local
	g.peer, err = ipsec.NewSA(sa, 0)
	return g, err
}

// outward is a packet from the lan to the far host, and inward its answer.
func outward(length int, port uint16) packet {
	return packet{
		proto: frame.ProtoUDP, dstMAC: frame.MAC{2, 0, 0, 0, 0, 1}, srcMAC: frame.MAC{2, 0, 0, 0, 0, 7},
		src: benchClient, dst: farHost, srcPort: port, dstPort: port, length: length,
	}
}

func inward(length int, port uint16) packet {
	return packet{
		proto: frame.ProtoUDP, dstMAC: frame.MAC{2, 0, 0, 0, 0, 2}, srcMAC: frame.MAC{2, 0, 0, 0, 0, 7},
		src: farHost, dst: benchClient, srcPort: port, dstPort: port, length: length,
	}
}

// sealed is a frame with p as the other end seals it.
func (g *gateway) sealed(p packet) ([]byte, error) {
	b := make([]byte, frame.HeaderLen+ipsec.Headroom+p.length+ipsec.Tailroom)
	off := frame.HeaderLen + ipsec.Headroom
	whole := p.build()
	copy(b[off:], whole[frame.HeaderLen:])
	start, end, v := g.peer.Seal(b, off, p.length, 0, 0)
	if v != ipsec.Pass {
		return nil, fmt.Errorf("the other end does not seal: %v", v)
	}
	copy(b[start-frame.HeaderLen:], whole[:frame.HeaderLen])
	return b[start-frame.HeaderLen : end], nil
}

// tunnelWay is what a packet goes through; the first is what the others are
// compared with.
type tunnelWay struct {
	name  string
	suite *ipsec.Suite // nil: no tunnel
	port  uint16       // of UDP: 4500 never takes the flow table
	open  bool         // from the other end to the lan, not the other way
}

func tunnelWays() []tunnelWay {
	return []tunnelWay{
		{name: "in clear, through the stack", port: 4500},
		{name: "in clear, by the flow table", port: 9999},
		{"sealed, aes-gcm-128", &Suites[0], 9999, false},
		{"opened, aes-gcm-128", &Suites[0], 9999, true},
		{"sealed, aes-cbc-256 with sha256", &Suites[3], 9999, false},
		{"opened, aes-cbc-256 with sha256", &Suites[3], 9999, true},
	}
}

// lap is one way with a router of its own, and what it took.
type lap struct {
	tunnelWay
	*gateway
	length int
	ns     []float64 // a packet, of each batch
}

// pass sends a batch through the router: from the lan, or from the other end.
func (l *lap) pass(back bool) (ns float64, err error) {
	port, p := 0, outward(l.length, l.port)
	if back {
		port, p = 1, inward(l.length, l.port)
	}
	batch := make([]frame.Frame, frame.Batch)
	for i := range batch {
		b := p.build()
		if back && l.suite != nil {
			if b, err = l.sealed(p); err != nil {
				return 0, err
			}
		}
		batch[i] = frame.Copy(b, 0)
	}
	l.taken = 0
	start := netns.Monotonic()
	l.r.Port(port).Input(batch)
	ns = float64(netns.Monotonic()-start) / frame.Batch
	if l.taken != len(batch) {
		return 0, fmt.Errorf("%s: %d of %d packets came out", l.name, l.taken, len(batch))
	}
	return ns, nil
}

// laps measures turns batches of every way, in turns.
func laps(length, turns int) (all []*lap, err error) {
	defer func() {
		for _, l := range all {
			l.r.Close()
		}
	}()
	for _, w := range tunnelWays() {
		g, err := newGateway(w.suite)
		if err != nil {
			return all, err
		}
		l := &lap{tunnelWay: w, gateway: g, length: length}
		all = append(all, l)
		for _, back := range []bool{false, true, false, true} { // the connection is there, and in the flow table if it may
			if _, err := l.pass(back); err != nil {
				return all, err
			}
		}
	}
	for range turns {
		for _, l := range all {
			ns, err := l.pass(l.open)
			if err != nil {
				return all, err
			}
			l.ns = append(l.ns, ns)
		}
	}
	return all, nil
}

// gateways prints what a tunnel costs the router beside the same packets in
// clear.
func gateways(turns int, out io.Writer) error {
	for _, length := range Sizes {
		all, err := laps(length, turns)
		if err != nil {
			return fmt.Errorf("tunnels, %d bytes: %w", length, err)
		}
		t := report.Table{Head: []string{fmt.Sprintf("tunnels, whole router in process, UDP, %d bytes", length), "ns/packet", "kpps", "ratio"}}
		for _, l := range all {
			m := report.Median(l.ns)
			t.Row(l.name, fmt.Sprintf("%.0f", m), fmt.Sprintf("%.0f", 1e6/m), report.Ratio(report.Median(all[0].ns), m))
		}
		t.Print(out)
	}
	return nil
}
