package netstack

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/header"

	"spigate/alg/ftp"
	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/lsn"
)

// withHelpers turns the helpers of the world's group on, and gives it the
// profiles.
func withHelpers(apps ...lsn.AppProfile) option {
	return func(c *Config) {
		g := &c.LSN.Groups[0]
		g.FTP, g.TFTP = true, true
		g.Apps = append(g.Apps, apps...)
	}
}

func segment(src, dst frame.Endpoint, seq, ack uint32, flags uint8, text string) []byte {
	b := tcpTo(src, dst, flags, text)
	t := b[20:]
	binary.BigEndian.PutUint32(t[4:], seq)
	binary.BigEndian.PutUint32(t[8:], ack)
	return ip(src.Addr, dst.Addr, frame.ProtoTCP, t)
}

const (
	syn    = frame.TCPSyn
	ack    = 0x10
	synAck = syn | ack
)

// said is the payload of a TCP packet.
func said(p frame.Packet) string {
	t := header.TCP(p.Transport())
	return string(t[t.DataOffset():])
}

// ftpClient is a subscriber's control connection to a server.
type ftpClient struct {
	w                *world
	near, nat, there frame.Endpoint
	seq              uint32
}

// ftpClient opens a control connection, sequence numbers from 1000 on.
func (w *world) ftpClient() *ftpClient {
	w.t.Helper()
	c := &ftpClient{w: w, near: at(client1, 50000), there: at(server, 21), seq: 1001}
	w.fromLAN(segment(c.near, c.there, 1000, 0, syn, ""))
	p := w.one(w.atWAN())
	c.nat = at(p.Src, p.SrcPort)
	w.fromWAN(segment(c.there, c.nat, 7000, 1001, synAck, ""))
	w.one(w.atLAN())
	w.fromLAN(segment(c.near, c.there, 1001, 7001, ack, ""))
	w.one(w.atWAN())
	return c
}

// says returns what the server gets of a text.
func (c *ftpClient) says(s string) frame.Packet {
	c.w.t.Helper()
	c.w.fromLAN(segment(c.near, c.there, c.seq, 7001, ack, s))
	c.seq += uint32(len(s))
	return c.w.one(c.w.atWAN())
}

// active opens the data connection of a PORT or EPRT and sends data over it.
func (w *world) active(from, to frame.Endpoint, inside frame.Endpoint) {
	w.t.Helper()
	w.fromWAN(segment(from, to, 1, 0, syn, ""))
	p := w.one(w.atLAN())
	if at(p.Dst, p.DstPort) != inside || at(p.Src, p.SrcPort) != from {
		w.t.Fatalf("the data connection goes from %v:%d to %v:%d", p.Src, p.SrcPort, p.Dst, p.DstPort)
	}
	w.fromLAN(segment(inside, from, 100, 2, synAck, ""))
	p = w.one(w.atWAN())
	if at(p.Src, p.SrcPort) != to {
		w.t.Fatalf("it is answered from %v:%d", p.Src, p.SrcPort)
	}
	w.fromWAN(segment(from, to, 2, 101, ack, ""))
	w.one(w.atLAN())
	for i := range 4 { // the later ones on the fast path
		data := strings.Repeat(fmt.Sprint(i), 1000)
		w.fromWAN(segment(from, to, uint32(2+1000*i), 101, ack, data))
		if p = w.one(w.atLAN()); said(p) != data {
			w.t.Fatalf("data arrives as %q", said(p))
		}
		w.fromLAN(segment(inside, from, 101, uint32(1002+1000*i), ack, ""))
		w.one(w.atWAN())
	}
}

// named is the endpoint in a PORT line.
func named(t testing.TB, line string) (e frame.Endpoint) {
	t.Helper()
	var a, b, c, d, hi, lo byte
	at := strings.IndexAny(line, "0123456789")
	if strings.HasPrefix(line, "227") {
		at = strings.IndexByte(line, '(') + 1
	}
	if n, err := fmt.Sscanf(line[at:], "%d,%d,%d,%d,%d,%d", &a, &b, &c, &d, &hi, &lo); n != 6 {
		t.Fatalf("%q: %v", line, err)
	}
	return frame.Endpoint{Addr: frame.Addr{a, b, c, d}, Port: uint16(hi)<<8 | uint16(lo)}
}

