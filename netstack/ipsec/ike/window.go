package ike

import (
	"crypto/sha256"
	"net/netip"
)

// request is ours that waits for its answer. There is one at a time: our
// window and the one we ask of the other end are 1 (RFC 7296 section 2.3).
type request struct {
	id        uint32
	exchange  exchange
	datagrams [][]byte
	task      *task
	attempt   int
	due       int64
	wait      int64
}

// response is our last answer, for a request that is repeated bit by bit
// (RFC 7296 section 2.1).
type response struct {
	hash          [32]byte // of the request, or of its first fragment (RFC 7383 section 2.6.1)
	datagrams     [][]byte
	local, remote netip.AddrPort
	marker        bool
}

// limit is what a datagram may have so that its IP packet stays in bounds.
func (sa *ikeSA) limit() int {
	n := sa.e.cfg.MessageLimit - 20 - 8
	if sa.marker {
		n -= 4
	}
	return n
}

// request sends a request for a task.
func (sa *ikeSA) request(x exchange, c chain, t *task) {
	b, err := sa.out.sealAll(sa.header(x, sa.nextOut, false), c, sa.limit(), sa.fragments, sa.e.cfg.Random)
	if err != nil {
		sa.e.log(sa.event(IKEFailed, err.Error(), "configure fewer selectors, proposals or certificates"))
		sa.bury()
		return
	}
	sa.await(x, b, t)
}

// await sends datagrams and waits for their answer.
func (sa *ikeSA) await(x exchange, datagrams [][]byte, t *task) {
	wait := sa.e.jitter(int64(sa.e.cfg.RetransmitFirst))
	sa.pending = &request{id: sa.nextOut, exchange: x, datagrams: datagrams, task: t, wait: wait, due: sa.e.now + wait}
	sa.nextOut++
	sa.transmit(datagrams)
}

func (sa *ikeSA) transmit(datagrams [][]byte) {
	sa.sentAt = sa.e.now
	for _, b := range datagrams {
		sa.e.send(sa.local, sa.remote, sa.marker, b)
	}
}

// respond answers the request that is being handled.
func (sa *ikeSA) respond(x exchange, c chain) {
	b, err := sa.out.sealAll(sa.header(x, sa.nextIn, true), c, sa.limit(), sa.fragments, sa.e.cfg.Random)
	if err != nil {
		sa.e.log(sa.event(IKEFailed, err.Error(), "configure fewer selectors or certificates"))
		return
	}
	sa.last = &response{hash: sa.firstHash, datagrams: b, local: sa.local, remote: sa.remote, marker: sa.marker}
	sa.nextIn++
	sa.transmit(b)
}

// refuse answers with an error notify.
func (sa *ikeSA) refuse(x exchange, t notifyType, data []byte) {
	var c chain
	c.notify(t, data)
	sa.respond(x, c)
}

// repeat sends an answer again, to where the first one went.
func (e *Engine) repeat(r *response) {
	e.Duplicates++
	for _, b := range r.datagrams {
		e.send(r.local, r.remote, r.marker, b)
	}
}

// arrival is a message and where it came from and went to.
type arrival struct {
	local, remote netip.AddrPort
	marker        bool
	h             header
	b             []byte
}

// receive takes an encrypted message of this SA.
func (sa *ikeSA) receive(m arrival) {
	e := sa.e
	if m.h.initiator() == sa.initiator || sa.in == nil {
		e.Unknown++
		return
	}
	response := m.h.response()
	if !response && (sa.state == stateAuth || sa.isRepeat(m)) {
		// Before the other end is authentic it asks for nothing; it repeats.
		return
	}
	if response && (sa.pending == nil || m.h.id != sa.pending.id || m.h.exchange != sa.pending.exchange) {
		e.Duplicates++
		return
	}
	o, err := sa.in.open(m.h, m.b)
	if err != nil {
		e.BadIntegrity++
		return
	}
	first, inner := o.first, o.inner
	if !response && o.number <= 1 {
		sa.firstHash = sha256.Sum256(m.b)
	}
	if o.total != 0 {
		g, done := &sa.gatherIn, false
		if response {
			g = &sa.gatherOut
		}
		if first, inner, done = g.add(m.h.id, o); !done || !sa.fragments {
			return
		}
	}
	sa.heard = e.now
	sa.follow(m)
	if response {
		sa.answered(first, inner)
		return
	}
	sa.asked(m.h.exchange, first, inner)
}

