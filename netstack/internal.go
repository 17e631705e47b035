package netstack

import (
	"encoding/binary"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
	tunnels "spigate/netstack/ipsec"
)

// Listeners of our own: IKE and ESP for the address of a tunnel's end reach it
// whatever the virtual servers say (VR1).
//
//	prerouting  internal: to an end of a tunnel? nobody else is asked
//	            inClear: should it have come sealed? (VR32)
//	input       espInUDP: a whole packet on port 4500
//	the stack   puts pieces together; then the handler of protocol 50, and IKE's
//	            sockets (ikesocket.go), which find ESP that came in pieces of UDP
//	end of the batch
//	            open: opened, checked, and in again with the label of VR34

// ends is what packets are asked of the tunnels. It does not change: a reload
// makes a new one.
type ends struct {
	locals    map[frame.Addr]bool // where tunnels end
	selective bool                // some selectors are asked of every packet
	next      *tunnels.Policies   // while a reload exchanges everything: those that come
}

// endsOf is nil if there are no tunnels.
func (r *Router) endsOf(p *tunnels.Policies) *ends {
	if len(p.Selectors()) == 0 && len(p.Ends()) == 0 {
		return nil
	}
	e := &ends{locals: map[frame.Addr]bool{}}
	for _, a := range p.Ends() {
		if r.isLocal(a.As4()) {
			e.locals[a.As4()] = true
		}
	}
	for _, s := range p.Selectors() {
		e.selective = e.selective || s.Protects == nil || s.Protects.Mode != tunnels.Interface
	}
	return e
}

// expect lets what comes be asked of p's selectors, too, from before the first
// server is exchanged to after the last selector is: in between nothing leaves or
// comes in clear that will have to be protected (Reload).
func (r *Router) expect(p *tunnels.Policies) {
	was, is := r.ends.Load(), r.endsOf(p)
	if is == nil {
		return
	}
	e := ends{locals: map[frame.Addr]bool{}, selective: is.selective, next: p}
	if was != nil {
		e.locals, e.selective = was.locals, was.selective || is.selective
	}
	r.ends.Store(&e)
}

// settleEnds makes the Database's policies what packets are asked of.
func (r *Router) settleEnds() {
	was, is := r.ends.Load(), r.endsOf(r.esp.Policies())
	r.ends.Store(is)
	if was != nil || is != nil {
		r.flows.Flush() // what the fast path carries has not been asked of the new selectors
	}
}

// internal keeps IKE and ESP for an end here from every other step.
func (r *Router) internal(p *packet) outcome {
	e := r.ends.Load()
	if e == nil || !e.locals[p.Dst] {
		return goOn
	}
	if forTunnels(p) {
		return accept
	}
	if p.ICMPError() {
		r.learnPath(p)
	}
	return goOn
}

// forTunnels reports whether a packet to an end here is IKE or ESP. The later
// pieces of UDP do not show it: they go as what is for us (pieceOfConnection).
func forTunnels(p *packet) bool {
	return p.Proto == frame.ProtoESP || p.Proto == frame.ProtoUDP && !p.Fragment && ikePort(p.DstPort)
}

// learnPath takes over what an ICMP 3/4 says about our ESP (VR35, RFC 4301
// section 8.2.1): bare, or in UDP if enough is quoted. The stack gets the error
// all the same.
func (r *Router) learnPath(p *packet) {
	t := p.Transport()
	q, why := p.Quote()
	if why != drop.None || q.Src != p.Dst || t[0] != uint8(header.ICMPv4DstUnreachable) || t[1] != 4 {
		return
	}
	mtu, spi := int(binary.BigEndian.Uint16(t[6:])), q.SPI
	if q.Proto == frame.ProtoUDP && q.SrcPort == tunnels.PortNATT {
		quoted := t[header.ICMPv4MinimumSize:]
		at := int(quoted[0]&0xf)*4 + header.UDPMinimumSize
		if len(quoted) < at+4 {
			return
		}
		spi = binary.BigEndian.Uint32(quoted[at:])
	}
	if mtu > 0 && r.esp.LearnMTU(q.Dst, spi, mtu, p.now) {
		r.log.Debug("path mtu learnt", "remote", q.Dst.String(), "mtu", mtu)
	}
}

