package capture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"spigate/netstack/capture/filter"
	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// udp is what filters see of a UDP packet between two ports.
func udp(src, dst uint16) filter.Packet {
	return filter.Packet{Kind: frame.TypeIPv4, Proto: frame.ProtoUDP, Ported: true, SrcPort: src, DstPort: dst}
}

func begun(t *testing.T, s *Set, c Config) *Capture {
	t.Helper()
	k, err := s.Begin(c)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func parsed(t *testing.T, text string) *filter.Expr {
	t.Helper()
	e, err := filter.Parse(text, nil)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// points are those of all records that a capture has.
func points(k *Capture) (out []string) {
	k.Take(func(r *Record) { out = append(out, r.Point.String()) })
	return out
}

func TestEachCaptureTakesWhatItChooses(t *testing.T) {
	var s Set
	all := begun(t, &s, Config{})
	some := begun(t, &s, Config{Filter: parsed(t, "port 500"), Points: 1<<Sent | 1<<Dropped})
	wan := begun(t, &s, Config{VLANs: []frame.Interface{2}})
	port := begun(t, &s, Config{Port: "wan1", VLANs: []frame.Interface{2, 3}})
	ike, web := udp(500, 500), udp(40000, 443)
	s.Offer(&Record{Point: Received, In: 1}, &ike, 0, "lan1")
	s.Offer(&Record{Point: Sent, In: 1, Out: 2}, &ike, 0, "wan1")
	s.Offer(&Record{Point: Sent, In: 1, Out: 2}, &web, 0, "wan1")
	s.Offer(&Record{Point: Dropped, In: 3}, &web, 0, "")
	s.Offer(&Record{Point: Received}, &web, 0, "wan1") // of no VLAN that is known
	for name, c := range map[string]struct {
		k    *Capture
		want string
	}{"all": {all, "received sent sent dropped received"}, "some": {some, "sent"}, "wan": {wan, "sent sent"}, "port": {port, "sent sent dropped"}} {
		if got := strings.Join(points(c.k), " "); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestAPacketThatWasChosenOnceIsFollowed(t *testing.T) {
	var s Set
	begun(t, &s, Config{Filter: parsed(t, "port 80")})
	k := begun(t, &s, Config{Filter: parsed(t, "src port 500"), Points: 1 << Sent})
	before, after := udp(500, 500), udp(2000, 500)
	mark := s.Offer(&Record{Point: Received}, &before, 7<<12, "")
	if mark != 7<<12|k.bit || k.bit&MarkBits == 0 {
		t.Errorf("%x", mark)
	}
	if !s.Wants(Sent, mark) || s.Wants(Sent, 0) || s.Wants(Before, mark) {
		t.Error("it is not told who wants what")
	}
	s.Offer(&Record{Point: Sent}, &after, mark, "")
	s.Offer(&Record{Point: Sent}, &after, 0, "")
	if got := points(k); len(got) != 1 {
		t.Errorf("%q", got)
	}
}

func TestThereAreOnlySoManyCaptures(t *testing.T) {
	var s Set
	var all []*Capture
	for range Max {
		all = append(all, begun(t, &s, Config{}))
	}
	if _, err := s.Begin(Config{}); !errors.Is(err, ErrBusy) {
		t.Error(err)
	}
	s.End(all[1])
	s.End(all[1])
	<-all[1].Ended()
	if begun(t, &s, Config{}).bit != all[1].bit {
		t.Error("the place is not free")
	}
	p := udp(1, 2)
	s.Offer(&Record{}, &p, 0, "")
	if got := points(all[1]); got != nil {
		t.Errorf("an ended one took %q", got)
	}
}

func TestACaptureEndsWithItsCount(t *testing.T) {
	var s Set
	k := begun(t, &s, Config{Count: 2, Snap: 3})
	p := udp(1, 2)
	for i := range 5 {
		s.Offer(&Record{At: int64(i), Data: []byte("abcdef"), Len: 6}, &p, 0, "")
	}
	<-k.Ended()
	var got []string
	k.Take(func(r *Record) { got = append(got, fmt.Sprintf("%d %s %d", r.At, r.Data, r.Len)) })
	if !slices.Equal(got, []string{"0 abc 6", "1 abc 6"}) || k.Stats().Taken != 2 {
		t.Errorf("%q, %+v", got, k.Stats())
	}
}

// As when one lane has filled it and another comes before it is ended.
func TestABufferTakesNoMoreThanItsCount(t *testing.T) {
	b := buffer{room: 1000, most: 1}
	if kept, full := b.add(&Record{}, 9); !kept || !full {
		t.Errorf("the first: %v, %v", kept, full)
	}
	if kept, full := b.add(&Record{}, 9); kept || full || b.stats().Taken != 1 || b.stats().Lost != 0 {
		t.Errorf("the second: %v, %v, %+v", kept, full, b.stats())
	}
}

// Packets under way have the bit of a capture that has ended meanwhile.
func TestANewCaptureDoesNotFollowThePacketsOfAnEndedOne(t *testing.T) {
	var s Set
	all := filter.Packet{Kind: frame.TypeIPv4}
	k := begun(t, &s, Config{Filter: parsed(t, "ip")})
	mark := s.Offer(&Record{}, &all, 0, "")
	s.End(k)
	for range Max - 1 {
		next := begun(t, &s, Config{Filter: parsed(t, "esp")})
		s.Offer(&Record{}, &all, mark, "")
		if got := points(next); mark == 0 || got != nil {
			t.Errorf("mark %x: %q", mark, got)
		}
		s.End(next)
	}
}

func TestWhatFindsNoRoomIsCountedWhereItWasLost(t *testing.T) {
	var s Set
	k := begun(t, &s, Config{Buffer: 3 * (recordHead + 100)})
	p, data := udp(1, 2), make([]byte, 100)
	for range 5 {
		s.Offer(&Record{Point: Sent, In: 1, Out: 2, Data: data}, &p, 0, "")
	}
	s.Offer(&Record{Point: Dropped, In: 1, Data: data}, &p, 0, "")
	st := k.Stats()
	if st.Taken != 3 || st.Lost != 3 || st.Of[Source{Sent, 2}] != (Counts{3, 2}) || st.Of[Source{Dropped, 1}] != (Counts{0, 1}) {
		t.Errorf("%+v", st)
	}
	if n := len(points(k)); n != 3 {
		t.Errorf("%d records", n)
	}
	s.Offer(&Record{Point: Sent, Out: 2, Data: data}, &p, 0, "")
	if n := len(points(k)); n != 1 {
		t.Error("there is no room although all was taken")
	}
}

func TestManyAddWhileOneTakes(t *testing.T) {
	var s Set
	k := begun(t, &s, Config{Buffer: 64 << 10})
	const writers, each = 4, 2000
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			p, data := udp(1, 2), bytes.Repeat([]byte{byte(w)}, 40)
			for i := range each {
				s.Offer(&Record{At: int64(i), In: frame.Interface(w), Data: data}, &p, 0, "")
			}
		})
	}
	done := make(chan struct{})
	go func() { all.Wait(); s.End(k); close(done) }()
	last, n := [writers]int64{}, uint64(0)
	take := func() {
		k.Take(func(r *Record) {
			if n++; r.At < last[r.In] || !bytes.Equal(r.Data, bytes.Repeat([]byte{byte(r.In)}, 40)) {
				t.Errorf("out of order, or not what was added: %+v", r)
			}
			last[r.In] = r.At
		})
	}
	for ended := false; !ended; {
		select {
		case <-k.Ready():
		case <-k.Ended():
			ended = true
		}
		take()
	}
	<-done
	take()
	if st := k.Stats(); st.Taken != n || st.Taken+st.Lost != writers*each {
		t.Errorf("%d records, %+v", n, st)
	}
}

// blocks cuts a pcapng file, and checks the lengths at both ends of each block.
func blocks(t *testing.T, b []byte) (kinds []uint32, bodies [][]byte) {
	t.Helper()
	for len(b) > 0 {
		if len(b) < 12 {
			t.Fatalf("%d bytes are left", len(b))
		}
		n := binary.LittleEndian.Uint32(b[4:])
		if n%4 != 0 || int(n) > len(b) || binary.LittleEndian.Uint32(b[n-4:]) != n {
			t.Fatalf("a block of %d bytes", n)
		}
		kinds, bodies = append(kinds, binary.LittleEndian.Uint32(b)), append(bodies, b[8:n-4])
		b = b[n:]
	}
	return kinds, bodies
}

func TestAFileHasAnInterfaceForEachPointAndVLAN(t *testing.T) {
	g := Pcapng{Application: "spigate", Epoch: 1e18, Name: func(r *Record) string { return [...]string{"", "lan", "wan"}[r.Interface()] }}
	records := []Record{
		{Point: Received, In: 1, Frame: true, VLAN: 30, Len: 60, Data: make([]byte, 60)},
		{Point: After, In: 1, Out: 2, Len: 1400, Data: make([]byte, 21)},
		{Point: Received, In: 1, Frame: true, Len: 60, Data: make([]byte, 60)},
		{Point: Dropped, Reason: drop.NoMapping, Frame: true, Len: 60, Data: make([]byte, 60)},
		{Point: Dropped, Reason: drop.NoMapping, Len: 60, Data: make([]byte, 60)},
	}
	b := g.Begin(nil)
	for i := range records {
		b = g.Record(b, &records[i])
	}
	b = g.End(b, Stats{Of: map[Source]Counts{{Received, 1}: {2, 7}}}, 5)
	kinds, bodies := blocks(t, b)
	want := []uint32{blockSection, 1, 6, 1, 6, 6, 1, 6, 1, 6, 5, 5, 5}
	if !slices.Equal(kinds, want) {
		t.Fatalf("%v, want %v", kinds, want)
	}
	for i, text := range map[int]string{0: "spigate", 1: "received lan", 3: "after wan", 6: "dropped ?", 7: "no_mapping: A packet to a NAT address for which no mapping exists."} {
		if !bytes.Contains(bodies[i], []byte(text)) {
			t.Errorf("block %d has no %q", i, text)
		}
	}
	if cut, full := binary.LittleEndian.Uint32(bodies[2][12:]), binary.LittleEndian.Uint32(bodies[2][16:]); cut != 64 || full != 64 || bodies[2][20+12] != 0x81 {
		t.Errorf("%d of %d bytes: the tag is missing", cut, full)
	}
	if cut, full := binary.LittleEndian.Uint32(bodies[4][12:]), binary.LittleEndian.Uint32(bodies[4][16:]); cut != 21 || full != 1400 {
		t.Errorf("%d of %d bytes", cut, full)
	}
	if lost := bytes.Contains(bodies[10], []byte{5, 0, 8, 0, 7, 0, 0, 0}); !lost {
		t.Errorf("% x", bodies[10])
	}
}

func TestPacketsGetAFrameWhereThereAreOnlyFrames(t *testing.T) {
	r := Record{Len: 1000, Data: []byte{0x45, 1, 2}}
	if b, n := r.Ether(); n != 1014 || !bytes.Equal(b[12:], []byte{8, 0, 0x45, 1, 2}) {
		t.Errorf("% x, %d", b, n)
	}
	r = Record{Frame: true, Len: 60, Data: make([]byte, 60)}
	if b, n := r.Ether(); n != 60 || len(b) != 60 {
		t.Errorf("% x, %d", b, n)
	}
	if r.VLAN, r.Data = 9, r.Data[:5]; true {
		if b, _ := r.Tagged(); len(b) != 5 { // too short for a tag
			t.Errorf("% x", b)
		}
	}
}

func TestPointsAreReadByTheirWords(t *testing.T) {
	for text, want := range map[string]Points{"": AllPoints, "sent": 1 << Sent, "received, dropped": 1<<Received | 1<<Dropped} {
		if got, err := ParsePoints(text); err != nil || got != want {
			t.Errorf("%q: %b, %v", text, got, err)
		}
	}
	if _, err := ParsePoints("sent,nowhere"); err == nil || !strings.Contains(err.Error(), "received,before,after,sent,dropped") {
		t.Error(err)
	}
}
