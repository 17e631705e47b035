package ftp

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"spigate/alg"
	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// openNAT opens every port that is asked for, at one that the model can tell
// from it.
type openNAT struct {
	refuse drop.Reason
	asked  []uint16
}

func (n *openNAT) Expect(e alg.Expectation, _ int64) (frame.Endpoint, drop.Reason) {
	n.asked = append(n.asked, e.Port)
	if n.refuse != drop.None {
		return frame.Endpoint{}, n.refuse
	}
	return outsideOf(e.Port), drop.None
}

// outsideOf is where a port is opened: the length of its text varies.
func outsideOf(port uint16) frame.Endpoint {
	return endpoint(3, 0, byte(port>>3), byte(port), 1024+port*7%60000)
}

var inside = endpoint(192, 0, 2, 11, 50000)

func controlConn(server bool) alg.Conn {
	c := alg.Conn{Session: 1, Mapping: 1, Proto: frame.ProtoTCP, Inside: inside,
		Outside: endpoint(203, 0, 113, 3, 2000), Remote: endpoint(198, 51, 100, 7, Port)}
	if server {
		c.Inside.Port, c.Remote.Port = Port, 40000
	}
	return c
}

// link is one direction of the network: segments on their way, in any order.
type wireSegment struct{ b []byte }

// sender is a TCP that has a stream to send, and sends any part of it that is
// not acknowledged.
type sender struct {
	isn   uint32
	text  []byte // what it has to say
	una   int    // acknowledged
	limit int    // sent at most up to here, as the window and the script want it
}

// receiver is a TCP that puts segments together.
type receiver struct {
	isn  uint32
	have map[int]byte // by place in the stream, beyond got too
	got  []byte
}

func (r *receiver) take(s segment) {
	at := int(int32(s.seq() - r.isn - 1))
	for i, b := range s.payload() {
		if at+i >= len(r.got) && at+i >= 0 {
			r.have[at+i] = b
		}
	}
	for {
		b, ok := r.have[len(r.got)]
		if !ok {
			return
		}
		delete(r.have, len(r.got))
		r.got = append(r.got, b)
	}
}

// sack is a block of what was received beyond got, 0, 0 if there is none.
func (r *receiver) sack() (left, right uint32) {
	for i := len(r.got) + 1; i < len(r.got)+400; i++ {
		if _, ok := r.have[i]; !ok {
			continue
		}
		end := i
		for _, ok := r.have[end]; ok; _, ok = r.have[end] {
			end++
		}
		return r.isn + 1 + uint32(i), r.isn + 1 + uint32(end)
	}
	return 0, 0
}

// tcp makes a segment; sack blocks are added if right is not 0.
func tcp(seq, ack uint32, flags byte, payload []byte, left, right uint32) []byte {
	size := leastTCP
	if right != 0 {
		size += 12
	}
	b := make([]byte, size, size+len(payload))
	binary.BigEndian.PutUint32(b[4:], seq)
	binary.BigEndian.PutUint32(b[8:], ack)
	b[12], b[13] = byte(size/4)<<4, byte(flags)
	if right != 0 {
		copy(b[20:], []byte{optionNone, optionNone, optionSACK, 10})
		binary.BigEndian.PutUint32(b[24:], left)
		binary.BigEndian.PutUint32(b[28:], right)
	}
	return append(b, payload...)
}

// packet puts a segment behind an IPv4 header, of which the helper reads only
// the length.
func packet(c alg.Conn, dir alg.Direction, segment []byte, room int) *alg.Packet {
	return &alg.Packet{Conn: c, Dir: dir, IP: append(make([]byte, 20), segment...), Header: 20, Room: max(room, 20+len(segment))}
}

func segmentOf(t fataler, b []byte) segment {
	s, ok := parseSegment(b)
	if !ok {
		t.Fatalf("no segment: % x", b)
	}
	return s
}

type fataler interface {
	Fatalf(format string, args ...any)
}

