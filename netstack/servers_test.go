package netstack

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"spigate/netstack/frame"
	"spigate/netstack/vserver"
)

// The two sites of the walk-throughs: 10.2.1.0/24 is on our inside, 10.1.1.0/24
// behind the neighbour on our outside. Neither is an LSN group's.
var (
	near  = addr("10.2.1.1")
	near2 = addr("10.2.1.2")
	far   = addr("10.1.1.1")
)

// A second VLAN of the port wan, for what comes another way.
const (
	otherIf  = frame.Interface(3)
	otherTag = 30
)

func twoSites(c *Config) {
	in := &c.Ports[0].VLANs[0]
	in.Addresses = append(in.Addresses, prefixes("10.2.1.254/24")...)
	out := &c.Ports[1]
	out.VLANs = append(out.VLANs, VLAN{ID: otherIf, Name: "other", Tag: otherTag, Addresses: prefixes("10.9.0.1/24")})
	c.Routes = append(c.Routes, Route{To: netip.MustParsePrefix("10.1.1.0/24"), Via: netip.MustParseAddr("203.0.113.254")})
}

// newSites is a world of two sites.
func newSites(t testing.TB, options ...option) *world {
	t.Helper()
	w := newWorld(t, append([]option{twoSites}, options...)...)
	w.neighbor(lanIf, near)
	w.neighbor(lanIf, near2)
	return w
}

// change returns a server that differs from s in what fn does.
func change(s vserver.Server, fn func(*vserver.Server)) vserver.Server {
	fn(&s)
	return s
}

// on lists the VLANs that a server listens on.
func on(s vserver.Server, list ...frame.Interface) vserver.Server {
	s.VLANs = vserver.VLANs{Enabled: true, List: list}
	return s
}

// ipsec0 and ipsec2 are the servers of the walk-throughs: from the inside to
// the other site, and back.
func ipsec0() vserver.Server {
	return change(on(forwarding("ipsec-0", "10.1.1.0/24"), lanIf), func(s *vserver.Server) {
		s.Source, s.Protocol = netip.MustParsePrefix("10.2.1.0/24"), frame.ProtoTCP
	})
}

func ipsec2() vserver.Server {
	return change(on(forwarding("ipsec-2", "10.2.1.0/24"), wanIf), func(s *vserver.Server) {
		s.Source, s.Protocol = netip.MustParsePrefix("10.1.1.0/24"), frame.ProtoTCP
	})
}

// withFastL4 changes the profile that all servers have unless they name one.
func withFastL4(p vserver.FastL4) option {
	p.Name = "fastL4"
	return func(c *Config) { c.Listeners.Profiles = append(c.Listeners.Profiles, p) }
}

// stats are the counters of a listener.
func (w *world) stats(kind vserver.Kind, name string) vserver.Stats {
	w.t.Helper()
	l := w.r.conns.Listeners().Find(kind, name)
	if l == nil {
		w.t.Fatalf("there is no %v %s", kind, name)
	}
	return l.Counters().Stats()
}

// traffic fails unless a server counted these packets and bytes of IP, and
// eight bits for each of those.
func (w *world) traffic(name string, packets, bytes [2]uint64) {
	w.t.Helper()
	s := w.stats(vserver.KindServer, name)
	got := [...]uint64{s.PacketsIn, s.PacketsOut, s.BitsIn(), s.BitsOut()}
	if want := [...]uint64{packets[0], packets[1], 8 * bytes[0], 8 * bytes[1]}; got != want {
		w.t.Errorf("%s counts %d packets in, %d out, %d bits in, %d out; want %d", name, got[0], got[1], got[2], got[3], want)
	}
}

// tagged sends IPv4 packets into the port wan with a VLAN tag.
func (w *world) tagged(tag uint16, packets ...[]byte) {
	w.t.Helper()
	for _, p := range packets {
		w.r.Port(1).Input([]frame.Frame{frame.Copy(frameTo(wanMAC, p), tag)})
	}
}

// talk is a TCP connection from port to port: two ends with sequence numbers,
// each of which knows the other by the address that it sees.
type talk struct {
	w      *world
	ends   [2]frame.Endpoint // by vserver.Side
	inside vserver.Side      // whose packets come in at the port lan
	seen   [2]frame.Endpoint // what each end is to the other
	next   [2]uint32         // sequence numbers
	acked  [2]uint32         // what each has acknowledged of the other's

	packets, bytes [2]uint64 // that were sent and arrived
}

// Where the two ends of a talk begin to number.
const (
	firstOfClient = uint32(1000)
	firstOfRemote = ^uint32(0) - 10 // goes round zero soon
)

// talk prepares a connection. inside says whether its client is at the port lan.
func (w *world) talk(inside bool, client, remote frame.Endpoint) *talk {
	ends := [2]frame.Endpoint{client, remote}
	k := &talk{w: w, ends: ends, seen: ends, next: [2]uint32{firstOfClient, firstOfRemote}}
	if !inside {
		k.inside = vserver.Remote
	}
	return k
}