func TestActiveFTPPasses(t *testing.T) {
	for _, tc := range []struct {
		name string
		app  lsn.AppProfile
		from uint16 // the server's data port
	}{
		{"from port 20", lsn.AppProfile{Name: "A", Proto: frame.ProtoTCP}, 20},
		{"from any port", lsn.AppProfile{Name: "A", Proto: frame.ProtoTCP}, 41234},
		{"EIM and APDF", lsn.AppProfile{Name: "A", Proto: frame.ProtoTCP, Mapping: lsn.EIM}, 41234},
		{"EIM and EIF, paired", lsn.AppProfile{Name: "A", Proto: frame.ProtoTCP, Mapping: lsn.EIM, Filtering: lsn.EIF, Pooling: lsn.Paired}, 20},
		{"ADM and ADF", lsn.AppProfile{Name: "A", Proto: frame.ProtoTCP, Mapping: lsn.ADM, Filtering: lsn.ADF}, 20},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, withHelpers(tc.app))
			c := w.ftpClient()
			p := c.says("PORT 192,0,2,11,156,65\r\n")
			got := named(t, said(p))
			if got.Addr != natAddr || p.TTL() != 63 || header.IPv4(p.Bytes()).ID() != 7 {
				t.Errorf("%q, TTL %d, id %d", said(p), p.TTL(), header.IPv4(p.Bytes()).ID())
			}
			if want := fmt.Sprintf("PORT 203,0,113,3,%d,%d\r\n", got.Port>>8, got.Port&0xff); said(p) != want {
				t.Errorf("%q, want %q", said(p), want)
			}
			w.active(at(server, tc.from), got, at(client1, 40001))
			grown := uint32(len(said(p)) - len("PORT 192,0,2,11,156,65\r\n"))
			if next := header.TCP(ptr(c.says("RETR file\r\n")).Transport()).SequenceNumber(); next != c.seq-11+grown {
				t.Errorf("what follows has the number %d, want %d", next, c.seq-11+grown)
			}
			w.fromWAN(segment(c.there, c.nat, 7001, c.seq+grown, ack, "226 done\r\n"))
			if p := w.one(w.atLAN()); header.TCP(p.Transport()).AckNumber() != c.seq {
				t.Errorf("%d is acknowledged, want %d", header.TCP(p.Transport()).AckNumber(), c.seq)
			}
			if got := w.r.LSN().Expectations(); got != (lsn.ExpectStats{Opened: 1, Used: 1}) {
				t.Errorf("expectations %+v", got)
			}
			if got := w.r.FTP(); got.Live != 1 || got.Opened != 1 {
				t.Errorf("%+v", got)
			}
		})
	}
}

func ptr[T any](v T) *T { return &v }

func TestTheDataConnectionTakesTheFastPathAndTheControlConnectionNever(t *testing.T) {
	w := newWorld(t, withHelpers())
	c := w.ftpClient()
	got := named(t, said(c.says("PORT 192,0,2,11,156,65\r\n")))
	hits := w.r.Flows().Stats().Hits
	w.active(at(server, 20), got, at(client1, 40001))
	after := w.r.Flows().Stats().Hits
	if after == hits {
		t.Error("data took the slow path")
	}
	for range 3 {
		c.says("NOOP\r\n")
		w.fromWAN(segment(c.there, c.nat, 7001, c.seq, ack, ""))
		w.one(w.atLAN())
	}
	if n := w.r.Flows().Stats().Hits; n != after {
		t.Error("the control connection took the fast path")
	}
}

func TestEPRTOpensAPort(t *testing.T) {
	w := newWorld(t, withHelpers())
	p := w.ftpClient().says("EPRT |1|192.0.2.11|40001|\r\n")
	var port uint16
	if _, err := fmt.Sscanf(said(p), "EPRT |1|203.0.113.3|%d|\r\n", &port); err != nil {
		t.Fatalf("%q: %v", said(p), err)
	}
	w.active(at(server, 20), at(natAddr, port), at(client1, 40001))
}

