package netstack

import (
	"encoding/binary"
	"testing"
	"time"

	"spigate/netstack/flow"
	"spigate/netstack/frame"
	"spigate/netstack/lsn"
	"spigate/netstack/vserver"
)

// dialog is one TCP connection from port to port, of which the test is both ends.
// Side 0 is the client. It keeps the numbers, and counts what it sent.
type dialog struct {
	w     *world
	port  [2]int            // of each side
	me    [2]frame.Endpoint // each side as itself
	peer  [2]frame.Endpoint // and as the other one sees it
	next  [2]uint32         // sequence numbers
	count [2]vserver.Traffic
}

// dialog opens a connection; client and remote are on ports of the world, 0 for
// lan. It fails unless the SYN comes out at the far one.
func (w *world) dialog(from int, client, remote frame.Endpoint) *dialog {
	w.t.Helper()
	k := &dialog{w: w, port: [2]int{from, 1 - from}, me: [2]frame.Endpoint{client, {}}, peer: [2]frame.Endpoint{{}, remote}, next: [2]uint32{1000, 7000}}
	p := k.sends(0, syn, "")
	if p.Dst == remote.Addr {
		k.me[1] = remote
	}
	k.sends(1, synAck, "")
	k.sends(0, ack, "")
	return k
}

// out puts a packet into a side's port and returns what comes out at the other
// one.
func (k *dialog) out(side int, b []byte) [][]byte {
	k.w.send(k.port[side], [2]frame.MAC{lanMAC, wanMAC}[k.port[side]], [][]byte{b})
	if k.port[side] == 0 {
		return k.w.atWAN()
	}
	return k.w.atLAN()
}

// segment is one of a side's, with the numbers as they are.
func (k *dialog) segment(side int, flags uint8, data string) []byte {
	var acked uint32
	if flags&ack != 0 {
		acked = k.next[1-side]
	}
	return segment(k.me[side], k.peer[1-side], k.next[side], acked, flags, data)
}

// sends sends a side's next segment and fails unless the other side gets it,
// from whom it knows. It counts.
func (k *dialog) sends(side int, flags uint8, data string) frame.Packet {
	k.w.t.Helper()
	b := k.segment(side, flags, data)
	p := k.w.one(k.out(side, b))
	from, to := at(p.Src, p.SrcPort), at(p.Dst, p.DstPort)
	if flags == syn {
		k.me[1-side], k.peer[side] = to, from
	}
	if from != k.peer[side] || to != k.me[1-side] || p.TTL() != 63 || said(p) != data {
		k.w.t.Fatalf("%v > %v ttl %d %q; want %v > %v", from, to, p.TTL(), said(p), k.peer[side], k.me[1-side])
	}
	k.next[side] += uint32(len(data))
	if flags&(syn|frame.TCPFin) != 0 {
		k.next[side]++
	}
	k.count[side].Packets++
	k.count[side].Bytes += uint64(len(b))
	return p
}

// chat sends n segments of data each way.
func (k *dialog) chat(n int) {
	k.w.t.Helper()
	for range n {
		k.sends(0, ack, "data of the client")
		k.sends(1, ack, "answer")
	}
}

// closes ends the connection by FINs.
func (k *dialog) closes() {
	k.w.t.Helper()
	k.sends(0, ack|frame.TCPFin, "")
	k.sends(1, ack|frame.TCPFin, "")
	k.sends(0, ack, "")
}

// counted fails unless a listener has counted exactly what was sent, at once or,
// with the sweep of the fast path, a second later.
func (k *dialog) counted(kind vserver.Kind, name string) {
	k.w.t.Helper()
	k.w.counted(kind, name, k.count[0], k.count[1])
}

func (w *world) counted(kind vserver.Kind, name string, in, out vserver.Traffic) {
	w.t.Helper()
	w.advance(time.Second)
	s := w.listenerStats(kind, name)
	if (vserver.Traffic{Packets: s.PacketsIn, Bytes: s.BytesIn}) != in || (vserver.Traffic{Packets: s.PacketsOut, Bytes: s.BytesOut}) != out {
		w.t.Errorf("%v %s counts in %d packets, %d bytes, out %d, %d; sent were %+v and %+v",
			kind, name, s.PacketsIn, s.BytesIn, s.PacketsOut, s.BytesOut, in, out)
	}
}

// flowOwners are the kinds of owners that have flows.
func (w *world) flowOwners() map[flow.OwnerKind]int {
	out := map[flow.OwnerKind]int{}
	w.r.flows.Walk(func(i flow.Info) bool {
		if i.Valid {
			out[i.Owner.Kind]++
		}
		return true
	})
	return out
}

// resetIn is the one RST among packets, for a side of the connection.
func (k *dialog) resetIn(packets [][]byte, side int) (seq, acked uint32) {
	k.w.t.Helper()
	p := k.w.one(packets)
	if p.TCPFlags&frame.TCPRst == 0 || at(p.Src, p.SrcPort) != k.peer[1-side] || at(p.Dst, p.DstPort) != k.me[side] {
		k.w.t.Fatalf("%v:%d > %v:%d flags %#x is no RST for side %d", p.Src, p.SrcPort, p.Dst, p.DstPort, p.TCPFlags, side)
	}
	t := p.Transport()
	return binary.BigEndian.Uint32(t[4:]), binary.BigEndian.Uint32(t[8:])
}

// translation is a world for each way to translate, with who opens on
// which port and who counts.
type translation struct {
	name           string
	world          func(t testing.TB, options ...option) *world
	from           int
	client, remote frame.Endpoint
	kind           vserver.Kind
	listener       string
	outside        frame.Addr // what the client looks like; zero: itself
}

func everyTranslation() []translation {
	me, s := at(client1, 40000), at(server, 443)
	with := func(o option) func(testing.TB, ...option) *world {
		return func(t testing.TB, more ...option) *world { return office(t, append([]option{o}, more...)...) }
	}
	lsnServer := func(t testing.TB, more ...option) *world {
		patient := lsn.TransportProfile{Proto: frame.ProtoTCP, SessionTimeout: 10 * time.Minute} // as the server's 300 s
		return newWorld(t, append([]option{serving(byGroup("v")), func(c *Config) {
			c.LSN.Groups[0].Transports = append(c.LSN.Groups[0].Transports, patient)
		}}, more...)...)
	}
	return []translation{
		{"none", with(serving(forwarding("v", "203.0.113.0/24"))), 0, me, s, vserver.KindServer, "v", client1},
		{"snat", with(snatting(to(snatOut))), 0, me, s, vserver.KindSNAT, "s", snatOut},
		{"automap", with(automapping()), 0, me, s, vserver.KindSNAT, "s", wanAddr},
		{"nat outwards", with(natting()), 0, me, s, vserver.KindNAT, "n", natOut},
		{"nat inwards", with(natting()), 1, at(server, 50000), at(natOut, 80), vserver.KindNAT, "n", server},
		{"lsn", lsnServer, 0, me, s, vserver.KindServer, "v", natAddr},
	}
}

// byGroup is a virtual server for everything whose source the group of the test
// translates.
func byGroup(name string) vserver.Server {
	s := forwarding(name, "0.0.0.0/0")
	s.SourceTranslation, s.Group = vserver.TranslateLSN, "G"
	return s
}
