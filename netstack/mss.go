package netstack

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/tcpip/header"

	"spigate/netstack/frame"
)

// clampMSS lowers the maximum segment size that a SYN offers to most bytes, 0:
// leave it (mss-override, VR35). SYNs never take the fast path.
func clampMSS(p *packet, most uint16) {
	if most == 0 || p.Proto != frame.ProtoTCP || p.TCPFlags&frame.TCPSyn == 0 || p.Fragment {
		return
	}
	t := p.Transport()
	end := min(int(t[12]>>4)*4, len(t))
	for at := header.TCPMinimumSize; at < end; {
		switch kind := t[at]; {
		case kind == header.TCPOptionEOL:
			return
		case kind == header.TCPOptionNOP:
			at++
			continue
		case at+2 > end || t[at+1] < 2 || at+int(t[at+1]) > end:
			return // malformed: the end that it is for may judge it
		case kind == header.TCPOptionMSS && t[at+1] == 4:
			lowerMSS(t, at+2, most)
			return
		}
		at += int(t[at+1])
	}
}

// lowerMSS rewrites the value at at with the checksum (RFC 1624); at an odd
// place its bytes stand in two words of the sum.
func lowerMSS(t []byte, at int, most uint16) {
	old := binary.BigEndian.Uint16(t[at:])
	if old <= most {
		return
	}
	binary.BigEndian.PutUint16(t[at:], most)
	if at%2 != 0 {
		old, most = old<<8|old>>8, most<<8|most>>8
	}
	sum := uint32(^binary.BigEndian.Uint16(t[16:])) + uint32(^old) + uint32(most)
	sum = sum&0xffff + sum>>16
	binary.BigEndian.PutUint16(t[16:], ^uint16(sum&0xffff+sum>>16))
}