// script is lines of a client, each with its translation. Lines that are split
// over segments cannot be told in advance, so the model's client never splits
// one when it sends it first, only when it repeats it.
func script(t *rapid.T) (text, want []byte, ends []int) {
	for i := range rapid.IntRange(1, 12).Draw(t, "lines") {
		port := uint16(rapid.IntRange(1024, 9000).Draw(t, "port"))
		a := announcement{form: form(rapid.IntRange(0, 2).Draw(t, "form")), bar: '|'}
		verb := map[form]string{commas: "PORT ", bars: "EPRT "}[a.form]
		if a.form == portOnly {
			line := fmt.Appendf(nil, "RETR file-%d\r\n", i*port2(port))
			text, want = append(text, line...), append(want, line...)
		} else {
			text = append(a.text(append(text, verb...), endpoint(192, 0, 2, 11, port)), '\r', '\n')
			want = append(a.text(append(want, verb...), outsideOf(port)), '\r', '\n')
		}
		ends = append(ends, len(text))
	}
	return text, want, ends
}

func port2(p uint16) int { return int(p) * int(p) }

// Whatever the network loses, repeats, reorders and cuts: the server gets what
// the rewriting makes of the client's text, and nothing of the client's text
// counts as arrived that has not.
func TestBothEndsSeeOneStream(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newTwoEnds(t)
		for range rapid.IntRange(20, 120).Draw(t, "turns") {
			w.turn()
		}
		w.quiet()
		if !bytes.Equal(w.server.got, w.want) {
			t.Fatalf("the server got %q, want %q", w.server.got, w.want)
		}
		if w.client.una != len(w.client.text) {
			t.Fatalf("%d of %d bytes are acknowledged", w.client.una, len(w.client.text))
		}
	})
}

// twoEnds is a client and a server with the helper and two bad networks between
// them.
type twoEnds struct {
	t          *rapid.T
	h          *Helper
	nat        openNAT
	client     sender
	server     receiver
	want       []byte
	ends       []int
	out, in    []wireSegment // behind the helper, on their way to server and client
	room       int
	lost, gaps int
}

func newTwoEnds(t *rapid.T) *twoEnds {
	w := &twoEnds{t: t, h: New(Config{})}
	w.client.isn = rapid.Uint32().Draw(t, "isn")
	w.server = receiver{isn: w.client.isn, have: map[int]byte{}}
	w.client.text, w.want, w.ends = script(t)
	w.room = rapid.SampledFrom([]int{90, 120, 1500}).Draw(t, "room")
	w.fromClient(tcp(w.client.isn, 0, frame.TCPSyn, nil, 0, 0))
	return w
}

// fromClient gives the helper a segment, and the network what it makes of it.
func (w *twoEnds) fromClient(b []byte) {
	p := packet(controlConn(false), alg.In2Out, b, w.room)
	res := w.h.Step(p, &w.nat, 0)
	if res.Verdict == alg.Drop {
		w.gaps++
		return
	}
	if res.Transport != nil {
		b = res.Transport
	}
	if len(b) > p.Room-p.Header {
		w.t.Fatalf("a segment of %d bytes, there is room for %d", len(b), p.Room-p.Header)
	}
	if segmentOf(w.t, b).has(frame.TCPSyn) {
		return
	}
	w.out = append(w.out, wireSegment{b})
}

// send sends the client's text from from to to.
func (w *twoEnds) send(from, to int) {
	w.client.limit = max(w.client.limit, to)
	w.fromClient(tcp(w.client.isn+1+uint32(from), 77, flagAck|8, w.client.text[from:to], 0, 0))
}

func (w *twoEnds) turn() {
	switch rapid.IntRange(0, 5).Draw(w.t, "turn") {
	case 0, 1: // new lines; one that jumps ahead is lost or late
		next := w.client.limit
		for range rapid.IntRange(1, 3).Draw(w.t, "at once") {
			for _, e := range w.ends {
				if e > next {
					next = e
					break
				}
			}
		}
		if next > w.client.limit && rapid.IntRange(0, 5).Draw(w.t, "lost inside") > 0 {
			w.send(w.client.limit, next)
		}
		w.client.limit = max(w.client.limit, next)
	case 2: // something again, cut anywhere
		if w.client.limit > w.client.una {
			w.again()
		}
	case 3, 4:
		w.arrive(&w.out, w.atServer)
	case 5:
		w.arrive(&w.in, w.atClient)
	}
}

