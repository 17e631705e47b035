package peers

import (
	"encoding/binary"
	"testing"
)

// ike makes a frame with the header of an IKE message.
func ike(port uint16, version, flags byte, k ikeKey) []byte {
	b := binary.BigEndian.AppendUint16([]byte{0x30, 0x39}, port)
	b = append(b, 0, 36, 0, 0)
	b = binary.BigEndian.AppendUint64(b, k.initiator)
	b = binary.BigEndian.AppendUint64(b, k.responder)
	b = append(b, 0, version, k.exchange, flags)
	b = binary.BigEndian.AppendUint32(b, k.id)
	return packet(protoUDP, append(b, 0, 0, 0, 28)...)
}

func TestIKEHeadersAreReadOnPort500(t *testing.T) {
	key := ikeKey{0x1122334455667788, 0x99aabbccddeeff00, v2Informational, 7}
	m, ok := parseIKE(ike(portIKE, 0x20, 0x28, key))
	if !ok || m.ikeKey != key || !m.response {
		t.Errorf("%+v, %v", m, ok)
	}
	if m, ok := parseIKE(ike(portIKE, 0x10, 0x20, key)); !ok || m.response {
		t.Errorf("IKEv1 has no responses: %+v, %v", m, ok)
	}
	if _, ok := parseIKE(ike(portNATT, 0x20, 0, key)); ok {
		t.Error("IKE on port 500 is not told from port 4500")
	}
	if _, ok := parseIKE(ike(portIKE, 0x20, 0, key)[:60]); ok {
		t.Error("half a header was read")
	}
}

func at(delivered, response bool, initiator uint64, exchange byte, id uint32) ikeAt {
	return ikeAt{ikeMessage{ikeKey{initiator, 9, exchange, id}, response}, delivered}
}

func TestWhoBeganARekeyingIsSeen(t *testing.T) {
	all := []ikeAt{
		at(false, false, 1, v2CreateChild, 2), // the client's request, twice
		at(false, false, 1, v2CreateChild, 2),
		at(true, true, 1, v2CreateChild, 2),
		at(true, false, 1, v2CreateChild, 2), // the gateway's, with the same id
		at(false, true, 1, v2CreateChild, 2),
		at(true, false, 1, v2Informational, 3),
		at(true, false, 1, v1Quick, 77), // the gateway's, of three messages
		at(false, false, 1, v1Quick, 77),
		at(true, false, 1, v1Quick, 77),
	}
	if byGateway, byClient := begun(all, true), begun(all, false); byGateway != 2 || byClient != 1 {
		t.Errorf("the gateway began %d, the client %d; want 2 and 1", byGateway, byClient)
	}
}

func TestAnAnswerCountsWhenItCameBack(t *testing.T) {
	for _, exchange := range []byte{v2Informational, v1Informational} {
		v2 := exchange == v2Informational
		question := func(delivered bool) ikeAt { return at(delivered, false, 1, exchange, 5) }
		answer := func(delivered bool) ikeAt {
			id := uint32(5)
			if !v2 {
				id = 6
			}
			return at(delivered, v2, 1, exchange, id)
		}
		own := at(false, false, 1, v1Quick, 1)
		client, gateway := []ikeAt{own, question(true), answer(false)}, []ikeAt{question(false), answer(true)}
		if n := answered(client, gateway); n != 1 {
			t.Errorf("exchange %d: %d answers, want 1", exchange, n)
		}
		for name, n := range map[string]int{
			"the answer was lost":           answered(client, gateway[:1]),
			"the client did not answer":     answered(client[:2], gateway),
			"it came to another client":     answered(client[1:], gateway),
			"nobody asked":                  answered(client, gateway[1:]),
			"the question was not answered": answered([]ikeAt{own, answer(false), question(true)}, gateway),
		} {
			if n != 0 {
				t.Errorf("exchange %d: %s, and %d answers were counted", exchange, name, n)
			}
		}
	}
}

func TestIKEAtTheWrongClientIsSeen(t *testing.T) {
	all := []ikeAt{at(false, false, 1, v2Informational, 1), at(true, true, 1, v2Informational, 1)}
	if got := strangers("c1", all); len(got) != 0 {
		t.Error(got)
	}
	if got := strangers("c1", append(all, at(true, false, 2, v2Informational, 1))); len(got) != 1 {
		t.Errorf("%q, want one stranger", got)
	}
}
