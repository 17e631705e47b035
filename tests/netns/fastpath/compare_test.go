package fastpath

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"spigate/alg/ipsec"
	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/lsn"
	"spigate/netstack/vserver"
)

// shown is what arrived at a host, in an order of its own: packets on several
// ways overtake each other. What the router says itself has an IP ID of its own
// in each bed.
func shown(frames [][]byte) (out [][]byte) {
	for _, b := range frames {
		b = bytes.Clone(b)
		p := b[len(b)-len(untagged(b))+frame.HeaderLen:]
		if len(p) >= 20 && p[0]>>4 == 4 && saidByRouter(p) {
			clear(p[4:6])
			clear(p[10:12])
		}
		out = append(out, b)
	}
	slices.SortFunc(out, bytes.Compare)
	return out
}

// saidByRouter reports whether a packet is the stack's own: an ICMP error or
// message, or an RST. Packets that leave from an address of ours by
// translation are not.
func saidByRouter(p []byte) bool {
	src, t := frame.Addr(p[12:16]), p[int(p[0]&15)*4:]
	if p[9] == frame.ProtoICMP && src == natAddr && len(t) > 0 && t[0] == 3 {
		return true // of a packet that the router had translated already
	}
	if src != lanAddr && src != wanAddr {
		return false
	}
	switch {
	case p[9] == frame.ProtoICMP && len(t) > 0:
		return t[0] != 8 || src == lanAddr
	case p[9] == frame.ProtoTCP && len(t) > 13:
		return t[13]&rst != 0
	}
	return false
}

// arrived compares what a bed let out on each side with what the first one did.
func (b *bed) arrived(want [2][][]byte) error {
	for i, h := range b.side {
		if err := h.wait(within(b.t), fmt.Sprintf("%d frames", len(want[i])), func() bool { return len(h.got) >= len(want[i]) }); err != nil {
			return fmt.Errorf("%s let out at %s:\n%s\nwant:\n%s\n%w", b, h.name, hex(h.taken()), hex(want[i]), err)
		}
		got := shown(h.taken())
		if !slices.EqualFunc(got, want[i], bytes.Equal) {
			return fmt.Errorf("%s let out at %s:\n%s\nwant:\n%s", b, h.name, hex(got), hex(want[i]))
		}
	}
	return nil
}

func hex(frames [][]byte) string {
	var s strings.Builder
	for _, b := range frames {
		fmt.Fprintf(&s, "  %4d bytes  % x", len(b), b[:min(len(b), 80)])
		if len(b) > 80 {
			s.WriteString(" …")
		}
		s.WriteByte('\n')
	}
	return s.String()
}

// drops are the reasons that were counted, our own and the stack's.
func (b *bed) drops() (out []string) {
	for r, n := range b.r.Drops().Snapshot() {
		if n > 0 {
			out = append(out, fmt.Sprintf("drop %s: %d", drop.Reason(r), n))
		}
	}
	for _, s := range b.r.StackDrops() {
		if s.Count > 0 {
			out = append(out, fmt.Sprintf("drop %s: %d", s.Word, s.Count))
		}
	}
	return out
}

// counts is everything that the router counts, a line for each. It is to be
// called when the bed has settled after a sweep: the fast path tells then.
func (b *bed) counts() []string {
	out := append(b.drops(), b.interfaces()...)
	st := b.r.LSN().Stats()
	out = append(out, fmt.Sprintf("lsn: sessions %v mappings %v created %v dropped %v", st.Sessions, st.Mappings, st.Created, st.Dropped))
	for _, g := range st.Groups {
		out = append(out, fmt.Sprintf("lsn group: %+v", g))
	}
	b.r.LSN().Walk(func(s lsn.SessionInfo) bool {
		out = append(out, fmt.Sprintf("lsn session %+v %v: out %d %d in %d %d", s.Tuple, s.Outside, s.PacketsOut, s.BytesOut, s.PacketsIn, s.BytesIn))
		return true
	})
	out = append(out, fmt.Sprintf("alg: %+v", b.r.ALG().Counters()))
	for s := range b.r.ALG().Sessions(ipsec.Filter{}) {
		out = append(out, fmt.Sprintf("esp session %v %08x %08x %v: rx %d %d tx %d %d", s.Inside, s.SPIIn, s.SPIOut, s.State, s.RxPackets, s.RxBytes, s.TxPackets, s.TxBytes))
	}
	conns := b.r.Connections()
	conns.Walk(b.r.Now(), func(c vserver.Info) bool {
		out = append(out, fmt.Sprintf("connection %+v %+v %s: in %+v out %+v", c.Client, c.Remote, c.State, c.In, c.Out))
		return true
	})
	for _, l := range conns.Listeners().All() {
		if l.Counters() == nil {
			continue // an LSN group: it has none
		}
		s := l.Counters().Stats()
		out = append(out, fmt.Sprintf("listener %s: in %d %d out %d %d now %d of %d", l.Name, s.PacketsIn, s.BytesIn, s.PacketsOut, s.BytesOut, s.Current, s.Total))
	}
	slices.Sort(out)
	return out
}

// interfaces are the counters of the interfaces without ARP, of which each bed
// has as much as its clocks ask for. They are compared with what the hosts saw.
func (b *bed) interfaces() (out []string) {
	for i, c := range b.r.Counters() {
		h := b.side[i].counted()
		if c.TxFrames != h.received || c.TxBytes != h.receivedBytes || h.lost+c.Lost != 0 {
			out = append(out, fmt.Sprintf("%s, %s: sent %d frames, %d bytes; the host there got %d, %d; it lost %d, the port %d",
				b, c.Name, c.TxFrames, c.TxBytes, h.received, h.receivedBytes, h.lost, c.Lost))
		}
		out = append(out,
			fmt.Sprintf("%s: rx %d frames", c.Name, c.RxFrames-h.sentARPs),
			fmt.Sprintf("%s: tx %d frames %d bytes", c.Name, c.TxFrames-h.arps, c.TxBytes-h.arpBytes),
			fmt.Sprintf("%s: forwarded, or for the stack: %d", c.Name, c.Fast+c.Slow+c.Offloaded-h.answered))
	}
	return out
}

// receivedAs compares the bytes that came in with those of another bed. The
// kernel tells of packets, so of what it forwarded padding is missing.
func (b *bed) receivedAs(other *bed) (faults []string) {
	received := func(b *bed, side int) uint64 {
		return b.r.Counters()[side].RxBytes - b.side[side].counted().sentARPs*arpLen
	}
	for side := range b.side {
		want, n, padding := received(other, side), received(b, side), uint64(0)
		if b.variant.countsLate() {
			padding = b.padding[side]
		}
		if want < n || want > n+padding {
			faults = append(faults, fmt.Sprintf("%d bytes received from %s, with %d of padding at most; want %d", n, b.side[side].name, padding, want))
		}
	}
	return faults
}

// differences compares two lists of lines.
func differences(want, got []string) (out []string) {
	for _, s := range want {
		if !slices.Contains(got, s) {
			out = append(out, "- "+s)
		}
	}
	for _, s := range got {
		if !slices.Contains(want, s) {
			out = append(out, "+ "+s)
		}
	}
	return out
}

func describe(packets []drawn) string {
	var s strings.Builder
	for _, p := range packets {
		fmt.Fprintf(&s, "  into %s", []string{"lan", "wan"}[p.side])
		if len(p.frame) >= 14 {
			fmt.Fprintf(&s, " type %04x", binary.BigEndian.Uint16(p.frame[12:]))
		}
		s.WriteString(hex([][]byte{p.frame}))
	}
	return s.String()
}
