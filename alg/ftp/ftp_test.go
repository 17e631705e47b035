package ftp

import (
	"encoding/binary"
	"fmt"
	"testing"

	"spigate/alg"
	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// session is a control connection of a test, with the sequence numbers of the
// subscriber beginning at 1000.
type session struct {
	t    *testing.T
	h    *Helper
	nat  openNAT
	conn alg.Conn
	next uint32
}

func newSession(t *testing.T, server bool) *session {
	s := &session{t: t, h: New(Config{}), conn: controlConn(server), next: 1000}
	s.out(tcp(999, 0, frame.TCPSyn, nil, 0, 0), 1500)
	return s
}

func (s *session) out(b []byte, room int) alg.Result {
	return s.h.Step(packet(s.conn, alg.In2Out, b, room), &s.nat, 0)
}

// says sends text and returns what leaves, as a view.
func (s *session) says(text string) segment {
	s.t.Helper()
	b := tcp(s.next, 5, flagAck, []byte(text), 0, 0)
	s.next += uint32(len(text))
	res := s.out(b, 1500)
	if res.Verdict != alg.Forward {
		s.t.Fatalf("%q: %v %v", text, res.Verdict, res.Reason)
	}
	if res.Transport == nil {
		return segmentOf(s.t, b)
	}
	return segmentOf(s.t, res.Transport)
}

func (s *session) wantSaid(text, want string) {
	s.t.Helper()
	if got := string(s.says(text).payload()); got != want {
		s.t.Errorf("%q leaves as %q, want %q", text, got, want)
	}
}

// acked is what the subscriber gets of an acknowledgement, with a block of a
// selective one if right is not 0.
func (s *session) acked(ack, left, right uint32) segment {
	b := tcp(5, ack, flagAck, []byte("200 ok\r\n"), left, right)
	if res := s.h.Step(packet(s.conn, alg.Out2In, b, 0), &s.nat, 0); res.Transport != nil {
		return segmentOf(s.t, res.Transport)
	}
	return segmentOf(s.t, b)
}

// line is what a client with the port says, and what becomes of it.
func portLine(port uint16) (said, becomes string) {
	a := announcement{form: commas}
	return "PORT " + string(a.text(nil, endpoint(192, 0, 2, 11, port))) + "\r\n",
		"PORT " + string(a.text(nil, outsideOf(port))) + "\r\n"
}

func TestWhatIsRewrittenAndWhatIsNot(t *testing.T) {
	said, becomes := portLine(40001)
	for _, tc := range []struct {
		name         string
		server       bool
		text, leaves string
		stats        Stats
	}{
		{"a client's PORT", false, said, becomes, Stats{Opened: 1}},
		{"in lower case, with a bare line feed", false, "port 192,0,2,11,156,65\n", "port " + becomes[5:len(becomes)-2] + "\n", Stats{Opened: 1}},
		{"EPRT", false, "EPRT |1|192.0.2.11|40001|\r\n", fmt.Sprintf("EPRT |1|%v|%d|\r\n", outsideOf(40001).Addr, outsideOf(40001).Port), Stats{Opened: 1}},
		{"EPRT of IPv6", false, "EPRT |2|::1|40001|\r\n", "EPRT |2|::1|40001|\r\n", Stats{}},
		{"several lines in one segment", false, "NOOP\r\n" + said + "RETR f\r\n" + said, "NOOP\r\n" + becomes + "RETR f\r\n" + becomes, Stats{Opened: 2}},
		{"another's address: the bounce attack", false, "PORT 192,0,2,12,156,65\r\n", "PORT 192,0,2,12,156,65\r\n", Stats{Foreign: 1}},
		{"the NAT address, which a client may have been told", false, "PORT 203,0,113,3,156,65\r\n", "PORT 203,0,113,3,156,65\r\n", Stats{Foreign: 1}},
		{"a well-known port", false, "PORT 192,0,2,11,3,255\r\n", "PORT 192,0,2,11,3,255\r\n", Stats{WellKnown: 1}},
		{"port 0", false, "EPRT |1|192.0.2.11|0|\r\n", "EPRT |1|192.0.2.11|0|\r\n", Stats{WellKnown: 1}},
		{"a client that says what a server says", false, "227 x (192,0,2,11,156,65)\r\n", "227 x (192,0,2,11,156,65)\r\n", Stats{}},
		{"a server's 227", true, "227 Passive (192,0,2,11,156,65).\r\n", "227 Passive (" + becomes[5:len(becomes)-2] + ").\r\n", Stats{Opened: 1}},
		{"a server's 229", true, "229 Extended (|||40001|)\r\n", fmt.Sprintf("229 Extended (|||%d|)\r\n", outsideOf(40001).Port), Stats{Opened: 1}},
		{"a server's 227 about another", true, "227 Passive (10,0,0,1,156,65).\r\n", "227 Passive (10,0,0,1,156,65).\r\n", Stats{Foreign: 1}},
		{"a server that says what a client says", true, said, said, Stats{}},
		{"a line without an end", false, said[:len(said)-2], said[:len(said)-2], Stats{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newSession(t, tc.server)
			s.wantSaid(tc.text, tc.leaves)
			tc.stats.Live, tc.stats.Watched = 1, 1
			if got := s.h.Stats(); got != tc.stats {
				t.Errorf("counted %+v, want %+v", got, tc.stats)
			}
		})
	}
}

func TestALineThatIsSplitPassesAsItIs(t *testing.T) {
	s := newSession(t, false)
	said, becomes := portLine(40001)
	s.wantSaid(said[:9], said[:9])
	s.wantSaid(said[9:]+said, said[9:]+becomes) // and the next one is read again
	s.wantSaid("ABOR", "ABOR")
	s.wantSaid("PORT 192,0,2,11,156,65\r\n", "PORT 192,0,2,11,156,65\r\n") // ABORPORT: no line of its own
}

func TestAPortThatTheNATDoesNotOpenIsNotAnnounced(t *testing.T) {
	s := newSession(t, false)
	s.nat.refuse = drop.NoFreePort
	said, _ := portLine(40001)
	s.wantSaid(said, said)
	if got := s.h.Stats(); got.Refused != 1 || got.Opened != 0 {
		t.Errorf("%+v", got)
	}
}

// The numbers of a text that grows.
func TestAcknowledgementsAreTranslated(t *testing.T) {
	said, becomes := portLine(1999) // PORT 192,0,2,11,7,207
	grown := uint32(len(becomes) - len(said))
	if grown == 0 {
		t.Fatal("the test needs a text that grows")
	}
	const at, end = 1005, 1021
	newEnd := end + grown
	for _, tc := range []struct{ ack, left, right, wantAck, wantLeft, wantRight uint32 }{
		{at, 0, 0, at, 0, 0},
		{at + 3, 0, 0, at, 0, 0},         // part of the new text is nothing of the old
		{newEnd - 1, 0, 0, at, 0, 0},     //
		{newEnd, 0, 0, end, 0, 0},        // all of it is all
		{1023 + grown, 0, 0, 1023, 0, 0}, //
		{1000, 1023 + grown, 1029 + grown, 1000, 1023, 1029},
		{1000, at, newEnd + 2, 1000, at, end + 2},
		{1000, at + 2, 1029 + grown, 1000, end, 1029}, // the rest of the new text is not all of it
		{1000, 1002, newEnd - 1, 1000, 1002, at},
		{1000, at + 1, newEnd - 1, 1000, 0, 0}, // within the new text: left out
	} {
		s := newSession(t, false)
		s.says(said)
		s.says("NOOP\r\n") // 1023 to 1029
		got := s.acked(tc.ack, tc.left, tc.right)
		if got.ack() != tc.wantAck {
			t.Errorf("%d is acknowledged as %d, want %d", tc.ack, got.ack(), tc.wantAck)
		}
		var left, right uint32
		sackOption(got.b[20:got.size], func(b []byte) bool {
			left, right = binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])
			return true
		})
		if left != tc.wantLeft || right != tc.wantRight {
			t.Errorf("%d to %d is selectively acknowledged as %d to %d, want %d to %d", tc.left, tc.right, left, right, tc.wantLeft, tc.wantRight)
		}
		if string(got.payload()) != "200 ok\r\n" {
			t.Error("the server's text is changed")
		}
	}
}

