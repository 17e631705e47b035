package natlog

import (
	"encoding/binary"
	"time"

	"spigate/netstack/frame"
)

// Numbering is whose numbers natEvent has.
type Numbering uint8

// The numberings.
const (
	RFC8158 Numbering = iota // IANA's registry
	Junos                    // draft-ietf-behave-ipfix-nat-logging-02, which Junos sends and its collectors know
)

// eventNumber returns the natEvent of a kind.
func (n Numbering) eventNumber(k Kind) uint8 {
	pair := [kinds][2]uint8{
		SessionCreated:     {4, 1},
		SessionDeleted:     {5, 2},
		AddressesExhausted: {3, 3},
		MappingCreated:     {8, 6},
		MappingDeleted:     {9, 7},
		PortsExhausted:     {12, 10},
		QuotaExceeded:      {13, 11},
		BlockAllocated:     {16, 14},
		BlockFreed:         {17, 15},
	}[k]
	return pair[n]
}

// DocumentationEnterprise is the enterprise number that RFC 5612 sets aside for
// documentation. Nobody owns our two elements: who needs them unambiguous among
// several vendors' puts a number of their own into the configuration.
const DocumentationEnterprise = 32473

const (
	ipfixVersion   = 10
	messageHeader  = 16
	setHeader      = 4
	templateSet    = 2
	optionsSet     = 3
	exportingIsUs  = 1 // there is one exporting process
	setAlign       = 4
	quotaSessions  = 1 // natQuotaExceededEvent: maximum session entries
	quotaPerUser   = 3 // maximum entries per user
	templateRepeat = 20
)

// ipfix writes IPFIX messages (RFC 7011). A message is about one observation
// domain, the traffic domain, and each domain has templates and a sequence
// number of its own.
type ipfix struct {
	numbering  Numbering
	enterprise uint32
	most       int           // bytes of a message
	interval   time.Duration // of templates over UDP; over TCP they are sent once
	udp        bool

	byID    map[uint16]*template
	all     []template
	domains map[uint16]*domain
	buf     []byte
}

// domain is the state of one observation domain.
type domain struct {
	id       uint16
	sequence uint32 // data records sent, options data too
	next     int    // first template still to be sent; len(all): all are
	sentAt   time.Time
	messages int // data messages since the templates
}

func newIPFIX(t *Target) *ipfix {
	e := &ipfix{
		numbering: t.Numbering, enterprise: t.Enterprise, most: t.MessageSize, interval: t.TemplateInterval,
		udp: t.Network == "udp", all: templates(), byID: map[uint16]*template{},
	}
	for i := range e.all {
		e.byID[e.all[i].id] = &e.all[i]
	}
	e.reset("")
	return e
}

// reset: a connection is a transport session, and knows neither templates nor
// sequence numbers of an earlier one (RFC 7011 section 8).
func (e *ipfix) reset(string) { e.domains = map[uint16]*domain{} }

func (e *ipfix) domainOf(id uint16) *domain {
	d := e.domains[id]
	if d == nil {
		d = &domain{id: id}
		e.domains[id] = d
	}
	return d
}

// encode writes the next message: templates if the domain of the first record
// needs them (then no record is used), else records of that domain.
func (e *ipfix) encode(batch []Record, _ uint64, now time.Time) (message []byte, used int) {
	d := e.domainOf(batch[0].Domain)
	if e.stale(d, now) {
		d.next = 0
	}
	e.start(d, now)
	if d.next < len(e.all) {
		return e.templates(d, now), 0
	}
	used = e.records(batch)
	d.sequence += uint32(used)
	d.messages++
	return e.finish(), used
}

// due returns templates that have to be sent again though there are no records
// (RFC 7011 section 8.4), so that a collector that starts later can read the
// next ones.
func (e *ipfix) due(now time.Time) []byte {
	for _, d := range e.domains {
		if e.stale(d, now) {
			d.next = 0
		}
		if d.next < len(e.all) {
			e.start(d, now)
			return e.templates(d, now)
		}
	}
	return nil
}

// stale: over UDP a message with templates may have been lost.
func (e *ipfix) stale(d *domain, now time.Time) bool {
	return e.udp && d.next == len(e.all) && (d.messages >= templateRepeat || now.Sub(d.sentAt) >= e.interval)
}

// start begins a message (RFC 7011 section 3.1).
func (e *ipfix) start(d *domain, now time.Time) {
	b := append(e.buf[:0], 0, ipfixVersion, 0, 0)
	b = binary.BigEndian.AppendUint32(b, uint32(now.Unix()))
	b = binary.BigEndian.AppendUint32(b, d.sequence)
	e.buf = binary.BigEndian.AppendUint32(b, uint32(d.id))
}

func (e *ipfix) finish() []byte {
	binary.BigEndian.PutUint16(e.buf[2:], uint16(len(e.buf)))
	return e.buf
}

