package peers

import (
	"encoding/binary"
	"fmt"
)

// Exchange types that tell what a message is about although it is encrypted:
// of IKEv1 (RFC 2408, RFC 2409) and of IKEv2 (RFC 7296).
const (
	v1Informational = 5
	v1Quick         = 32
	v2CreateChild   = 36
	v2Informational = 37
)

// ikeKey names one exchange: both cookies (in IKEv2: SPIs), the type and the
// message id.
type ikeKey struct {
	initiator, responder uint64
	exchange             byte
	id                   uint32
}

// ikeMessage is the header of one message to or from port 500.
type ikeMessage struct {
	ikeKey
	response bool // flag R of IKEv2; IKEv1 has none
}

func (k ikeKey) informational() bool {
	return k.exchange == v1Informational || k.exchange == v2Informational
}

// child reports whether the exchange makes SAs, after the first ones of IKEv2.
func (k ikeKey) child() bool { return k.exchange == v1Quick || k.exchange == v2CreateChild }

// parseIKE reads the header of an IKE message in a UDP packet to or from port
// 500. Fragments of IPv4 after the first have none.
func parseIKE(frame []byte) (ikeMessage, bool) {
	p, ok := parseIPv4(frame)
	if !ok || p.proto != protoUDP || len(p.body) < 8+28 {
		return ikeMessage{}, false
	}
	if binary.BigEndian.Uint16(p.body) != portIKE && binary.BigEndian.Uint16(p.body[2:]) != portIKE {
		return ikeMessage{}, false
	}
	h := p.body[8:]
	const flagResponse = 0x20
	m := ikeMessage{ikeKey: ikeKey{binary.BigEndian.Uint64(h), binary.BigEndian.Uint64(h[8:]), h[18], binary.BigEndian.Uint32(h[20:])}}
	m.response = h[17]>>4 == 2 && h[19]&flagResponse != 0
	return m, true
}

// ikeAt is a message at a host's device, and which way it went there.
type ikeAt struct {
	ikeMessage
	delivered bool // to the host; false: sent by it
}

// ike returns the IKE messages on port 500 that passed a host's device, in
// their order.
func (w *Watch) ike(h *Host) []ikeAt {
	var all []ikeAt
	for _, f := range w.frames(h) {
		if m, ok := parseIKE(f.frame); ok {
			all = append(all, ikeAt{m, f.delivered})
		}
	}
	return all
}

// begun counts the exchanges for new SAs between a client and the gateway that
// the gateway, or else the client, began, by what passed the client's device.
func begun(atClient []ikeAt, byGateway bool) int {
	n, seen := 0, map[ikeKey]bool{}
	for _, m := range atClient {
		// In IKEv2 the ids of one side say nothing about those of the other; in
		// IKEv1 the first message of an exchange tells whose it is.
		if !m.child() || m.response || m.exchange == v2CreateChild && m.delivered != byGateway {
			continue
		}
		if !seen[m.ikeKey] && m.delivered == byGateway {
			n++
		}
		seen[m.ikeKey] = true
	}
	return n
}

// answered counts the questions of the gateway that came to the client and
// whose answers came back to the gateway, in an IKE SA that the client began.
func answered(atClient, atGateway []ikeAt) int {
	asked, returned := map[ikeKey]bool{}, map[ikeKey]bool{}
	for _, m := range atGateway {
		if m.delivered {
			returned[answerTo(m)] = true
		} else if m.informational() && !m.response {
			asked[m.ikeKey] = true
		}
	}
	own, got, n := map[uint64]bool{}, map[ikeKey]bool{}, 0
	for _, m := range atClient {
		switch key := answerTo(m); {
		case m.delivered:
			if asked[m.ikeKey] && own[m.initiator] {
				got[key] = true
			}
		case got[key] && returned[key] && isAnswer(m):
			n++
			delete(got, key)
		default:
			own[m.initiator] = true
		}
	}
	return n
}

// answerTo is what a question and its answer have in common: in IKEv1 they are
// two messages with ids of their own.
func answerTo(m ikeAt) ikeKey {
	k := m.ikeKey
	if k.exchange == v1Informational {
		k.id = 0
	}
	return k
}

func isAnswer(m ikeAt) bool { return m.exchange == v1Informational || m.response }

// strangers are the messages of established IKE SAs that were delivered to a
// client that has no such SA.
func strangers(name string, atClient []ikeAt) []string {
	own := map[uint64]bool{}
	var all []string
	for _, m := range atClient {
		if !m.delivered {
			own[m.initiator] = true
		} else if m.responder != 0 && !own[m.initiator] {
			all = append(all, fmt.Sprintf("IKE of %016x at %s", m.initiator, name))
		}
	}
	return all
}