// inClear drops what came in clear although a selector, mirrored, protects it
// (VR32, RFC 4301 section 5.2). What would be sealed on its way on is not meant:
// selectors for everything are about both directions. Nor is a piece of IKE.
func (r *Router) inClear(p *packet) outcome {
	e := r.ends.Load()
	if e == nil || !e.selective || p.unsealed {
		return goOn
	}
	f, known := r.ports.clear.of(p)
	if p.Fragment && p.Proto == frame.ProtoUDP && e.locals[p.Dst] && (!known || ikePort(f.DstPort)) {
		return goOn // nothing but IKE listens there, and elsewhere it follows its first piece
	}
	l := r.barred(e, f, known)
	if q, ok := tunnels.QuotedFlow(&p.Packet); ok && l.Verdict != tunnels.SelectorReject && !e.said(&q) {
		// Who was in clear between us and the other end has not seen that packet.
		if of := r.barred(e, q.Reversed(), true); of.Verdict == tunnels.SelectorReject {
			l = of
		}
	}
	switch l.Verdict {
	case tunnels.SelectorReject:
		r.esp.Count(l)
		r.logInClear(p, l.Selector.Name, f)
		return dropped(drop.SelectorReject)
	case tunnels.SelectorDiscard:
		r.esp.Count(l)
		return dropped(drop.SelectorDiscard)
	}
	return goOn
}

// barred says whether a flow may come in clear. known is false for a later piece
// whose ports nobody knows.
func (r *Router) barred(e *ends, f tunnels.Flow, known bool) tunnels.Lookup {
	l := barredBy(r.esp.Policies(), f, known)
	if e.next != nil && inTheClear(l) {
		return barredBy(e.next, f, known)
	}
	return l
}

// inTheClear reports whether selectors leave a packet as it is.
func inTheClear(l tunnels.Lookup) bool {
	return l.Verdict == tunnels.SelectorMiss || l.Verdict == tunnels.Clear
}

func barredBy(p *tunnels.Policies, f tunnels.Flow, known bool) tunnels.Lookup {
	in, out := p.In, p.Out
	if !known {
		in, out = p.InPiece, p.OutPiece
	}
	l := in(f)
	if l.Verdict == tunnels.SelectorReject && out(f).Verdict == tunnels.Protect {
		return tunnels.Lookup{Verdict: tunnels.SelectorMiss}
	}
	return l
}

// said reports whether a quoted packet was IKE or ESP of an end here: whoever is
// on the way may report on those.
func (e *ends) said(q *tunnels.Flow) bool {
	return e.locals[q.Src] && (q.Proto == frame.ProtoESP || q.Proto == frame.ProtoUDP && ikePort(q.SrcPort))
}

// espInUDP takes whole packets of ESP on port 4500, and keepalives, which are
// silently gone (RFC 3948 section 2.3); IKE goes on to its socket.
func (r *Router) espInUDP(p *packet) outcome {
	e := r.ends.Load()
	if e == nil || p.Proto != frame.ProtoUDP || p.Fragment || p.DstPort != tunnels.PortNATT || !e.locals[p.Dst] {
		return goOn
	}
	switch tunnels.ClassifyUDP(p.UDPPayload()) {
	case tunnels.UDPESP:
		r.openLater(p.Bytes(), p.in, p.watched, p.now)
		return sent
	case tunnels.UDPKeepalive:
		return sent
	case tunnels.UDPShort:
		return dropped(drop.ESPMalformed)
	}
	return goOn
}