// again repeats part of what was sent, cut anywhere: but a line that the helper
// has not read, because it dropped its segment, comes whole once more.
func (w *twoEnds) again() {
	read := int(w.h.control(1, false).next - w.client.isn - 1)
	from := rapid.IntRange(w.client.una, w.client.limit-1).Draw(w.t, "from")
	to := rapid.IntRange(from+1, w.client.limit).Draw(w.t, "to")
	if to > read {
		if from > read { // a line, whole, of which one before is missing
			from = bytes.LastIndexByte(w.client.text[:from], '\n') + 1
		}
		to = w.ends[slices.IndexFunc(w.ends, func(e int) bool { return e >= to })]
	}
	w.send(from, to)
}

// arrive takes any segment off the network; it may be lost, or come twice.
func (w *twoEnds) arrive(q *[]wireSegment, to func([]byte)) {
	if len(*q) == 0 {
		return
	}
	i := rapid.IntRange(0, len(*q)-1).Draw(w.t, "which")
	b := (*q)[i].b
	fate := rapid.IntRange(0, 9).Draw(w.t, "fate")
	if fate != 0 { // else it stays, and comes again
		*q = append((*q)[:i], (*q)[i+1:]...)
	}
	if fate == 1 {
		w.lost++
		return
	}
	to(b)
}

// atServer takes a segment, or as much of it as it has a window for, and
// acknowledges that by way of the helper.
func (w *twoEnds) atServer(b []byte) {
	s := segmentOf(w.t, b)
	if n := len(s.payload()); n > 0 && rapid.IntRange(0, 4).Draw(w.t, "small window") == 0 {
		s.b = s.b[:s.size+rapid.IntRange(0, n).Draw(w.t, "window")]
	}
	w.server.take(s)
	if !bytes.HasPrefix(w.want, w.server.got) {
		w.t.Fatalf("the server got %q of %q", w.server.got, w.want)
	}
	left, right := w.server.sack()
	b = tcp(99, w.server.isn+1+uint32(len(w.server.got)), flagAck, nil, left, right)
	res := w.h.Step(packet(controlConn(false), alg.Out2In, b, 0), &w.nat, 0)
	if res.Transport != nil {
		if len(res.Transport) != len(b) {
			w.t.Fatalf("an acknowledgement of %d bytes became one of %d", len(b), len(res.Transport))
		}
		b = res.Transport
	}
	w.in = append(w.in, wireSegment{b})
}

// atClient takes an acknowledgement: never of more than was sent, nor of a line
// that the server has not got to its end.
func (w *twoEnds) atClient(b []byte) {
	s := segmentOf(w.t, b)
	acked := int(int32(s.ack() - w.client.isn - 1))
	if acked > w.client.limit {
		w.t.Fatalf("%d bytes are acknowledged, %d were sent", acked, w.client.limit)
	}
	w.client.una = max(w.client.una, acked)
	if n := w.linesIn(w.server.got, w.want); w.client.una > 0 && bytes.Count(w.client.text[:w.client.una], []byte{'\n'}) > n {
		w.t.Fatalf("%q is acknowledged, the server has %q", w.client.text[:w.client.una], w.server.got)
	}
	sackOption(s.b[leastTCP:s.size], func(blocks []byte) bool {
		left := int(int32(binary.BigEndian.Uint32(blocks) - w.client.isn - 1))
		right := int(int32(binary.BigEndian.Uint32(blocks[4:]) - w.client.isn - 1))
		if left >= right || right > w.client.limit {
			w.t.Fatalf("the selective acknowledgement %d to %d, %d were sent", left, right, w.client.limit)
		}
		return true
	})
}

func (*twoEnds) linesIn(got, _ []byte) int { return bytes.Count(got, []byte{'\n'}) }

// quiet lets the client repeat what is not acknowledged over a good network.
func (w *twoEnds) quiet() {
	for range 1000 {
		for len(w.out) > 0 {
			b := w.out[0].b
			w.out = w.out[1:]
			w.atServer(b)
		}
		for len(w.in) > 0 {
			b := w.in[0].b
			w.in = w.in[1:]
			w.atClient(b)
		}
		if w.client.una == len(w.client.text) {
			return
		}
		to := len(w.client.text)
		for _, e := range w.ends {
			if e > w.client.una {
				to = e
				break
			}
		}
		w.send(w.client.una, to)
	}
}