func TestAForgedAcknowledgementForgetsNothing(t *testing.T) {
	s := newSession(t, false)
	said, becomes := portLine(40001)
	s.says(said)
	s.acked(900_000, 0, 0)
	s.next = 1000
	s.wantSaid(said, becomes) // repeated
	if n := len(s.nat.asked); n != 1 {
		t.Errorf("%d ports were asked for", n)
	}
}

func TestASegmentBehindAGapIsDropped(t *testing.T) {
	s := newSession(t, false)
	said, becomes := portLine(40001)
	first := s.next
	s.next += 6
	if res := s.out(tcp(s.next, 5, flagAck, []byte(said), 0, 0), 1500); res.Verdict != alg.Drop || res.Reason != drop.FTPGap {
		t.Errorf("%v %v", res.Verdict, res.Reason)
	}
	if res := s.out(tcp(s.next+50, 5, frame.TCPFin|flagAck, nil, 0, 0), 1500); res.Reason != drop.FTPGap {
		t.Errorf("a FIN: %v", res.Reason)
	}
	if res := s.out(tcp(s.next+50, 5, flagAck, nil, 0, 0), 1500); res.Verdict != alg.Forward {
		t.Errorf("an acknowledgement: %v", res.Reason)
	}
	s.next = first
	s.wantSaid("NOOP\r\n", "NOOP\r\n")
	s.wantSaid(said, becomes)
	if got := s.h.Stats().Gaps; got != 2 {
		t.Errorf("%d gaps", got)
	}
}

