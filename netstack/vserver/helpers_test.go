package vserver

import (
	"net/netip"
	"testing"
	"time"

	"spigate/netstack/frame"
)

const (
	second   = int64(time.Second)
	lan      = frame.Interface(1)
	external = frame.Interface(2)
	tunnel   = frame.Interface(9)
)

func pfx(s string) netip.Prefix {
	if s == "any" {
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	return netip.MustParsePrefix(s)
}

func addr(s string) frame.Addr { return frame.Addr(netip.MustParseAddr(s).As4()) }

// vs is an ip-forward server.
func vs(name, dst, src string, proto uint8, port uint16) Server {
	return Server{Name: name, Destination: pfx(dst), Source: pfx(src), Protocol: proto, Port: port, Role: Forward}
}

func on(s Server, vlans ...frame.Interface) Server {
	s.VLANs = VLANs{Enabled: true, List: vlans}
	return s
}

func disabled(s Server) Server {
	s.Disabled = true
	return s
}

func build(t testing.TB, c Config) *Listeners {
	t.Helper()
	l, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func attempt(in frame.Interface, proto uint8, src, dst string, port uint16) Attempt {
	return Attempt{In: in, Proto: proto, Src: addr(src), Dst: addr(dst), Port: port}
}

// said is a result in words: the verdict, and the listener's name.
func said(r Result) string {
	out := r.Verdict.String()
	if r.Listener != nil {
		out += " " + r.Listener.Name
	}
	if r.Source != nil {
		out += " by " + r.Source.Name
	}
	return out
}

func wants(t *testing.T, l *Listeners, a Attempt, want string) {
	t.Helper()
	if got := said(l.Match(a)); got != want {
		t.Errorf("%+v: %s, want %s", a, got, want)
	}
}

func tcpKey(src string, sport uint16, dst string, dport uint16) Key {
	return Key{addr(src), addr(dst), sport, dport, frame.ProtoTCP, NoQuery}
}

func udpKey(src string, sport uint16, dst string, dport uint16) Key {
	return Key{addr(src), addr(dst), sport, dport, frame.ProtoUDP, NoQuery}
}

// world is a table with a clock, and the RSTs that it asked for.
type world struct {
	*testing.T
	tab    *Table
	now    int64
	resets []Reset
	ends   []End
	onEnd  func(End) // besides
}

func newWorld(t *testing.T, c Config) *world {
	t.Helper()
	w := &world{T: t, now: 1000 * second}
	w.tab = NewTable(TableConfig{Capacity: 1000, Listeners: build(t, c), OnEnd: func(e End) {
		w.ends = append(w.ends, e)
		if w.onEnd != nil {
			w.onEnd(e)
		}
	}})
	return w
}

// open lets the first packet of k in.
func (w *world) open(k Key, s Segment, in frame.Interface) (Hit, Verdict) {
	r := w.tab.Listeners().Match(Attempt{In: in, Proto: k.Proto, Src: k.Src, Dst: k.Dst, Port: k.DstPort})
	return w.tab.Open(r, k, k.Reversed(), s, in, w.now)
}

func (w *world) mustOpen(k Key, s Segment) Hit {
	w.Helper()
	h, v := w.open(k, s, lan)
	if v != Admit {
		w.Fatalf("%v: %v", k, v)
	}
	return h
}

// packet passes a packet of a known connection.
func (w *world) packet(k Key, s Segment, in frame.Interface) (over, ok bool) {
	h, ok := w.tab.Find(k, s, w.now)
	if !ok {
		return false, false
	}
	return w.tab.Touch(h, s, in, w.now)
}

func (w *world) mustPass(k Key, s Segment) {
	w.Helper()
	if _, ok := w.packet(k, s, lan); !ok {
		w.Fatalf("%v %+v: no connection", k, s)
	}
}

func (w *world) sweep() {
	w.resets = nil
	w.tab.Sweep(w.now, func(r Reset) { w.resets = append(w.resets, r) })
}

func (w *world) reload(c Config) (kept, ended int) {
	w.Helper()
	n := w.tab.Reload(build(w, c), w.now, func(r Reset) { w.resets = append(w.resets, r) })
	return n.Kept, n.Ended()
}

func (w *world) stats(name string) Stats {
	w.Helper()
	l := w.tab.Listeners().Find(KindServer, name)
	if l == nil {
		w.Fatalf("no server %s", name)
	}
	return l.Counters().Stats()
}

// handshake opens a TCP connection: client ISN 100, server ISN 500.
func (w *world) handshake(k Key) {
	w.Helper()
	w.mustOpen(k, Segment{Length: 40, Flags: frame.TCPSyn, Seq: 100, Size: 1})
	w.mustPass(k.Reversed(), Segment{Length: 40, Flags: frame.TCPSyn | tcpAck, Seq: 500, Ack: 101, Size: 1})
	w.mustPass(k, Segment{Length: 40, Flags: tcpAck, Seq: 101, Ack: 501})
}
