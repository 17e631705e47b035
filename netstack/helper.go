package netstack

import (
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"spigate/alg"
	"spigate/alg/ftp"
	"spigate/alg/ipsec"
	"spigate/alg/tftp"
	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/lsn"
)

// helpers are those that watch connections (alg.Helper). What comes in is shown
// to them before its destination is rewritten. Of what goes out IKE is shown
// where the mapping is made, because a held message must not go on; the others
// see it in postrouting, because what they rewrite may change its length, and so
// it leaves as a packet of our own (anew).
type helpers struct {
	ike  ikeHelper
	ftp  *ftp.Helper
	tftp *tftp.Helper
}

// watcher returns the helper that watches a connection, or nil: IKE's only if
// ike is set. Of c only protocol and ports are looked at.
func (h *helpers) watcher(g *lsn.Group, c *alg.Conn, ike bool) alg.Helper {
	switch {
	case g == nil:
	case g.FTP && h.ftp.Watches(c):
		return h.ftp
	case g.TFTP && h.tftp.Watches(c):
		return h.tftp
	case ike && h.ike.Watches(c):
		return h.ike
	}
	return nil
}

// gone tells every helper that a session has ended.
func (h *helpers) gone(session uint64) {
	h.ike.Gone(session)
	h.ftp.Gone(session)
	h.tftp.Gone(session)
}

// watched reports whether every packet of a flow has to be looked at, so that
// it must not have the fast path; IKE never has it.
func (r *Router) watched(b *lsn.Binding) bool {
	c := connOf(b)
	return r.helpers.watcher(b.Group, &c, false) != nil
}

func connOf(b *lsn.Binding) alg.Conn {
	return alg.Conn{
		Session: b.Session, Mapping: b.Mapping, Proto: b.Proto,
		Inside: b.Inside, Outside: b.Outside, Remote: b.Remote,
	}
}

// expecter is the NAT as helpers know it.
type expecter struct{ *lsn.Table }

// Expect implements alg.NAT.
func (e expecter) Expect(x alg.Expectation, now int64) (frame.Endpoint, drop.Reason) {
	return e.Table.Expect(x.Session, x.Port, now)
}

// step shows p to the helper that watches its connection.
func (r *Router) step(h alg.Helper, p *packet, dir alg.Direction, b *lsn.Binding) (alg.Result, outcome) {
	switch {
	case p.Proto != frame.ProtoTCP: // a datagram in pieces is gathered where that matters
	case p.Fragment:
		return alg.Result{}, dropped(drop.Fragment)
	case !p.sumValid():
		return alg.Result{}, dropped(drop.ALGChecksum)
	}
	ap := alg.Packet{
		Conn: connOf(b), Dir: dir, IP: p.Bytes(), Header: p.HeaderLength(), In: p.in, Mark: p.mark() & keptMark, Room: len(p.Bytes()),
	}
	if p.out != 0 {
		ap.Room = max(ap.Room, r.mtu(p.out))
	}
	res := h.Step(&ap, expecter{r.lsn}, p.now)
	switch res.Verdict {
	case alg.Forward:
		return res, goOn
	case alg.Hold:
		return res, held
	}
	return res, dropped(res.Reason)
}

// helpIn shows a packet from outside to its helper.
func (r *Router) helpIn(p *packet, b *lsn.Binding) outcome {
	c := connOf(b)
	h := r.helpers.watcher(b.Group, &c, !r.ownAddress(b))
	if h == nil || r.turned(p) { // no helper has a part in a hairpin (R26)
		return goOn
	}
	res, o := r.step(h, p, alg.Out2In, b)
	if o.verdict == Continue && res.Transport != nil {
		copy(p.Transport(), res.Transport)
		p.sum()
	}
	return o
}

// helpFirst shows a subscriber's packet to its helper if that may hold it.
func (r *Router) helpFirst(p *packet, b *lsn.Binding) outcome {
	c := connOf(b)
	switch h := r.helpers.watcher(b.Group, &c, !r.ownAddress(b)); {
	case h == r.helpers.ike:
		_, o := r.step(h, p, alg.In2Out, b)
		return o
	case h != nil && p.Fragment && p.Proto == frame.ProtoTCP:
		return dropped(drop.Fragment) // postrouting sees no text in it
	}
	return goOn
}