func TestNoMoreLinesThanCanBeRemembered(t *testing.T) {
	s := newSession(t, false)
	said, becomes := portLine(40001)
	for range maxEdits - 1 {
		s.wantSaid(said, becomes)
	}
	s.wantSaid("NOOP\r\n"+said+"NOOP\r\n"+said+said, "NOOP\r\n"+becomes+"NOOP\r\n")
	s.next -= uint32(2 * len(said)) // cut off, so they come again
	again := tcp(s.next, 5, flagAck, []byte(said+said), 0, 0)
	if res := s.out(again, 1500); res.Reason != drop.FTPBacklog {
		t.Errorf("%v", res.Reason)
	}
	s.acked(s.h.control(1, false).outward(s.next), 0, 0)
	s.wantSaid(said+said, becomes+becomes)
	if got := s.h.Stats().Backlog; got != 1 {
		t.Errorf("%d counted", got)
	}
}

func TestASegmentIsCutRatherThanMadeTooLong(t *testing.T) {
	s := newSession(t, false)
	said, becomes := portLine(1999)
	if len(becomes) <= len(said) {
		t.Fatal("the test needs a text that grows")
	}
	text := said + "RETR file\r\n"
	b := tcp(s.next, 5, flagAck|frame.TCPFin, []byte(text), 0, 0)
	res := s.out(b, 20+len(b))
	got := segmentOf(t, res.Transport)
	if len(got.b) != len(b) || got.has(frame.TCPFin) {
		t.Errorf("%d bytes of %d, FIN %t", len(got.b), len(b), got.has(frame.TCPFin))
	}
	want := (becomes + "RETR file\r\n")[:len(text)]
	if string(got.payload()) != want {
		t.Errorf("%q, want %q", got.payload(), want)
	}
	ack := s.acked(got.seq()+uint32(len(got.payload())), 0, 0).ack()
	rest := text[ack-1000:]
	res = s.out(tcp(ack, 5, flagAck|frame.TCPFin, []byte(rest), 0, 0), 1500)
	if got := segmentOf(t, res.Transport); string(got.payload()) != rest || !got.has(frame.TCPFin) {
		t.Errorf("the rest: %q, FIN %t", got.payload(), got.has(frame.TCPFin))
	}
	s = newSession(t, false)
	if res := s.out(tcp(1000, 5, flagAck, []byte("PORT 192,0,2,11,7,207\r\n"), 0, 0), 45); res.Reason != drop.None {
		t.Errorf("%v", res.Reason)
	}
}

func TestTheUrgentPointerMovesWithItsByte(t *testing.T) {
	s := newSession(t, false)
	said, becomes := portLine(1999)
	b := tcp(s.next, 5, flagAck|flagUrg, []byte(said+"ABOR\r\n"), 0, 0)
	binary.BigEndian.PutUint16(b[18:], uint16(len(said)+1))
	got := s.out(b, 1500).Transport
	if n := binary.BigEndian.Uint16(got[18:]); int(n) != len(becomes)+1 {
		t.Errorf("%d, want %d", n, len(becomes)+1)
	}
}

func TestANewConnectionBetweenTheSameEndpointsBeginsAnew(t *testing.T) {
	s := newSession(t, false)
	said, becomes := portLine(1999)
	s.says(said)
	s.out(tcp(999, 0, frame.TCPSyn, nil, 0, 0), 1500) // a late copy of the first SYN
	if got := s.says("NOOP\r\n").seq(); got != s.next-6+uint32(len(becomes)-len(said)) {
		t.Errorf("after a late SYN the sequence number is %d", got)
	}
	s.out(tcp(70_000, 0, frame.TCPSyn, nil, 0, 0), 1500)
	s.next = 70_001
	if got := s.says(said); got.seq() != 70_001 || string(got.payload()) != becomes {
		t.Errorf("%d %q", got.seq(), got.payload())
	}
}

