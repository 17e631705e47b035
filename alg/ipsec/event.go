package ipsec

import (
	"fmt"
	"strings"

	"spigate/netstack/frame"
)

// Event is one line of the ALG's log (R34). What is one of
// IKE CREATED|UP|FLOATED|DELETED, GATE OPEN|MATCH_IN|MATCH_OUT|TIMEOUT|RELEASE,
// P2 BLOCKED|HELD|DROPPED, ESP CREATED|DELETED. Rate limiting is the
// listener's work.
type Event struct {
	At                  int64 // monotonic nanoseconds
	What                string
	Reason              string
	Inside, NAT, Server frame.Addr
	SPIIn, SPIOut       uint32 // 0: not known
	Cookie              uint64 // initiator SPI of the IKE session, 0: none
	MessageID           uint32
	// Of ESP DELETED. Half: the session was not ESTABLISHED when it ended, so
	// that there is no CREATED to it (R67). Packets and bytes are by Direction.
	Half           bool
	Packets, Bytes [2]uint64
}

// String returns the line without its time: the words of What, then key=value.
func (e *Event) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s src=%v nat=%v dst=%v", e.What, e.Inside, e.NAT, e.Server)
	if strings.HasPrefix(e.What, "ESP") || e.SPIIn != 0 || e.SPIOut != 0 {
		fmt.Fprintf(&b, " spiin=%s spiout=%s", SPIText(e.SPIIn), SPIText(e.SPIOut))
	}
	if e.Cookie != 0 {
		fmt.Fprintf(&b, " cookie=%016x", e.Cookie)
	}
	if e.MessageID != 0 {
		fmt.Fprintf(&b, " msgid=%08x", e.MessageID)
	}
	if e.Reason != "" {
		fmt.Fprintf(&b, " reason=%s", e.Reason)
	}
	return b.String()
}

// SPIText prints an SPI as the operator commands do: eight hex digits, and a
// dash for one that is not known yet.
func SPIText(spi uint32) string {
	if spi == 0 {
		return "-"
	}
	return fmt.Sprintf("%08x", spi)
}

// event starts a line about the session.
func (s *ikeSession) event(p *pair, what, reason string, id uint32) Event {
	return Event{What: what, Reason: reason, Inside: s.client.inside, NAT: p.key.NAT, Server: p.key.Server,
		Cookie: s.initiator, MessageID: id}
}

// event starts a line about the session.
func (s *espSession) event(what, reason string) Event {
	e := Event{What: what, Reason: reason, Inside: s.client.inside, NAT: s.nat, Server: s.server,
		SPIIn: s.spiIn, SPIOut: s.spiOut, Half: s.state != ESPEstablished}
	for dir, n := range s.count {
		e.Packets[dir], e.Bytes[dir] = n.packets, n.bytes
	}
	return e
}