// helpOut shows a leaving packet to its helper, still untranslated.
func (r *Router) helpOut(p *packet) outcome {
	if p.Fragment || !r.leaving(p) {
		return goOn
	}
	tuple, ok := insideView(p)
	group, _ := r.lsn.Client(p.Src)
	h := r.helpers.watcher(group, &alg.Conn{Proto: p.Proto, Inside: tuple.Inside, Remote: tuple.Remote}, false)
	if !ok || h == nil {
		return goOn
	}
	b, ok := r.lsn.FindOut(tuple)
	if !ok {
		return dropped(drop.NoMapping) // it has ended since forward
	}
	res, o := r.step(h, p, alg.In2Out, &b)
	if now, live := r.lsn.FindOut(tuple); !live || now.Session != b.Session {
		h.Gone(b.Session) // it has ended meanwhile, and whoever ended it was too early to tell
	}
	if o.verdict == Continue && res.Transport != nil {
		p.renew(res.Transport)
	}
	return o
}

// anew sends a packet of another length than the one that came in: the stack
// cannot change it.
func (r *Router) anew(p *packet) outcome {
	if !p.ours {
		return goOn
	}
	r.leave(p.route, p.Bytes(), p.demands && !p.unsealed, p.watched)
	return sent
}

// renew makes p a packet of our own with the same IPv4 header and another TCP
// segment.
func (p *packet) renew(segment []byte) {
	b := make([]byte, 0, p.HeaderLength()+len(segment))
	b = append(append(b, p.Bytes()[:p.HeaderLength()]...), segment...)
	ip := header.IPv4(b)
	ip.SetTotalLength(uint16(len(b)))
	ip.SetChecksum(0)
	ip.SetChecksum(^ip.CalculateChecksum())
	p.Parse(b) // as the one before it
	p.ours = true
	p.sum()
}

// sum computes the checksum of a TCP segment.
func (p *packet) sum() {
	t := header.TCP(p.Transport())
	t.SetChecksum(0)
	t.SetChecksum(^checksum.Checksum(t, p.pseudoSum()))
}

// sumValid reports whether a TCP segment has come as it was sent.
func (p *packet) sumValid() bool { return checksum.Checksum(p.Transport(), p.pseudoSum()) == 0xffff }

func (p *packet) pseudoSum() uint16 {
	return header.PseudoHeaderChecksum(header.TCPProtocolNumber,
		tcpip.AddrFrom4(p.Src), tcpip.AddrFrom4(p.Dst), uint16(len(p.Transport())))
}

// ikeHelper is the IPsec ALG as a helper that watches connections: those of IKE
// (R36 c, d). ESP, which is none, goes to it by espIn and espOut.
type ikeHelper struct{ r *Router }

// Watches implements alg.Helper.
func (ikeHelper) Watches(c *alg.Conn) bool {
	return c.Proto == frame.ProtoUDP && ikePort(c.Remote.Port)
}

// Step implements alg.Helper.
func (h ikeHelper) Step(p *alg.Packet, _ alg.NAT, now int64) alg.Result {
	group, _ := h.r.lsn.Client(p.Inside.Addr)
	profile := h.r.profile(group)
	if profile == nil {
		return alg.Result{} // R35: only where the group has one
	}
	res := h.r.alg.StepIKE(&ipsec.IKEPacket{
		Dir: p.Dir, Profile: profile,
		Inside: p.Inside.Addr, NAT: p.Outside.Addr, Server: p.Remote.Addr,
		InsidePort: p.Inside.Port, NATPort: p.Outside.Port, ServerPort: p.Remote.Port,
		Mapping: p.Mapping, Payload: datagram(p.Transport()), Packet: p.IP, In: p.In, Mark: p.Mark,
	}, now)
	h.r.armDeadline()
	o := h.r.obey(res)
	return alg.Result{Verdict: res.Verdict, Reason: o.reason}
}

// datagram returns what a UDP header says follows it, or as much of that as is
// in a first piece.
func datagram(t []byte) []byte {
	return t[header.UDPMinimumSize:min(int(header.UDP(t).Length()), len(t))]
}

// Gone implements alg.Helper: the ALG asks for the end of mappings, not of
// sessions.
func (ikeHelper) Gone(uint64) {}