func TestAConnectionFromBeforeIsTakenUp(t *testing.T) {
	s := &session{t: t, h: New(Config{}), conn: controlConn(false), next: 123_456}
	said, becomes := portLine(40001)
	s.wantSaid(said, becomes)
}

func TestConnectionsAreForgottenAndBounded(t *testing.T) {
	h := New(Config{MaxConnections: 2})
	var nat openNAT
	said, becomes := portLine(40001)
	say := func(id uint64) string {
		c := controlConn(false)
		c.Session = id
		b := tcp(1000, 5, flagAck, []byte(said), 0, 0)
		if res := h.Step(packet(c, alg.In2Out, b, 1500), &nat, 0); res.Transport != nil {
			return string(segmentOf(t, res.Transport).payload())
		}
		return said
	}
	if say(1) != becomes || say(2) != becomes {
		t.Error("not watched")
	}
	if say(3) != said {
		t.Error("more are watched than is allowed")
	}
	h.Gone(2)
	h.Gone(2)
	h.Gone(77)
	if say(3) != becomes {
		t.Error("not watched after another has gone")
	}
	if got := h.Stats(); got.Live != 2 || got.Watched != 3 || got.Unwatched != 1 {
		t.Errorf("%+v", got)
	}
	c := controlConn(false)
	c.Session = 9
	if res := h.Step(packet(c, alg.Out2In, tcp(1, 1, flagAck, nil, 0, 0), 0), &nat, 0); res.Verdict != alg.Forward || h.Stats().Live != 2 {
		t.Error("what comes in makes a state")
	}
}

func TestWhichConnectionsAreWatched(t *testing.T) {
	for _, tc := range []struct {
		proto          uint8
		inside, remote uint16
		want           bool
	}{
		{frame.ProtoTCP, 40000, 21, true}, {frame.ProtoTCP, 21, 40000, true},
		{frame.ProtoUDP, 40000, 21, false}, {frame.ProtoTCP, 40000, 20, false}, {frame.ProtoTCP, 40000, 990, false},
	} {
		c := alg.Conn{Proto: tc.proto, Inside: frame.Endpoint{Port: tc.inside}, Remote: frame.Endpoint{Port: tc.remote}}
		if got := New(Config{}).Watches(&c); got != tc.want {
			t.Errorf("protocol %d, %d to %d: %t", tc.proto, tc.inside, tc.remote, got)
		}
	}
}

func TestAHeaderThatLiesIsDropped(t *testing.T) {
	s := newSession(t, false)
	for _, b := range [][]byte{nil, make([]byte, 19), make([]byte, 20), append(append(make([]byte, 12), 0xf0), make([]byte, 20)...)} {
		if res := s.out(b, 1500); res.Reason != drop.L4Malformed {
			t.Errorf("% x: %v", b, res.Reason)
		}
	}
}

// Any segments in any order: nothing breaks, and nothing is longer than allowed.
func FuzzSegments(f *testing.F) {
	said, _ := portLine(1999)
	f.Add(true, tcp(999, 0, frame.TCPSyn, nil, 0, 0), tcp(1000, 0, flagAck, []byte(said), 0, 0), tcp(1, 1010, flagAck, nil, 1012, 1030))
	f.Add(false, tcp(5, 0, frame.TCPSyn, nil, 0, 0), tcp(6, 0, flagAck, []byte("227 x (192,0,2,11,7,207)\r\n"), 0, 0), tcp(1, 20, flagAck, nil, 7, 9))
	f.Add(true, tcp(1000, 0, flagUrg, []byte(said+said), 0, 0), tcp(1001, 0, flagAck, []byte(said), 0, 0), []byte{})
	f.Fuzz(func(t *testing.T, client bool, a, b, c []byte) {
		h, nat := New(Config{}), openNAT{}
		for i, s := range [][]byte{a, b, c, a, b} {
			dir := alg.In2Out
			if i == 2 {
				dir = alg.Out2In
			}
			p := packet(controlConn(!client), dir, s, 60)
			before := string(p.IP)
			res := h.Step(p, &nat, 0)
			if string(p.IP) != before {
				t.Fatal("the packet was changed in place")
			}
			if dir == alg.Out2In && res.Transport != nil && len(res.Transport) != len(s) {
				t.Fatal("what comes in has another length")
			}
			if len(res.Transport) > p.Room-p.Header {
				t.Fatalf("%d bytes, room for %d", len(res.Transport), p.Room-p.Header)
			}
		}
	})
}