// espHandler gets bare ESP for our own addresses from the stack, whole. Where no
// tunnel ends nobody is there to take it.
func (r *Router) espHandler(_ stack.TransportEndpointID, pk *stack.PacketBuffer) bool {
	p, put := r.borrow()
	defer put()
	b := p.view(pk)
	p.in, p.now = frame.Interface(pk.InputNICID), r.now()
	if p.Parse(b) != drop.None {
		return true // the stack would not have come here
	}
	if e := r.ends.Load(); e != nil && e.locals[p.Dst] {
		r.openLater(b, p.in, pk.Mark&frame.MarkBits, p.now)
	} else if r.answerable(p) {
		r.report(codeProtocol, 0, b, p.now)
	}
	return true
}

// openLater puts an ESP packet into the lane of its SPI.
func (r *Router) openLater(b []byte, in frame.Interface, watched uint32, now int64) {
	spi, ok := tunnels.SPIOf(b)
	if !ok {
		r.drops.CountOf(drop.Dropped{Reason: drop.ESPMalformed, Packet: b, At: now, In: uint8(in), Mark: watched})
		return
	}
	j := newJob(r, b, 0, 0)
	j.in, j.watched = in, watched
	r.crypto.add(j, spi, now)
}

// shownOfESP is how much of a lost ESP packet is shown to operators: what is behind
// may have been decrypted.
const shownOfESP = 28

// decrypt opens an ESP packet, and lets in what was inside.
func (r *Router) decrypt(j *job, now int64) {
	var head [shownOfESP]byte
	outer := head[:copy(head[:], j.packet())]
	got := r.esp.Receive(j.packet(), now)
	if got.Moved {
		r.keyer.Moved(got.SPI, got.From) // until it has followed, or will not
	}
	if got.Verdict == tunnels.Pass || got.Verdict == tunnels.Undecided {
		got.Verdict = r.ports.inward(&got, now)
	}
	switch got.Verdict {
	case tunnels.Pass:
		if r.keyer.Waiting() {
			r.keyer.Heard(got.SPI)
		}
		label := got.Interface
		if label == 0 {
			label = j.in
		}
		r.wasOpened(j, got.SPI, label, now)
		r.comeIn(label, got.Inner, unsealedMark)
	case tunnels.Dummy:
	default:
		r.drops.CountOf(j.dropped(reasonOfESP[got.Verdict], outer, now))
		r.logLostESP(&got, outer, now)
		if got.Verdict == tunnels.NoSA {
			r.beginAnew(frame.Addr(outer[12:16]), frame.Addr(outer[16:20]), now)
		}
	}
}

// beginAnew negotiates with a peer that sends on an SA which is not here any more,
// if there is no other one: we were started again, and without that it would find
// out by its dead peer detection only, minutes later. Anybody can send such
// packets in a peer's name: they get an IKE message a second out of us at most,
// and fewer if the peer does not answer (keying.Keyer.Acquire).
func (r *Router) beginAnew(peer, local frame.Addr, now int64) {
	at := r.strays.Load()
	if now < at || !r.strays.CompareAndSwap(at, now+int64(time.Second)) {
		return
	}
	for _, s := range r.esp.Policies().Selectors() {
		q := s.Protects
		if q != nil && q.Remote == peer.Netip() && q.Local == local.Netip() && len(s.Info().Outbound) == 0 && r.keyer.Begins(s.Name) {
			r.keyer.Acquire(s.Name)
		}
	}
}

// comeIn delivers a packet into the stack at an interface. It must not be called
// from inside a hook.
func (r *Router) comeIn(in frame.Interface, packet []byte, mark uint32) {
	if w := r.watching.Load(); w != nil {
		mark = w.again(in, packet, mark, r.now())
	}
	if i := r.interfaces[in]; i != nil {
		i.Reinject(packet, mark)
	} else if t := r.tunnelNIC(in); t != nil {
		t.deliver(packet, mark)
	}
}
