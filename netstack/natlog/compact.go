package natlog

import (
	"strconv"
	"time"

	"spigate/netstack/frame"
)

// appendCompact writes a record's line; ParseCompact reads it.
func appendCompact(dst []byte, r *Record, seq uint64) []byte {
	dst = appendMillis(dst, r.Wall)
	dst = strconv.AppendUint(append(dst, ' '), seq, 10)
	dst = append(append(dst, ' '), r.code()...)
	switch {
	case r.Kind.isMapping():
		dst = r.compactMapping(dst)
	case r.Kind.isSession():
		dst = r.compactSession(dst)
	case r.Kind.isBlock():
		dst = appendAddr(append(r.compactClient(dst), ' '), r.Outside.Addr)
		dst = strconv.AppendUint(append(dst, ' '), uint64(r.First), 10)
		dst = strconv.AppendUint(append(dst, '-'), uint64(r.Last), 10)
	case r.Kind == Started:
	case r.Kind == Gap:
		dst = strconv.AppendUint(append(dst, ' '), r.Lost, 10)
		dst = appendMillis(append(dst, ' '), r.LostFrom)
	default:
		dst = r.compactRefused(dst)
	}
	if r.Profile != nil && r.Profile.SubscriberInfo && r.Group != "" {
		dst = append(append(dst, " @"...), r.Group...)
	}
	return dst
}

// code is the event's code. A quota's is that of its kind.
func (r *Record) code() string {
	switch r.Kind {
	case MappingCreated:
		return "M+"
	case MappingDeleted:
		return "M-"
	case SessionCreated:
		return "S+"
	case SessionDeleted:
		return "S-"
	case BlockAllocated:
		return "B+"
	case BlockFreed:
		return "B-"
	case AddressesExhausted:
		return "XA"
	case PortsExhausted:
		return "XP"
	case Started:
		return "O"
	case Gap:
		return "G"
	}
	return [quotas]string{GroupSessions: "QG", SubscriberSessions: "QS", SubscriberPorts: "QP", AllSessions: "QT"}[r.Quota]
}

func modeCodes() [modes]string { return [modes]string{EIM: "E", ADM: "A", APDM: "P", Static: "S"} }

func (r *Record) compactMapping(dst []byte) []byte {
	codes := modeCodes()
	dst = append(append(dst, ' '), codes[r.Mode]...)
	dst = r.compactInside(dst)
	switch r.Mode {
	case ADM:
		return appendAddr(append(dst, ' '), r.Remote.Addr)
	case APDM:
		return appendEndpoint(append(dst, ' '), r.Remote)
	}
	return dst
}

func (r *Record) compactSession(dst []byte) []byte {
	dst = appendEndpoint(append(r.compactInside(dst), ' '), r.Remote)
	if r.Proto == protoESP {
		dst = appendSPI(append(dst, ' '), r.SPIIn)
		dst = appendSPI(append(dst, ','), r.SPIOut)
	}
	if r.Kind != SessionDeleted {
		return dst
	}
	for i, n := range r.counts() {
		dst = strconv.AppendUint(append(dst, " ,,,"[i]), n, 10)
	}
	return dst
}

func (r *Record) counts() [4]uint64 {
	return [4]uint64{r.Packets[0], r.Bytes[0], r.Packets[1], r.Bytes[1]}
}

// compactInside writes proto, inside and nat.
func (r *Record) compactInside(dst []byte) []byte {
	dst = compactProto(append(dst, ' '), r.Proto)
	dst = r.compactDomain(appendEndpoint(append(dst, ' '), r.Inside))
	return appendEndpoint(append(dst, ' '), r.Outside)
}

func (r *Record) compactRefused(dst []byte) []byte {
	dst = r.compactClient(compactProto(append(dst, ' '), r.Proto))
	if r.Outside.Addr == (frame.Addr{}) {
		dst = append(dst, " -"...)
	} else {
		dst = appendAddr(append(dst, ' '), r.Outside.Addr)
	}
	if r.Kind == QuotaExceeded {
		dst = strconv.AppendUint(append(dst, ' '), uint64(r.Limit), 10)
	}
	return dst
}

func (r *Record) compactClient(dst []byte) []byte {
	return r.compactDomain(appendAddr(append(dst, ' '), r.Inside.Addr))
}

func (r *Record) compactDomain(dst []byte) []byte {
	if r.Domain == 0 {
		return dst
	}
	return strconv.AppendUint(append(dst, '/'), uint64(r.Domain), 10)
}

func compactProto(dst []byte, proto uint8) []byte {
	switch proto {
	case protoTCP:
		return append(dst, 'T')
	case protoUDP:
		return append(dst, 'U')
	case protoICMP:
		return append(dst, 'I')
	case protoESP:
		return append(dst, 'E')
	}
	return strconv.AppendUint(dst, uint64(proto), 10)
}

func appendMillis(dst []byte, wall int64) []byte {
	return strconv.AppendInt(dst, wall/int64(time.Millisecond), 10)
}

// utc is a record's time for printing.
func utc(wall int64) time.Time { return time.Unix(0, wall).UTC() }
