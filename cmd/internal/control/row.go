package control

import (
	"encoding/json"
	"net/netip"
	"strconv"
	"strings"
)

// appendJSON implements appender.
func (s *LSNSession) appendJSON(b []byte) []byte {
	b = appendAddr(append(b, `{"subscriber_ip":`...), s.SubscriberIP)
	b = appendNumber(append(b, `,"subscriber_port":`...), s.SubscriberPort)
	b = appendNumber(append(b, `,"subscriber_td":`...), s.SubscriberTD)
	b = appendAddr(append(b, `,"dest_ip":`...), s.DestIP)
	b = appendNumber(append(b, `,"dest_port":`...), s.DestPort)
	b = appendNumber(append(b, `,"dest_td":`...), s.DestTD)
	b = appendAddr(append(b, `,"nat_ip":`...), s.NATIP)
	b = appendNumber(append(b, `,"nat_port":`...), s.NATPort)
	b = appendText(append(b, `,"protocol":`...), s.Protocol)
	b = appendText(append(b, `,"direction":`...), s.Direction)
	return append(b, '}')
}

func appendNumber(b []byte, n uint16) []byte { return strconv.AppendUint(b, uint64(n), 10) }

func appendAddr(b []byte, a netip.Addr) []byte {
	b = append(b, '"')
	if a.IsValid() {
		b = a.AppendTo(b)
	}
	return append(b, '"')
}

// appendText quotes a text. What has to be escaped is left to the library.
func appendText(b []byte, text string) []byte {
	if strings.IndexFunc(text, func(c rune) bool { return c < ' ' || c > '~' || c == '"' || c == '\\' }) < 0 {
		return append(append(append(b, '"'), text...), '"')
	}
	quoted, err := json.Marshal(text)
	if err != nil { // a string: cannot fail
		return append(b, `""`...)
	}
	return append(b, quoted...)
}