// segment is the next one of a side, with what it has of the other one
// acknowledged.
func (k *talk) segment(from vserver.Side, flags uint8, text string) []byte {
	peer := k.next[1-from]
	if flags&ack == 0 {
		peer = 0
	}
	return segment(k.ends[from], k.seen[1-from], k.next[from], peer, flags, text)
}

// give puts a packet into the router at a side, and returns what leaves at the
// other one. At its own there must be nothing.
func (k *talk) give(from vserver.Side, b []byte) [][]byte {
	k.w.t.Helper()
	if from == k.inside {
		k.w.fromLAN(b)
		k.w.none(k.w.atLAN())
		return k.w.atWAN()
	}
	k.w.fromWAN(b)
	k.w.none(k.w.atWAN())
	return k.w.atLAN()
}

// say sends a segment that must arrive as the other end expects it.
func (k *talk) say(from vserver.Side, flags uint8, text string) {
	k.w.t.Helper()
	b := k.segment(from, flags, text)
	p := k.w.one(k.give(from, b))
	if src, dst := at(p.Src, p.SrcPort), at(p.Dst, p.DstPort); dst != k.ends[1-from] || src != k.seen[from] {
		k.w.t.Fatalf("%v > %v arrives as %v > %v, want %v > %v", k.ends[from], k.seen[1-from], src, dst, k.seen[from], k.ends[1-from])
	}
	if seq := binary.BigEndian.Uint32(p.Transport()[4:]); said(p) != text || p.TCPFlags != flags || seq != k.next[from] {
		k.w.t.Fatalf("arrives with flags %#x, sequence number %d: %q", p.TCPFlags, seq, said(p))
	}
	k.sent(from, flags, b)
}

// sent moves a side's number behind what it sent, and counts it.
func (k *talk) sent(from vserver.Side, flags uint8, b []byte) {
	k.next[from] += uint32(len(b) - 40)
	if flags&(syn|frame.TCPFin) != 0 {
		k.next[from]++
	}
	if flags&ack != 0 {
		k.acked[from] = k.next[1-from]
	}
	k.packets[from]++
	k.bytes[from] += uint64(len(b))
}

// shake opens the connection with three segments.
func (k *talk) shake() *talk {
	k.w.t.Helper()
	k.say(vserver.Client, syn, "")
	k.say(vserver.Remote, synAck, "")
	k.say(vserver.Client, ack, "")
	return k
}

// chat exchanges data n times, which takes the fast path after the first.
func (k *talk) chat(n int) *talk {
	k.w.t.Helper()
	for range n {
		k.say(vserver.Client, ack, "a question")
		k.say(vserver.Remote, ack, "an answer of more bytes")
	}
	return k
}

// part closes the connection from both ends.
func (k *talk) part() {
	k.w.t.Helper()
	k.say(vserver.Client, frame.TCPFin|ack, "")
	k.say(vserver.Remote, frame.TCPFin|ack, "")
	k.say(vserver.Client, ack, "")
}

// rst is a RST that arrived somewhere.
type rst struct {
	from, to frame.Endpoint
	seq, ack uint32
	flags    uint8
}

// resets returns the RSTs among packets, and fails if there is anything else.
func (w *world) resets(packets [][]byte) (out []rst) {
	w.t.Helper()
	for _, b := range packets {
		p := w.parsed(b)
		if p.Proto != frame.ProtoTCP || p.TCPFlags&frame.TCPRst == 0 {
			w.t.Errorf("no RST: % x", b)
			continue
		}
		t := p.Transport()
		out = append(out, rst{
			at(p.Src, p.SrcPort), at(p.Dst, p.DstPort), binary.BigEndian.Uint32(t[4:]), binary.BigEndian.Uint32(t[8:]), p.TCPFlags,
		})
	}
	return out
}

// atSide returns what has left at a side since the last call.
func (k *talk) atSide(side vserver.Side) [][]byte {
	if side == k.inside {
		return k.w.atLAN()
	}
	return k.w.atWAN()
}

// resetBoth fails unless each end was sent one RST, with numbers that it
// believes: the one that it acknowledged last, and all that it sent acknowledged
// (VR17).
func (k *talk) resetBoth() {
	k.w.t.Helper()
	for side := range vserver.Remote + 1 {
		got := k.w.resets(k.atSide(side))
		want := rst{k.seen[1-side], k.ends[side], k.acked[side], k.next[side], frame.TCPRst | ack}
		if len(got) != 1 || got[0] != want {
			k.w.t.Errorf("side %d got %+v, want %+v", side, got, want)
		}
	}
}

// wait lets seconds pass one by one, as the sweep does.
func (w *world) wait(seconds int) {
	for range seconds {
		w.advance(time.Second)
	}
}