func TestPassiveFTPNeedsNothing(t *testing.T) {
	w := newWorld(t, withHelpers())
	c := w.ftpClient()
	if got := said(c.says("PASV\r\n")); got != "PASV\r\n" {
		t.Errorf("%q", got)
	}
	const reply = "227 Entering Passive Mode (203,0,113,254,156,65).\r\n"
	w.fromWAN(segment(c.there, c.nat, 7001, c.seq, ack, reply))
	if got := said(w.one(w.atLAN())); got != reply {
		t.Errorf("%q", got)
	}
	w.fromLAN(segment(at(client1, 50001), at(server, 40001), 1, 0, syn, ""))
	p := w.one(w.atWAN())
	w.fromWAN(segment(at(server, 40001), at(p.Src, p.SrcPort), 1, 2, synAck, ""))
	w.one(w.atLAN())
	if got := w.r.LSN().Expectations(); got != (lsn.ExpectStats{}) {
		t.Errorf("expectations %+v", got)
	}
}

// What a PORT opens is for its server, once, and for a minute.
func TestAnOpenedPortIsOpenToTheServerOnce(t *testing.T) {
	open := func(t *testing.T) (*world, frame.Endpoint) {
		w := newWorld(t, withHelpers())
		return w, named(t, said(w.ftpClient().says("PORT 192,0,2,11,156,65\r\n")))
	}
	t.Run("another host", func(t *testing.T) {
		w, e := open(t)
		w.wantDrop(drop.Filtered, 1, func() { w.fromWAN(segment(at(server2, 20), e, 1, 0, syn, "")) })
		w.active(at(server, 20), e, at(client1, 40001))
	})
	t.Run("without SYN", func(t *testing.T) {
		w, e := open(t)
		w.wantDrop(drop.NotSYN, 1, func() { w.fromWAN(segment(at(server, 20), e, 1, 0, ack, "")) })
	})
	t.Run("from port 0", func(t *testing.T) {
		w, e := open(t)
		w.wantDrop(drop.Filtered, 1, func() { w.fromWAN(segment(at(server, 0), e, 1, 0, syn, "")) })
	})
	t.Run("a second connection", func(t *testing.T) {
		w, e := open(t)
		w.active(at(server, 20), e, at(client1, 40001))
		w.wantDrop(drop.Filtered, 1, func() { w.fromWAN(segment(at(server, 1234), e, 1, 0, syn, "")) })
	})
	t.Run("a minute later", func(t *testing.T) {
		w, e := open(t)
		w.advance(61 * time.Second)
		w.wantDrop(drop.NoMapping, 1, func() { w.fromWAN(segment(at(server, 20), e, 1, 0, syn, "")) })
		if got := w.r.LSN().Expectations(); got != (lsn.ExpectStats{Opened: 1}) {
			t.Errorf("expectations %+v", got)
		}
	})
}

func TestTheBounceAttackOpensNothing(t *testing.T) {
	w := newWorld(t, withHelpers())
	c := w.ftpClient()
	for _, line := range []string{"PORT 192,0,2,12,156,65\r\n", "PORT 192,0,2,11,0,25\r\n"} {
		if got := said(c.says(line)); got != line {
			t.Errorf("%q leaves as %q", line, got)
		}
	}
	if got := w.r.FTP(); got.Foreign != 1 || got.WellKnown != 1 || got.Opened != 0 {
		t.Errorf("%+v", got)
	}
	if got := w.r.LSN().Expectations(); got.Opened != 0 {
		t.Errorf("expectations %+v", got)
	}
}

func TestARepeatedPORTIsTheSamePort(t *testing.T) {
	w := newWorld(t, withHelpers())
	c := w.ftpClient()
	first := c.says("PORT 192,0,2,11,156,65\r\n")
	one := said(first)
	c.seq = 1001
	if two := said(c.says("PORT 192,0,2,11,156,65\r\n")); two != one {
		t.Errorf("%q, then %q", one, two)
	}
	if two := said(c.says("PORT 192,0,2,11,156,65\r\n")); two != one { // a command of its own
		t.Errorf("%q, then %q", one, two)
	}
	if got := w.r.LSN().Expectations(); got.Opened != 1 {
		t.Errorf("expectations %+v", got)
	}
}

