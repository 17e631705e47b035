package ike

import (
	"fmt"
	"net/netip"
)

// HandleMessage takes one UDP payload from remote to local. marked: it came
// with the non-ESP marker of RFC 3948, which is taken off already. Octets of b
// are not kept nor changed.
func (e *Engine) HandleMessage(local, remote netip.AddrPort, b []byte, marked bool, now int64) []Action {
	e.begin(now)
	e.Received++
	m := arrival{local: local, remote: remote, marker: marked, b: b}
	h, ok := parseHeader(b)
	m.h = h
	switch {
	case len(b) >= headerLen && h.major() == 1:
		e.shout(Event{Kind: IKEv1Refused, Local: local, Remote: remote, Reason: "the peer speaks IKEv1, which is obsolete (RFC 9395) and not supported",
			Remedy: "configure the other end for IKEv2"})
	case !ok:
		e.Malformed++
	case h.major() > 2:
		e.newerVersion(m)
	case h.exchange == exchangeInit:
		e.initMessage(m)
	default:
		e.later(m)
	}
	return e.finish()
}

// newerVersion answers a version that does not exist yet (RFC 7296 section 2.5).
func (e *Engine) newerVersion(m arrival) {
	if m.h.response() {
		return
	}
	e.answerClear(m, notifyMajorVersion, nil)
	e.shout(Event{Kind: Refused, Local: m.local, Remote: m.remote, Reason: fmt.Sprintf("the peer speaks IKE version %d", m.h.major()),
		Remedy: "configure the other end for IKEv2"})
}

// answerClear answers a request without making any state.
func (e *Engine) answerClear(m arrival, t notifyType, data []byte) {
	var c chain
	c.notify(t, data)
	h := header{spiI: m.h.spiI, exchange: m.h.exchange, flags: flagResponse, id: m.h.id}
	e.send(m.local, m.remote, m.marker, clearMessage(h, c))
}

func (e *Engine) initMessage(m arrival) {
	switch {
	case m.h.response() && !m.h.initiator():
		if sa := e.bySPI[m.h.spiI]; sa != nil && sa.state == stateInit && m.h.id == 0 && m.remote == sa.remote {
			sa.initResponse(m)
			return
		}
		e.Unknown++
	case !m.h.response() && m.h.initiator() && m.h.spiR == 0 && m.h.id == 0:
		e.initRequest(m)
	default:
		e.Malformed++
	}
}

// later handles what belongs to an SA.
func (e *Engine) later(m arrival) {
	ours, theirs := m.h.spiI, m.h.spiR
	if m.h.initiator() {
		ours, theirs = theirs, ours
	}
	sa := e.bySPI[ours]
	if sa == nil {
		e.unknown(m, ours)
		return
	}
	if sa.spi() != ours || (sa.spiI^sa.spiR^ours) != theirs {
		e.Unknown++
		return
	}
	sa.receive(m)
}

// unknown repeats the last answer of an SA that is gone, or counts. Nothing is
// sent to say that the SA is not there (RFC 7296 section 2.21.4 leaves it
// open): the other end finds out by asking whether we live.
func (e *Engine) unknown(m arrival, ours uint64) {
	if m.h.next != payloadSK && m.h.next != payloadFragment && m.h.response() {
		e.shout(Event{Kind: Ignored, Local: m.local, Remote: m.remote, Reason: "an error report that is not encrypted"})
		return
	}
	for _, g := range e.graves {
		if g.spi == ours && !m.h.response() && hashOfMessage(m.b) == g.last.hash {
			e.repeat(&g.last)
			return
		}
	}
	e.Unknown++
}
