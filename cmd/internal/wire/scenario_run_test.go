package wire

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"

	"gvisor.dev/gvisor/pkg/tcpip/header"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// run plays a script to its end.
func (w *world) run(script []line) error {
	script, err := expand(script)
	if err != nil {
		return err
	}
	for _, l := range script {
		if err := w.do(l); err != nil {
			return l.errorf("%w", err)
		}
	}
	if err := w.settled(); err != nil && w.last != nil {
		return w.last.errorf("%w", err)
	}
	if w.begun {
		return fmt.Errorf("%s: ends without a line \"counters\"", script[0].file)
	}
	return nil
}

// do plays one line.
func (w *world) do(l line) error {
	left, right, arrow := strings.Cut(l.text, "->")
	in := newWords(left)
	verb := in.next("a verb")
	if check, ok := checks[verb]; ok {
		check(w, in)
		return in.done()
	}
	if err := w.settled(); err != nil {
		return fmt.Errorf("before this line: %w", err)
	}
	if act, ok := acts[verb]; ok {
		if verb != "host" {
			w.last, w.begun = &l, true
		}
		act(w, in)
		return in.done()
	}
	h, err := w.host(verb)
	if err != nil {
		return err
	}
	w.last, w.begun = &l, true
	return w.say(h, in, strings.Fields(right), arrow)
}

// settled fails if something came out that was not expected, or was dropped
// without being mentioned.
func (w *world) settled() error {
	for _, p := range w.ports {
		if len(p.came) > 0 {
			return fmt.Errorf("unexpected on %s: %s", p.name, view(p.came[0].packet))
		}
	}
	if d := w.newDrops(); len(d) > 0 {
		return fmt.Errorf("dropped without being mentioned: %s", list(d))
	}
	return nil
}

// newDrops are the drops since the script last spoke of any.
func (w *world) newDrops() map[string]uint64 {
	out := map[string]uint64{}
	for word, n := range w.allDrops() {
		if n > w.stated[word] {
			out[word] = n - w.stated[word]
		}
	}
	return out
}

func (w *world) allDrops() map[string]uint64 {
	out := map[string]uint64{}
	for r, n := range w.drops.Snapshot() {
		out[drop.Reason(r).String()] = n
	}
	for _, s := range w.chassis.StackDrops() {
		out[s.Word] = s.Count
	}
	return out
}

// list is "a +1 b +2", in order.
func list(n map[string]uint64) string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(n)) {
		out = append(out, fmt.Sprintf("%s +%d", k, n[k]))
	}
	return strings.Join(out, " ")
}

// say sends a packet; right is what stands behind the arrow.
func (w *world) say(h *host, in *words, right []string, arrow bool) error {
	inside := w.inside(h.addr, h.port.domain)
	s, err := w.spoken(h, in)
	if err != nil {
		return err
	}
	if s.name != "" {
		w.named[s.name] = conversation{s.bytes(), s.bytes()} // unless it goes on
	}
	w.hits = w.chassis.Flows().Stats().Hits
	w.send(h, s.bytes())
	if !arrow {
		return nil
	}
	return w.outcome(h, s, inside, right)
}

// spoken reads the packet that h sends.
func (w *world) spoken(h *host, in *words) (spoken, error) {
	inside := w.inside(h.addr, h.port.domain)
	s := w.readPacket(in, inside)
	if s.to == (end{}) {
		s.to = w.end(in, map[bool]string{true: "gateway", false: "nat"}[inside])
	}
	s.src.Addr = h.addr
	if s.from != (end{}) {
		s.src.Addr = s.from.addr // forged
	}
	s.dst.Addr = s.to.addr
	if s.to.has {
		s.dst.Port = s.to.port
	}
	if s.to.word != "" {
		in.fail("the port %q is not known yet", s.to.word)
	}
	return s, in.done()
}

