package ipsec

import (
	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// Sent is what became of an outbound packet.
type Sent struct {
	Verdict    Verdict
	SA         *SA            // that sealed it, or would have
	Start, End int            // Pass: where the ESP packet stands in the caller's memory
	To         frame.Endpoint // Pass: the other end
	MTU        int            // TooBig: the value for ICMP 3/4 (VR35)
	Acquire    bool           // an SA is wanted: negotiate one. Said to one caller a second
}

// Send seals the packet b[off:off+n], which Out or Via found s for with the flow
// f. See SA.Seal for the memory around it and for mtu. Without an SA the first
// packet is kept until there is one (Held, then Release), later ones are lost
// (NoSA); one of them is told to Acquire it (VR29, Q17). Manual policies have
// nobody to ask. mark is the caller's own, given back with a packet that was kept.
func (db *Database) Send(s *Selector, f Flow, b []byte, off, n, mtu int, mark uint32, now int64) (r Sent) {
	defer func() { db.sent[r.Verdict].Add(1) }()
	if s.bundle == nil {
		return Sent{Verdict: SelectorDiscard}
	}
	sa := s.bundle.pick(f)
	if sa == nil {
		return db.miss(s, b, off, n, mark, now)
	}
	r = db.seal(s, sa, f, b, off, n, mtu, now)
	switch r.Verdict {
	case Pass:
		r.To = r.SA.Remote()
	case TooBig:
		r.MTU = r.SA.InnerMTU(r.SA.narrow(mtu, now), headerLen(b[off:off+n]))
	case Expired, Exhausted:
		r.Acquire = !r.SA.Manual && s.bundle.wish(now)
	}
	return r
}

// seal uses the SA that was picked, or, if it was removed since, the one that
// took its place: a rekey loses no packet.
func (db *Database) seal(s *Selector, sa *SA, f Flow, b []byte, off, n, mtu int, now int64) (r Sent) {
	for range maxOutbound {
		r.SA = sa
		r.Start, r.End, r.Verdict = sa.Seal(b, off, n, mtu, now)
		next := sa
		if r.Verdict == Expired {
			next = s.bundle.pick(f)
		}
		if next == sa || next == nil {
			break
		}
		sa = next
	}
	return r
}

func headerLen(p []byte) int { return int(p[0]&0xf) * 4 }

func (db *Database) miss(s *Selector, b []byte, off, n int, mark uint32, now int64) Sent {
	if db.policies.Load().isManual(s.Policy) {
		s.bundle.misses.Add(1)
		return Sent{Verdict: NoSA}
	}
	r := Sent{Verdict: NoSA, Acquire: s.bundle.wish(now)}
	if off >= 0 && n >= 0 && off+n <= len(b) && s.bundle.hold(b[off:off+n], mark, &db.held, now) {
		r.Verdict = Held
	}
	return r
}

// Release gives back the packet that waited for an SA of the selector, for the
// caller to Send, and its mark. ok is false if there is none, or it waited longer than five
// seconds.
func (db *Database) Release(s *Selector, now int64) (packet []byte, mark uint32, ok bool) {
	if s.bundle == nil {
		return nil, 0, false
	}
	return s.bundle.release(&db.held, now)
}

// Received is what became of an inbound packet.
type Received struct {
	Verdict Verdict
	SPI     uint32 // of the packet, with everything but Malformed
	SA      *SA    // nil for NoSA and Malformed
	Inner   []byte // Pass, Undecided: the IPv4 packet; SelectorReject: what was inside
	Flow    Flow   // of Inner, for logs (VR32)

	// Undecided: Inner is a fragment that shows no ports, and the SA was made for
	// some. Whoever knows its datagram's ports puts them into Flow and asks
	// SA.Covers(Flow.Reversed()); who does not drops it as SelectorReject (Q19,
	// RFC 4301 section 7).

	// Interface is the label of Inner (VR34): that of the tunnel's interface, or
	// 0 for the one on which the ESP came.
	Interface frame.Interface

	// From is where authentic UDP came from, and Moved that this is not where
	// the SA's other end is thought to be: a NAT on the way changed its mind.
	// It is said of SAs that Follow alone, and by the packet with the highest
	// number so far: whoever holds one back and sends it later from elsewhere
	// moves nobody. IKE decides whether to follow (RFC 7296 section 2.23).
	From  frame.Endpoint
	Moved bool
}

// Receive opens an ESP packet, bare or in UDP, and checks that what is inside is
// what its SA was made for (VR32). p is a whole IPv4 packet to one of our
// addresses; the result borrows its memory.
func (db *Database) Receive(p []byte, now int64) (r Received) {
	defer func() { db.received[r.Verdict].Add(1) }()
	spi, ok := SPIOf(p)
	if !ok {
		return Received{Verdict: Malformed}
	}
	r = Received{Verdict: NoSA, SPI: spi, SA: db.Find(spi, frame.Addr(p[16:20]))}
	if r.SA == nil {
		return r
	}
	from := origin(p)
	inner, newest, v := r.SA.take(p, now)
	if r.Verdict = v; v != Pass && v != Dummy {
		return r
	}
	r.From, r.Moved = from, newest && r.SA.follow && from.Port != 0 && from != r.SA.Remote()
	if v == Dummy {
		return r
	}
	r.Inner, r.Interface = inner, frame.Interface(r.SA.label.Load())
	if r.judge(); r.Verdict != Pass {
		r.SA.count(r.Verdict)
	}
	return r
}

// judge asks whether the SA was made for what was inside.
func (r *Received) judge() {
	var p frame.Packet
	why := p.Parse(r.Inner)
	later := p.Fragment && p.FragmentOffset() > 0
	if why == drop.None && p.Fragment && !later {
		why = p.OpenFirst()
	}
	if why != drop.None {
		r.Verdict, r.Inner = InnerMalformed, nil
		return
	}
	r.Flow = FlowOf(&p)
	switch {
	case r.SA.Admits(&p):
	case later && r.SA.mayCover(r.Flow.Reversed()):
		r.Verdict = Undecided
	default:
		r.Verdict = SelectorReject
	}
}

// origin is where a packet in UDP came from; Port is 0 for bare ESP.
func origin(p []byte) frame.Endpoint {
	e := frame.Endpoint{Addr: frame.Addr(p[12:16])}
	if t := p[headerLen(p):]; p[9] == protoUDP {
		e.Port = uint16(t[0])<<8 | uint16(t[1])
	}
	return e
}

// EventKind is what happened to an SA.
type EventKind uint8

// The events.
const (
	RekeyWanted EventKind = iota // its soft lifetime is over: negotiate a successor. Said once
	SAEnded                      // its hard lifetime is over: it was removed and wiped
	HeldDropped                  // the packet that waited for an SA waited too long: count it as NoSA
)

func (k EventKind) String() string { return [...]string{"rekey wanted", "ended", "held dropped"}[k] }

// Event is for IKE.
type Event struct {
	Kind      EventKind
	SA        *SA      // nil for HeldDropped
	Selectors []string // whose it is
	Why       Why
	Mark      uint32 // HeldDropped: the packet's
}

// Sweep does what time does: soft and hard lifetimes, packets that wait, SPIs
// that nobody came for. It is to be called every second; a hard lifetime is
// exact all the same, because packets ask for it. emit is called with no lock
// held.
func (db *Database) Sweep(now int64, emit func(Event)) {
	for _, e := range db.sweep(now) {
		emit(e)
	}
}

func (db *Database) sweep(now int64) (out []Event) {
	db.mu.Lock()
	defer db.mu.Unlock()
	for sa := range db.all {
		if why, over := sa.ended(now); over {
			db.drop(sa)
			out = append(out, Event{Kind: SAEnded, SA: sa, Selectors: sa.selectors, Why: why})
		} else if why, soft := sa.softened(now); soft && !sa.asked {
			sa.asked = true
			out = append(out, Event{Kind: RekeyWanted, SA: sa, Selectors: sa.selectors, Why: why})
		}
	}
	for _, s := range db.policies.Load().selectors {
		if s.bundle == nil {
			continue
		}
		if mark, over := s.bundle.expire(&db.held, now); over {
			out = append(out, Event{Kind: HeldDropped, Selectors: []string{s.Name}, Mark: mark})
		}
	}
	for spi, since := range db.reserved {
		if now-since >= int64(reservedFor) {
			delete(db.reserved, spi)
		}
	}
	return out
}
