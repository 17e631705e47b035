package ipsec

import (
	"hash/maphash"

	"spigate/alg"
)

// message is a classified IKE datagram.
type message struct {
	header
	dir    alg.Direction
	digest uint64 // of the whole payload, for R49
	phase2 bool   // can create an ESP SA (table 4.3)
}

// classify says what a well-formed header means (section 4.3). An IKEv1
// informational message may still turn out to belong to a live quick mode;
// only the session knows (see ikeSession.phase2).
func classify(h header, dir alg.Direction, digest uint64) message {
	m := message{header: h, dir: dir, digest: digest}
	switch {
	case h.version == 1:
		m.phase2 = h.exchange == exQuickMode && h.responder != 0 && h.id != 0 && h.flags&flagEncrypted != 0
	case h.exchange == exAuth, h.exchange == exCreateChild, h.exchange == exFollowupKE:
		m.phase2 = true
	}
	return m
}

// response reports the IKEv2 response flag.
func (m *message) response() bool { return m.version == 2 && m.flags&flagResponse != 0 }

// failure reports a response that is too short to create an SA: an error
// notify, or a round of EAP (R52).
func (m *message) failure() bool {
	return m.response() && m.first == payloadSK && m.size < shortReplyBytes &&
		(m.exchange == exAuth || m.exchange == exCreateChild)
}

// exchangeKey names the exchange that m belongs to (R51).
func (m *message) exchangeKey() exchangeKey {
	switch {
	case m.version == 1:
		return exchangeKey{id: m.id}
	case m.response():
		return exchangeKey{id: m.id, origin: m.dir.Reverse()}
	default:
		return exchangeKey{id: m.id, origin: m.dir}
	}
}

// opensSession reports whether the message can be the first of an IKE session
// that its sender initiates.
func (m *message) opensSession() bool {
	if m.responder != 0 {
		return false
	}
	return m.exchange == exSAInit && m.version == 2 ||
		m.version == 1 && (m.exchange == exMainMode || m.exchange == exAggressive)
}

// digest64 is the digest of R49. It is keyed, so that nobody can make two
// messages look the same.
func digest64(seed maphash.Seed, b []byte) uint64 { return maphash.Bytes(seed, b) }