// isRepeat handles requests that are not the next one.
func (sa *ikeSA) isRepeat(m arrival) bool {
	if m.h.id == sa.nextIn {
		return false
	}
	if sa.last != nil && m.h.id+1 == sa.nextIn && sha256.Sum256(m.b) == sa.last.hash {
		sa.e.repeat(sa.last)
		return true
	}
	sa.e.Duplicates++
	return true
}

// asked handles a request that is authentic and the next one.
func (sa *ikeSA) asked(x exchange, first uint8, inner []byte) {
	c, f := parseContent(first, inner)
	switch {
	case f != nil && f.kind == notifyCritical:
		sa.refuse(x, f.kind, f.data)
	case f != nil:
		// The other end is authentic but speaks nonsense: the SA is over
		// (RFC 7296 section 2.21.3).
		sa.say(sa.event(Refused, f.Error(), "report it to the maker of the other end"))
		sa.refuse(x, f.kind, nil)
		sa.bury()
	case sa.state == stateHalfOpen && x == exchangeAuth:
		sa.authRequest(c)
	case sa.state == stateHalfOpen:
		sa.e.Unknown++
	case x == exchangeChild:
		sa.childRequest(c)
	case x == exchangeInformational:
		sa.informational(c)
	default:
		sa.refuse(x, notifyInvalidSyntax, nil)
	}
}

// answered handles the answer to our request.
func (sa *ikeSA) answered(first uint8, inner []byte) {
	t := sa.pending.task
	c, f := parseContent(first, inner)
	sa.pending = nil
	if f != nil {
		sa.e.log(sa.event(Refused, f.Error(), "report it to the maker of the other end"))
		t.abandon(sa.e)
		sa.bury()
		return
	}
	switch t.kind {
	case taskAuth:
		sa.authResponse(t, c)
	case taskChild:
		sa.childResponse(t, c)
	case taskRekey:
		sa.rekeyResponse(t, c)
	case taskDeleteChild:
		for _, k := range t.close {
			k.remove("it was deleted")
		}
	case taskDeleteIKE:
		sa.bury()
	}
}

// overdue sends the pending request again, or gives up.
func (sa *ikeSA) overdue() {
	r := sa.pending
	if r.attempt++; r.attempt > sa.e.cfg.Retransmits {
		sa.unanswered()
		return
	}
	r.wait = r.wait * 9 / 5
	r.due = sa.e.now + r.wait
	sa.e.Retransmits++
	sa.transmit(r.datagrams)
}

// unanswered ends an SA whose peer is silent.
func (sa *ikeSA) unanswered() {
	switch sa.state {
	case stateInit, stateAuth:
		why, remedy := sa.reported, sa.remedy
		if why == "" {
			why, remedy = "no answer", "check that the other end is up, has this router as its peer, and that UDP 500 and 4500 pass"
		}
		sa.fail(why, remedy)
	case stateUp:
		sa.e.log(sa.event(PeerDead, "no answer to "+sa.pending.exchange.String(), "check the way to the peer; it is tried again if its children should be up"))
		sa.e.log(sa.event(IKEDown, "the peer does not answer", ""))
		sa.bury()
	default:
		sa.bury()
	}
}

// fail ends an SA that did not come up.
func (sa *ikeSA) fail(why, remedy string) {
	sa.e.Failures++
	sa.say(sa.event(IKEFailed, why, remedy))
	sa.bury()
}