func TestWithoutTheHelperTextPassesAsItIs(t *testing.T) {
	w := newWorld(t)
	const line = "PORT 192,0,2,11,156,65\r\n"
	if got := said(w.ftpClient().says(line)); got != line {
		t.Errorf("%q", got)
	}
}

// A line may grow by a few bytes; a packet that fills its way out must not.
func TestAFullSegmentIsCutAndItsRestComesAgain(t *testing.T) {
	w := newWorld(t, withHelpers())
	c := w.ftpClient()
	const line = "PORT 192,0,2,11,4,1\r\n"
	long := line + strings.Repeat("x", 1460-len(line)-2) + "\r\n"
	p := c.says(long)
	grown := len(strings.SplitAfter(said(p), "\n")[0]) - len(line)
	if len(p.Bytes()) != 1500 || grown <= 0 || said(p)[len(line)+grown:] != long[len(line):1460-grown] {
		t.Fatalf("%d bytes, %d more: %q", len(p.Bytes()), grown, said(p))
	}
	c.seq = 1001 + 1460 - uint32(grown)
	p = c.says(long[1460-grown:])
	if seq := header.TCP(p.Transport()).SequenceNumber(); said(p) != long[1460-grown:] || seq != 1001+1460 {
		t.Errorf("%q with number %d", said(p), seq)
	}
}

func TestWhatTheHelperCannotReadIsDropped(t *testing.T) {
	w := newWorld(t, withHelpers())
	c := w.ftpClient()
	broken := segment(c.near, c.there, c.seq, 7001, ack, "PORT 192,0,2,11,156,65\r\n")
	broken[len(broken)-3]++
	w.wantDrop(drop.ALGChecksum, 1, func() { w.fromLAN(broken) })
	broken = segment(c.there, c.nat, 7001, c.seq, ack, "200 ok\r\n")
	broken[len(broken)-3]++
	w.wantDrop(drop.ALGChecksum, 1, func() { w.fromWAN(broken) })
	w.wantDrop(drop.FTPGap, 1, func() {
		w.fromLAN(segment(c.near, c.there, c.seq+1, 7001, ack, "PORT 192,0,2,11,156,65\r\n"))
	})
	first := segment(c.near, c.there, c.seq, 7001, ack, "PORT 192,0,2,11,156,65\r\n")
	w.wantDrop(drop.Fragment, 1, func() { w.fromLAN(moreFollow(first)) })
}

// moreFollow makes a first fragment of a packet.
func moreFollow(b []byte) []byte {
	h := header.IPv4(append([]byte(nil), b[:20+(len(b)-20)&^7]...))
	h.SetTotalLength(uint16(len(h)))
	h.SetFlagsFragmentOffset(header.IPv4FlagMoreFragments, 0)
	h.SetChecksum(0)
	h.SetChecksum(^h.CalculateChecksum())
	return h
}

func TestAControlConnectionThatEndsIsForgotten(t *testing.T) {
	w := newWorld(t, withHelpers())
	c := w.ftpClient()
	c.says("PORT 192,0,2,11,156,65\r\n")
	w.fromLAN(segment(c.near, c.there, c.seq, 7001, frame.TCPRst, ""))
	w.advance(32 * time.Second)
	if got := w.r.FTP(); got.Live != 0 || got.Watched != 1 {
		t.Errorf("%+v", got)
	}
}

// The state of a control connection must end with its session even if that
// ends while the helper looks at a packet.
func TestTheHelperForgetsWhatEndsUnderItsHands(t *testing.T) {
	w := newWorld(t, withHelpers())
	c := w.ftpClient()
	w.r.FlushLSN(lsn.Filter{})
	if got := w.r.FTP(); got.Live != 0 {
		t.Errorf("%+v", got)
	}
	w.wantDrop(drop.NotSYN, 1, func() { w.fromLAN(segment(c.near, c.there, c.seq, 7001, ack, "NOOP\r\n")) })
	if got := w.r.FTP(); got != (ftp.Stats{Watched: 1}) {
		t.Errorf("%+v", got)
	}
}
