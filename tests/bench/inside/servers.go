package inside

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip/header"

	"spigate/netstack"
	"spigate/netstack/frame"
	"spigate/netstack/vserver"
	"spigate/tests/bench/report"
	"spigate/tests/netns"
)

// manyServers are n virtual servers, the last one for everything and the others
// for random networks in 11.0.0.0/8, with the same seed in every run.
func manyServers(n int) []vserver.Server {
	draw := rand.New(rand.NewPCG(1, 2))
	seen := map[netip.Prefix]bool{}
	var out []vserver.Server
	for len(out) < n-1 {
		var a [4]byte
		binary.BigEndian.PutUint32(a[:], 11<<24|draw.Uint32N(1<<24))
		p, _ := netip.AddrFrom4(a).Prefix(16 + draw.IntN(17)) // the length is right
		if !seen[p] {
			seen[p] = true
			out = append(out, Forwarding(fmt.Sprint("s", len(out)), p.String()))
		}
	}
	return append(out, Forwarding("all", "0.0.0.0/0"))
}

func Forwarding(name, destination string) vserver.Server {
	return vserver.Server{Name: name, Destination: netip.MustParsePrefix(destination), Role: vserver.Forward}
}

// matchAmong asks who admits a new flow, for as many flows as there are packets
// in a batch.
func matchAmong(n int) func(b *testing.B) {
	return func(b *testing.B) {
		l, err := vserver.New(vserver.Config{Servers: manyServers(n)})
		if err != nil {
			b.Fatal(err)
		}
		flows := make([]vserver.Attempt, 256*frame.Batch)
		for i := range flows {
			flows[i] = vserver.Attempt{In: lan, Proto: frame.ProtoTCP, Port: 443, Src: frame.Addr{192, 0, 2, 11}}
			binary.BigEndian.PutUint32(flows[i].Dst[:], 11<<24|rand.Uint32N(1<<24))
		}
		b.ReportAllocs()
		at := 0
		for b.Loop() {
			if !allAdmitted(l, flows[at:at+frame.Batch]) {
				b.Fatal("refused")
			}
			at = (at + frame.Batch) % len(flows)
		}
	}
}

// allAdmitted stands by itself because b.Loop keeps what its calls are given on
// the heap.
func allAdmitted(l *vserver.Listeners, flows []vserver.Attempt) bool {
	for i := range flows {
		if l.Match(flows[i]).Verdict != vserver.Admit {
			return false
		}
	}
	return true
}

// admission is a way to let a client's connections through; the first is what
// the others are compared with.
type admission struct {
	name   string
	config netstack.RouterConfig
}

func admissions() []admission {
	servers := func(list ...vserver.Server) netstack.RouterConfig {
		return netstack.RouterConfig{Listeners: vserver.Config{Servers: list}}
	}
	automap, byLSN := Forwarding("all", "0.0.0.0/0"), Forwarding("all", "0.0.0.0/0")
	automap.SourceTranslation = vserver.Automap
	byLSN.SourceTranslation, byLSN.Group = vserver.TranslateLSN, "G"
	both := servers(byLSN)
	both.LSN = oneAddress()
	return []admission{
		{"LSN group", netstack.RouterConfig{LSN: oneAddress()}},
		{"virtual server", servers(Forwarding("all", "0.0.0.0/0"))},
		{"virtual server, automap", servers(automap)},
		{"virtual server in front of the LSN group", both},
		{"virtual server among 1,000", servers(manyServers(1000)...)},
		{"virtual server among 100,000", servers(manyServers(100_000)...)},
	}
}

// handshakes is what the two ends of a short connection say.
var handshakes = []struct {
	client   bool
	flags    header.TCPFlags
	seq, ack uint32
}{
	{true, header.TCPFlagSyn, 1000, 0},
	{false, header.TCPFlagSyn | header.TCPFlagAck, 2000, 1001},
	{true, header.TCPFlagAck, 1001, 2001},
	{true, header.TCPFlagFin | header.TCPFlagAck, 1001, 2001},
	{false, header.TCPFlagFin | header.TCPFlagAck, 2001, 1002},
	{true, header.TCPFlagAck, 1002, 2002},
}

// connections opens and closes many connections through whole routers in this
// process: nothing of it takes the fast path.
func connections(rounds, count int, out io.Writer) error {
	t := report.Table{Head: []string{"in process, TCP opened and closed: 6 packets, slow path", "connections/s", "us each", "ratio"}}
	ways := admissions()
	us := make([][]float64, len(ways))
	for range rounds {
		for i, a := range ways {
			one, err := a.connect(count)
			if err != nil {
				return fmt.Errorf("%s: %w", a.name, err)
			}
			us[i] = append(us[i], one)
		}
	}
	for i, a := range ways {
		m := report.Median(us[i])
		t.Row(a.name, fmt.Sprintf("%.0f", 1e6/m), fmt.Sprintf("%.1f", m), report.Ratio(report.Median(us[0]), m))
	}
	t.Print(out)
	return nil
}

// connect returns how many microseconds a connection takes.
func (a admission) connect(count int) (us float64, err error) {
	taken, seen := 0, frame.Endpoint{}
	r, err := benchRouter(&taken, &seen, a.config, "192.0.2.1/24", 0)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	const warm = 500
	var start int64
	for i := range warm + count {
		if i == warm {
			start = netns.Monotonic()
		}
		for _, s := range handshakes {
			p := packet{
				proto: frame.ProtoTCP, srcMAC: frame.MAC{2, 0, 0, 0, 0, 7}, length: 40, flags: s.flags, seq: s.seq, ack: s.ack,
				src: benchClient, dst: benchServer, srcPort: uint16(10000 + i), dstPort: 443, dstMAC: frame.MAC{2, 0, 0, 0, 0, 1},
			}
			port := 0
			if !s.client {
				p.src, p.srcPort, p.dst, p.dstPort = benchServer, 443, netip.AddrFrom4(seen.Addr), seen.Port
				port, p.dstMAC = 1, frame.MAC{2, 0, 0, 0, 0, 2}
			}
			r.Port(port).Input([]frame.Frame{frame.Copy(p.build(), 0)})
		}
	}
	us = float64(netns.Monotonic()-start) / 1e3 / float64(count)
	if want := len(handshakes) * (warm + count); taken != want {
		return 0, fmt.Errorf("%d of %d packets came out", taken, want)
	}
	return us, nil
}
