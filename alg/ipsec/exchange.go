package ipsec

import "spigate/alg"

// exchangeKey names a phase-2 exchange inside its IKE session (R51). IKEv2
// numbers requests per side, so the side that asked is part of it; in IKEv1
// the message id alone is unique and origin stays zero.
type exchangeKey struct {
	id     uint32
	origin alg.Direction
}

// exchange remembers what passed of one phase-2 exchange.
type exchange struct {
	key    exchangeKey
	kind   uint8         // exchange type
	origin alg.Direction // of the first message
	done   bool          // it had its outcome: later messages are retransmissions (R49)
	used   int64         // last message
	sides  [2]side
}

// side is what passed in one direction.
type side struct {
	digests  [2]uint64 // of the distinct messages; IKEv1 has up to two a side
	n        uint8
	complete bool   // every fragment was seen (RFC 7383)
	total    uint16 // fragments of the message
	seen     uint64 // bit i: fragment i+1
}

// note records a forwarded message and reports whether it is a distinct one,
// which re-arms the gates (R55). A retransmission is not (R49). A fragmented
// message counts when it starts and when it becomes complete, however often
// its pieces are sent (N23).
func (e *exchange) note(m *message, now int64) bool {
	e.used = now
	if m.version == 2 {
		e.origin = e.key.origin
	} else if e.sides[0].n+e.sides[1].n == 0 {
		e.origin = m.dir
	}
	s := &e.sides[m.dir]
	if m.fragments != 0 {
		return s.fragment(m)
	}
	if m.version == 2 {
		return s.first(m.digest)
	}
	return s.distinct(m.digest, e.sides[m.dir.Reverse()].n)
}

// first admits one message: IKEv2 has one request and one response for each
// message id, and a retransmission must be the same bytes (RFC 7296 section
// 2.1).
func (s *side) first(digest uint64) bool {
	if s.n > 0 {
		return false
	}
	s.digests[0], s.n = digest, 1
	return true
}

// distinct tells QM1 from QM3, and QM2 from CONNECTED: they share direction
// and message id, differ in digest, and the other side spoke in between.
func (s *side) distinct(digest uint64, others uint8) bool {
	for _, d := range s.digests[:s.n] {
		if d == digest {
			return false
		}
	}
	if int(s.n) == len(s.digests) || s.n > others {
		return false
	}
	s.digests[s.n] = digest
	s.n++
	return true
}

// fragment counts one RFC 7383 fragment. A greater total means that the sender
// cut the message anew (RFC 7383 section 2.5.2).
func (s *side) fragment(m *message) bool {
	starts := s.first(m.digest)
	if m.fragments > s.total {
		s.total, s.seen = m.fragments, 0
	}
	if m.fragments < s.total || m.fragment > maxFragments || s.complete {
		return starts
	}
	s.seen |= 1 << (m.fragment - 1)
	if s.total > maxFragments || s.seen != 1<<s.total-1 {
		return starts
	}
	s.complete = true
	return true
}

// exchange returns the session's record of an exchange, or nil.
func (s *ikeSession) exchange(k exchangeKey) *exchange {
	for i := range s.exchanges {
		if s.exchanges[i].key == k {
			return &s.exchanges[i]
		}
	}
	return nil
}

// remember returns the record of an exchange and makes one where there is
// none; the one that was silent for longest gives way.
func (s *ikeSession) remember(k exchangeKey, kind uint8, now int64) *exchange {
	if e := s.exchange(k); e != nil {
		return e
	}
	fresh := exchange{key: k, kind: kind, used: now}
	if len(s.exchanges) < maxExchanges {
		s.exchanges = append(s.exchanges, fresh)
		return &s.exchanges[len(s.exchanges)-1]
	}
	oldest := &s.exchanges[0]
	for i := range s.exchanges {
		if s.exchanges[i].used < oldest.used {
			oldest = &s.exchanges[i]
		}
	}
	*oldest = fresh
	return oldest
}

// phase2 reports whether m can create an ESP SA, and of which exchange it is.
func (s *ikeSession) phase2(m *message) (exchangeKey, bool) {
	key := m.exchangeKey()
	// CONNECTED is an informational message with a live quick mode's id
	// (RFC 2408 section 3.1, commit bit).
	connected := m.version == 1 && m.exchange == exInformational && m.id != 0 && s.exchange(key) != nil
	return key, m.phase2 || connected
}