// templates fills the message with as many template sets as it takes.
func (e *ipfix) templates(d *domain, now time.Time) []byte {
	for d.next < len(e.all) {
		t := &e.all[d.next]
		start := len(e.buf)
		set := uint16(templateSet)
		if t.scopes > 0 {
			set = optionsSet
		}
		e.buf = e.openSet(set)
		e.buf = t.append(e.buf, e.enterprise)
		e.closeSet(start)
		if len(e.buf) > e.most {
			e.buf = e.buf[:start]
			return e.finish()
		}
		d.next++
	}
	d.sentAt, d.messages = now, 0
	return e.finish()
}

// records fills the message with sets of records and returns how many. There is
// always room for one.
func (e *ipfix) records(batch []Record) (used int) {
	for used < len(batch) && batch[used].Domain == batch[0].Domain {
		id := templateOf(&batch[used])
		start := len(e.buf)
		if start+setHeader+e.byID[id].length()+setAlign-1 > e.most {
			break
		}
		e.buf = e.openSet(id)
		used += e.set(batch[used:], id)
		e.closeSet(start)
	}
	return used
}

// set writes the first records of batch that are of one template.
func (e *ipfix) set(batch []Record, id uint16) (used int) {
	t := e.byID[id]
	for i := range batch {
		r := &batch[i]
		full := len(e.buf)+t.length()+setAlign-1 > e.most
		if r.Domain != batch[0].Domain || templateOf(r) != id || full {
			return i
		}
		for _, f := range t.fields {
			e.buf = e.field(e.buf, f, r)
		}
	}
	return len(batch)
}

func (e *ipfix) openSet(id uint16) []byte {
	return append(binary.BigEndian.AppendUint16(e.buf, id), 0, 0)
}

// closeSet pads the set so that the next one is aligned (RFC 7011 section 3.3.1).
func (e *ipfix) closeSet(start int) {
	for len(e.buf)%setAlign != 0 {
		e.buf = append(e.buf, 0)
	}
	binary.BigEndian.PutUint16(e.buf[start+2:], uint16(len(e.buf)-start))
}

// field writes the value of an element of r.
func (e *ipfix) field(dst []byte, element uint16, r *Record) []byte {
	switch element {
	case protocolIdentifier:
		return append(dst, r.Proto)
	case natEvent:
		return append(dst, e.numbering.eventNumber(r.Kind))
	case sourceIPv4Address:
		return append(dst, r.Inside.Addr[:]...)
	case postNATSourceIPv4Address:
		return append(dst, r.Outside.Addr[:]...)
	case destinationIPv4Address:
		return append(dst, r.Remote.Addr[:]...)
	case sourceTransportPort:
		return port(dst, r, r.Inside)
	case postNAPTSourceTransportPort:
		return port(dst, r, r.Outside)
	case destinationTransportPort:
		return port(dst, r, r.Remote)
	case portRangeStart:
		return binary.BigEndian.AppendUint16(dst, r.First)
	case portRangeEnd:
		return binary.BigEndian.AppendUint16(dst, r.Last)
	case observationTimeMilliseconds, flowEndMilliseconds:
		return millis(dst, r.Wall)
	case flowStartMilliseconds:
		return millis(dst, r.LostFrom)
	}
	return e.number(dst, element, r)
}

// number is field for the elements that count or name something.
func (e *ipfix) number(dst []byte, element uint16, r *Record) []byte {
	var n uint64
	switch element {
	case ingressVRFID:
		n = uint64(r.Domain)
	case natPoolID:
		n = uint64(r.Pool)
	case spiIn:
		n = uint64(r.SPIIn)
	case spiOut:
		n = uint64(r.SPIOut)
	case initiatorPackets:
		n = r.Packets[0]
	case initiatorOctets:
		n = r.Bytes[0]
	case responderPackets:
		n = r.Packets[1]
	case responderOctets:
		n = r.Bytes[1]
	case maxSessionEntries, maxEntriesPerUser:
		n = uint64(r.Limit)
	case natQuotaExceededEvent:
		n = quotaPerUser
		if !r.Quota.perUser() {
			n = quotaSessions
		}
	case exportingProcessID:
		n = exportingIsUs
	case notSentFlowTotalCount:
		n = r.LostTotal
	}
	if width(element) == 8 {
		return binary.BigEndian.AppendUint64(dst, n)
	}
	return binary.BigEndian.AppendUint32(dst, uint32(n))
}

// port is 0 for ESP, which has none (R33).
func port(dst []byte, r *Record, at frame.Endpoint) []byte {
	if r.Proto == protoESP {
		return append(dst, 0, 0)
	}
	return binary.BigEndian.AppendUint16(dst, at.Port)
}

func millis(dst []byte, wall int64) []byte {
	return binary.BigEndian.AppendUint64(dst, uint64(wall/int64(time.Millisecond)))
}
