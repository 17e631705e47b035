package netstack

import (
	"bytes"
	"testing"

	"spigate/netstack/frame"
)

// twin runs the same traffic through two routers, one of which forgets its
// cached flows before each packet, and fails on any difference.
type twin struct {
	t          *testing.T
	fast, slow *world
}

func (tw *twin) both(lan bool, packet []byte) []byte {
	tw.t.Helper()
	var got [2][][]byte
	for i, w := range []*world{tw.fast, tw.slow} {
		if w == tw.slow {
			w.r.flows.Flush()
		}
		if lan {
			w.fromLAN(packet)
			got[i] = w.wan.Drain()
		} else {
			w.fromWAN(packet)
			got[i] = w.lan.Drain()
		}
	}
	if len(got[0]) != 1 || len(got[1]) != 1 {
		tw.t.Fatalf("fast path let %d frames out, slow path %d", len(got[0]), len(got[1]))
	}
	if !bytes.Equal(got[0][0], got[1][0]) {
		tw.t.Fatalf("fast % x\nslow % x", got[0][0], got[1][0])
	}
	return got[0][0][14:]
}

func TestFastAndSlowPathGiveTheSameBytes(t *testing.T) {
	tw := &twin{t: t, fast: newWorld(t), slow: newWorld(t)}
	c, s := at(client1, 40000), at(server, 443)
	parse := func(b []byte) frame.Packet { return tw.fast.parsed(b) }

	question := udpTo(c, s, "question")
	noSum := udpTo(c, s, "no checksum")
	noSum[26], noSum[27] = 0, 0
	nat := at(natAddr, parse(tw.both(true, question)).SrcPort)
	for range 3 {
		tw.both(true, question)
		tw.both(true, noSum)
		tw.both(false, udpTo(s, nat, "answer"))
		tw.both(true, ttl(question, 2))
	}

	nat.Port = parse(tw.both(true, tcpTo(c, s, frame.TCPSyn, ""))).SrcPort
	tw.both(false, tcpTo(s, nat, frame.TCPSyn|0x10, ""))
	for _, data := range []string{"", "x", "data", string(make([]byte, 1400))} {
		tw.both(true, tcpTo(c, s, 0x10, data))
		tw.both(false, tcpTo(s, nat, 0x10, data))
	}

	id := parse(tw.both(true, echo(client1, server, 8, 77, "ping"))).ICMPID
	for range 3 {
		tw.both(false, echo(server, natAddr, 0, id, "ping"))
		tw.both(true, echo(client1, server, 8, 77, "ping"))
	}

	a, b := tw.fast.tunnel(client1, 0x1000), tw.slow.tunnel(client1, 0x1000)
	a.up()
	b.up()
	for seq := uint32(2); seq < 6; seq++ {
		tw.both(true, esp(client1, server, a.spiOut, seq, "outbound"))
		tw.both(false, esp(server, natAddr, a.spiIn, seq, "inbound"))
	}

	if hits := tw.fast.r.flows.Stats().Hits; hits < 20 {
		t.Errorf("only %d packets took the fast path: the test compares the slow path with itself", hits)
	}
	if hits := tw.slow.r.flows.Stats().Hits; hits != 0 {
		t.Errorf("%d packets of the slow router took the fast path", hits)
	}
}
