package ipsec

import (
	"encoding/binary"

	"spigate/netstack/frame"
)

// OwnerOfCookie finds whom an inbound datagram is for that came to port 500 of
// the NAT address although no mapping is there: a server answered to the port
// it listens on itself (N40). It needs ikeCookieDemux and exactly one session
// with that initiator SPI between the two addresses; the datagram then goes
// the way of the session's mapping. It changes nothing.
//
// The header is enough: of a message in IP fragments payload is the first
// piece. What else is wrong with a message is StepIKE's to say.
func (a *ALG) OwnerOfCookie(nat, server frame.Addr, payload []byte, now int64) (inside frame.Addr, mapping uint64, ok bool) {
	if len(payload) < headerLen {
		return inside, 0, false
	}
	initiator := binary.BigEndian.Uint64(payload)
	sh := a.shardOf(nat, server)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	var found *ikeSession
	p := sh.pair(nat, server)
	if p == nil {
		return inside, 0, false
	}
	for _, c := range p.clients {
		for _, s := range c.sessions {
			if s.initiator != initiator || now > s.deadline() {
				continue
			}
			if found != nil {
				return inside, 0, false
			}
			found = s
		}
	}
	if found == nil || !found.profile.IKECookieDemux {
		return inside, 0, false
	}
	return found.client.inside, found.mapping, true
}
