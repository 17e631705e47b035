package natlog

import (
	"strconv"

	"spigate/netstack/frame"
)

// The long form: NetScaler's lines (R30, R31), as they stand after the header:
//
//	MM/DD/YYYY:hh:mm:ss GMT 0-PPE-0 : LSN LSN_SESSION 7 : SESSION CREATED Client IP:Port:TD …
//
// Mapping and session lines are NetScaler's. A mapping names the traffic domain
// only where it is not the default one, as in NetScaler's samples. Blocks,
// exhaustion, quotas and gaps follow the same pattern in words of ours.

// appendDate writes MM/DD/YYYY:hh:mm:ss GMT.
func appendDate(dst []byte, wall int64) []byte {
	return utc(wall).AppendFormat(dst, "01/02/2006:15:04:05 GMT")
}

// appendLong writes a record's line. seq is the line's number at this target.
func appendLong(dst []byte, r *Record, seq uint64) []byte {
	dst = appendDate(dst, r.Wall)
	// Packet engine 0-PPE-0: the field must be there for parsers of NetScaler's
	// lines; it has no meaning here.
	dst = append(dst, " 0-PPE-0 : LSN "...)
	dst = append(dst, r.messageID()...)
	dst = append(dst, ' ')
	dst = strconv.AppendUint(dst, seq, 10)
	dst = append(dst, " : "...)
	dst = r.appendEvent(dst)
	if r.Profile != nil && r.Profile.SubscriberInfo && r.Group != "" {
		dst = append(append(dst, ", Group: "...), r.Group...)
	}
	return dst
}

// messageID is the name of the message, which RFC 5424 has a field for too.
func (r *Record) messageID() string {
	switch {
	case r.Kind.isMapping():
		return "LSN_MAPPING"
	case r.Kind.isSession():
		return "LSN_SESSION"
	case r.Kind.isBlock():
		return "LSN_PORTBLOCK"
	case r.Kind == QuotaExceeded:
		return "LSN_QUOTA"
	case r.Kind == Started:
		return "LSN_LOG"
	case r.Kind == Gap:
		return "LSN_GAP"
	}
	return "LSN_EXHAUSTED"
}

func (r *Record) appendEvent(dst []byte) []byte {
	switch r.Kind {
	case MappingCreated:
		return r.appendMapping(append(dst, r.Mode.String()...), " CREATED")
	case MappingDeleted:
		return r.appendMapping(append(dst, r.Mode.String()...), " DELETED")
	case SessionCreated:
		return r.appendSession(append(dst, "SESSION CREATED"...))
	case SessionDeleted:
		return r.appendSession(append(dst, "SESSION DELETED"...))
	case BlockAllocated:
		return r.appendBlock(append(dst, "PORTBLOCK ALLOCATED"...))
	case BlockFreed:
		return r.appendBlock(append(dst, "PORTBLOCK FREED"...))
	case AddressesExhausted:
		return r.appendRefused(append(dst, "ADDRESSES EXHAUSTED"...))
	case PortsExhausted:
		return r.appendRefused(append(dst, "PORTS EXHAUSTED"...))
	case QuotaExceeded:
		dst = append(append(dst, r.Quota.String()...), " EXCEEDED"...)
		dst = append(r.appendRefused(dst), ", Limit: "...)
		return strconv.AppendUint(dst, uint64(r.Limit), 10)
	case Started:
		return append(dst, "STARTED, nothing is held"...)
	}
	return r.appendGap(dst)
}

func (r *Record) appendMapping(dst []byte, word string) []byte {
	dst = append(dst, word...)
	if r.Domain == 0 {
		dst = appendEndpoint(append(dst, " Client IP:Port "...), r.Inside)
	} else {
		dst = r.appendInDomain(append(dst, " Client IP:Port:TD "...), r.Inside)
	}
	dst = appendEndpoint(append(dst, ", NatIP:NatPort "...), r.Outside)
	switch r.Mode {
	case ADM:
		dst = appendAddr(append(dst, ", Destination IP "...), r.Remote.Addr)
	case APDM:
		dst = appendEndpoint(append(dst, ", Destination IP:Port "...), r.Remote)
	}
	return appendProto(append(dst, ", Protocol: "...), r.Proto)
}

func (r *Record) appendSession(dst []byte) []byte {
	dst = r.appendInDomain(append(dst, " Client IP:Port:TD "...), r.Inside)
	dst = appendEndpoint(append(dst, ", NatIP:NatPort "...), r.Outside)
	dst = r.appendInDomain(append(dst, ", Destination IP:Port:TD "...), r.Remote)
	dst = appendProto(append(dst, ", Protocol: "...), r.Proto)
	if r.Proto == protoESP {
		// NetScaler's words for the two halves of an ESP session.
		dst = appendSPI(append(dst, ", Client SPI: "...), r.SPIIn)
		dst = appendSPI(append(dst, ", Server SPI: "...), r.SPIOut)
	}
	return dst
}

func (r *Record) appendBlock(dst []byte) []byte {
	dst = r.appendClient(dst)
	dst = appendAddr(append(dst, ", NatIP "...), r.Outside.Addr)
	dst = strconv.AppendUint(append(dst, ", Ports "...), uint64(r.First), 10)
	return strconv.AppendUint(append(dst, '-'), uint64(r.Last), 10)
}

func (r *Record) appendRefused(dst []byte) []byte {
	dst = r.appendClient(dst)
	if !r.Outside.Addr.IsZero() {
		dst = appendAddr(append(dst, ", NatIP "...), r.Outside.Addr)
	}
	return appendProto(append(dst, ", Protocol: "...), r.Proto)
}

func (r *Record) appendGap(dst []byte) []byte {
	dst = strconv.AppendUint(append(dst, "GAP Records lost: "...), r.Lost, 10)
	dst = appendDate(append(dst, ", First: "...), r.LostFrom)
	return appendDate(append(dst, ", Last: "...), r.Wall)
}

func (r *Record) appendClient(dst []byte) []byte {
	dst = appendAddr(append(dst, " Client IP:TD "...), r.Inside.Addr)
	return strconv.AppendUint(append(dst, ':'), uint64(r.Domain), 10)
}

// appendInDomain writes ADDR:PORT:TD.
func (r *Record) appendInDomain(dst []byte, e frame.Endpoint) []byte {
	return strconv.AppendUint(append(appendEndpoint(dst, e), ':'), uint64(r.Domain), 10)
}

func appendAddr(dst []byte, a frame.Addr) []byte { return a.Netip().AppendTo(dst) }

func appendEndpoint(dst []byte, e frame.Endpoint) []byte {
	dst = append(appendAddr(dst, e.Addr), ':')
	return strconv.AppendUint(dst, uint64(e.Port), 10)
}

// appendSPI writes 8 hex digits, or - for one that is not known, as
// `show ipsecalg session` does.
func appendSPI(dst []byte, spi uint32) []byte {
	if spi == 0 {
		return append(dst, '-')
	}
	for shift := 28; shift >= 0; shift -= 4 {
		dst = append(dst, "0123456789abcdef"[spi>>shift&0xf])
	}
	return dst
}