// outcome checks what stands behind an arrow.
func (w *world) outcome(h *host, s spoken, inside bool, right []string) error {
	domain := h.port.domain
	if len(right) == 0 {
		return fmt.Errorf("nothing stands behind the arrow")
	}
	switch right[0] {
	case "nothing":
		return w.settled()
	case "drop":
		if len(right) != 2 {
			return fmt.Errorf("want one reason behind drop")
		}
		if got := list(w.newDrops()); got != right[1]+" +1" {
			return fmt.Errorf("dropped: %s", got)
		}
		w.stated = w.allDrops()
		return w.settled()
	case "held":
		if w.chassis.Router(domain).ALG().Counters().Blocked == 0 {
			return fmt.Errorf("nothing is held")
		}
		return w.settled()
	case "unchanged":
		return w.expected(w.hostOf(s.dst.Addr, domain), &s, end{}, end{})
	}
	in := newWords("")
	seen, asFrom := strings.CutPrefix(right[0], "from=")
	target := w.end(in, seen)
	if in.err != nil || len(right) != 1 {
		return fmt.Errorf("behind the arrow: want one end, nothing, held, unchanged or drop REASON: %w", in.err)
	}
	if asFrom {
		return w.expected(w.hostOf(s.dst.Addr, domain), &s, target, end{})
	}
	if inside {
		if s.ports && !target.has {
			return fmt.Errorf("behind the arrow: want %s:PORT", right[0])
		}
		return w.expected(w.hostOf(s.dst.Addr, domain), &s, target, end{})
	}
	if !target.has && s.proto == frame.ProtoUDP {
		target.port, target.has = s.src.Port, true // 500 and 4500 on both sides
	}
	return w.expected(w.hostOf(target.addr, domain), &s, end{}, target)
}

// expected takes the next packet on the port of to, which must be s with the
// given ends (none: as in s) and a lower time to live. What is sent on keeps
// its bytes, so that the comparison is of bytes, too.
func (w *world) expected(to *host, s *spoken, src, dst end) error {
	if to == nil {
		return fmt.Errorf("no host has the address that this should go to")
	}
	if len(to.port.came) == 0 {
		return fmt.Errorf("nothing came on %s; dropped: %s", to.port.name, list(w.newDrops()))
	}
	got := to.port.came[0]
	to.port.came = to.port.came[1:]
	want := s.packetSpec
	w.place(&want.src, src, got.packet, 20)
	w.place(&want.dst, dst, got.packet, 22)
	if s.pieces > 0 {
		want.id = header.IPv4(got.packet).ID() // R29: it may be rewritten, see ipid=
		if err := w.identification(s.word, want.id); err != nil {
			return err
		}
	}
	sent := s.packetSpec
	sent.ttl--
	want.ttl--
	if s.ours {
		want.ttl, want.id = 64, header.IPv4(got.packet).ID()
	}
	if b := want.bytes(); !bytes.Equal(b, got.packet) {
		return fmt.Errorf("came: %s\n\twant: %s%s", view(got.packet), view(b), difference(b, got.packet))
	}
	if got.to != to.mac() {
		return fmt.Errorf("%s\n\twent to the MAC address %x, not to that of %s", view(got.packet), got.to, to.name)
	}
	if s.name != "" {
		w.named[s.name] = conversation{sent.bytes(), got.packet}
		if !w.inside(s.src.Addr, to.port.domain) {
			w.named[s.name] = conversation{got.packet, sent.bytes()}
		}
	}
	return nil
}

// place puts an end of the script where it belongs. A port that has only a
// word gets the number that stands in the packet, at the given offset.
func (w *world) place(to *frame.Endpoint, e end, packet []byte, offset int) {
	if e.addr.IsZero() {
		return
	}
	to.Addr = e.addr
	if !e.has {
		return
	}
	if e.word != "" && len(packet) > offset+5 {
		if packet[9] == frame.ProtoICMP {
			offset = 24
		}
		w.numbers[e.word] = binary.BigEndian.Uint16(packet[offset:])
		e.port = w.numbers[e.word]
	}
	to.Port = e.port
}

// identification holds a packet's IP identification against a word: the same
// word means the same number, another word another one.
func (w *world) identification(word string, id uint16) error {
	if word == "" {
		return nil
	}
	if n, ok := w.numbers["ipid "+word]; ok && n != id {
		return fmt.Errorf("the IP identification is %d, not %d as that of %s", id, n, word)
	}
	for other, n := range w.numbers {
		if strings.HasPrefix(other, "ipid ") && other != "ipid "+word && n == id {
			return fmt.Errorf("the IP identification is %d, as that of %s", id, other)
		}
	}
	w.numbers["ipid "+word] = id
	return nil
}

// difference names the first byte that differs, where two lines would not. A
// checksum differs because of something else, and comes last.
func difference(want, got []byte) string {
	if view(want) != view(got) {
		return ""
	}
	sum := 20 + map[byte]int{frame.ProtoUDP: 6, frame.ProtoTCP: 16, frame.ProtoICMP: 2}[got[9]]
	text := ""
	for i := range min(len(want), len(got)) {
		if want[i] == got[i] {
			continue
		}
		text = fmt.Sprintf("\n\tbyte %d is %02x, not %02x", i, got[i], want[i])
		if i&^1 != 10 && i&^1 != sum {
			break
		}
	}
	return text
}
