package natlog

import "encoding/binary"

// Information elements of IANA's registry, as RFC 8158 uses them.
const (
	protocolIdentifier          = 4
	sourceTransportPort         = 7
	sourceIPv4Address           = 8
	destinationTransportPort    = 11
	destinationIPv4Address      = 12
	exportingProcessID          = 144
	flowStartMilliseconds       = 152
	flowEndMilliseconds         = 153
	notSentFlowTotalCount       = 167
	postNATSourceIPv4Address    = 225
	postNAPTSourceTransportPort = 227
	natEvent                    = 230
	initiatorOctets             = 231
	responderOctets             = 232
	ingressVRFID                = 234
	natPoolID                   = 283
	initiatorPackets            = 298
	responderPackets            = 299
	observationTimeMilliseconds = 323
	portRangeStart              = 361
	portRangeEnd                = 362
	natQuotaExceededEvent       = 466
	maxSessionEntries           = 471
	maxEntriesPerUser           = 473
)

// Elements of ours, under the enterprise number of the configuration: IANA has
// none for an SPI. The bit marks them in a template (RFC 7011 section 3.2).
const (
	enterpriseBit = 0x8000
	spiIn         = enterpriseBit | 1 // unsigned32: SPI of ESP to the subscriber
	spiOut        = enterpriseBit | 2 // unsigned32: SPI of ESP to the server
)

// Templates. The numbers are chosen once: a template never changes its meaning.
const (
	tmplSession     = 256 + iota // NAT44 session create
	tmplSessionEnd               // NAT44 session delete: the same with counters
	tmplMappingEIM               // NAT44 BIB create, delete
	tmplMappingADM               // … of a mapping for one destination address
	tmplMappingAPDM              // … of a mapping for one destination address and port
	tmplAddresses                // addresses exhausted
	tmplPorts                    // ports exhausted
	tmplQuotaGroup               // quota exceeded: maximum session entries
	tmplQuotaUser                // quota exceeded: maximum entries per user
	tmplBlock                    // port block allocation, de-allocation
	tmplESP                      // NAT44 session create, delete of ESP, with SPIs
	tmplGap                      // options: records not sent (RFC 7011 section 4.3)
)

// template is the layout of a kind of record: element numbers in order. scopes
// is the number of scope fields of an options template, else 0.
type template struct {
	id     uint16
	scopes uint16
	fields []uint16
}

// templates lists the fields. RFC 8158 section 5.6 says which are mandatory.
// We add ingressVRFID, the traffic domain, for collectors that look at fields
// and not at the observation domain.
func templates() []template {
	return []template{
		{tmplSession, 0, []uint16{observationTimeMilliseconds, natEvent, protocolIdentifier, sourceIPv4Address, sourceTransportPort,
			postNATSourceIPv4Address, postNAPTSourceTransportPort, destinationIPv4Address, destinationTransportPort, ingressVRFID}},
		{tmplSessionEnd, 0, []uint16{observationTimeMilliseconds, natEvent, protocolIdentifier, sourceIPv4Address, sourceTransportPort,
			postNATSourceIPv4Address, postNAPTSourceTransportPort, destinationIPv4Address, destinationTransportPort, ingressVRFID,
			initiatorPackets, initiatorOctets, responderPackets, responderOctets}},
		{tmplMappingEIM, 0, []uint16{observationTimeMilliseconds, natEvent, protocolIdentifier, sourceIPv4Address, sourceTransportPort,
			postNATSourceIPv4Address, postNAPTSourceTransportPort, ingressVRFID}},
		{tmplMappingADM, 0, []uint16{observationTimeMilliseconds, natEvent, protocolIdentifier, sourceIPv4Address, sourceTransportPort,
			postNATSourceIPv4Address, postNAPTSourceTransportPort, destinationIPv4Address, ingressVRFID}},
		{tmplMappingAPDM, 0, []uint16{observationTimeMilliseconds, natEvent, protocolIdentifier, sourceIPv4Address, sourceTransportPort,
			postNATSourceIPv4Address, postNAPTSourceTransportPort, destinationIPv4Address, destinationTransportPort, ingressVRFID}},
		{tmplAddresses, 0, []uint16{observationTimeMilliseconds, natEvent, natPoolID, sourceIPv4Address, ingressVRFID}},
		{tmplPorts, 0, []uint16{observationTimeMilliseconds, natEvent, postNATSourceIPv4Address, protocolIdentifier, sourceIPv4Address, ingressVRFID}},
		{tmplQuotaGroup, 0, []uint16{observationTimeMilliseconds, natEvent, natQuotaExceededEvent, maxSessionEntries, protocolIdentifier, ingressVRFID}},
		{tmplQuotaUser, 0, []uint16{observationTimeMilliseconds, natEvent, natQuotaExceededEvent, maxEntriesPerUser, sourceIPv4Address,
			protocolIdentifier, ingressVRFID}},
		{tmplBlock, 0, []uint16{observationTimeMilliseconds, natEvent, sourceIPv4Address, postNATSourceIPv4Address, portRangeStart, portRangeEnd, ingressVRFID}},
		{tmplESP, 0, []uint16{observationTimeMilliseconds, natEvent, protocolIdentifier, sourceIPv4Address, sourceTransportPort,
			postNATSourceIPv4Address, postNAPTSourceTransportPort, destinationIPv4Address, destinationTransportPort, spiIn, spiOut, ingressVRFID}},
		{tmplGap, 1, []uint16{exportingProcessID, notSentFlowTotalCount, flowStartMilliseconds, flowEndMilliseconds}},
	}
}

// templateOf says which template describes a record.
func templateOf(r *Record) uint16 {
	switch {
	case r.Kind.isSession() && r.Proto == protoESP:
		return tmplESP
	case r.Kind == SessionCreated:
		return tmplSession
	case r.Kind == SessionDeleted:
		return tmplSessionEnd
	case r.Kind.isMapping():
		return [modes]uint16{EIM: tmplMappingEIM, ADM: tmplMappingADM, APDM: tmplMappingAPDM, Static: tmplMappingEIM}[r.Mode]
	case r.Kind.isBlock():
		return tmplBlock
	case r.Kind == AddressesExhausted:
		return tmplAddresses
	case r.Kind == PortsExhausted:
		return tmplPorts
	case r.Kind == Gap:
		return tmplGap
	case !r.Quota.perUser():
		return tmplQuotaGroup
	}
	return tmplQuotaUser
}

// width is the length of an element in bytes.
func width(element uint16) uint16 {
	switch element {
	case protocolIdentifier, natEvent:
		return 1
	case sourceTransportPort, destinationTransportPort, postNAPTSourceTransportPort, portRangeStart, portRangeEnd:
		return 2
	case observationTimeMilliseconds, flowStartMilliseconds, flowEndMilliseconds, notSentFlowTotalCount,
		initiatorOctets, responderOctets, initiatorPackets, responderPackets:
		return 8
	}
	return 4
}

// length is the length of a record of t in bytes.
func (t *template) length() int {
	n := 0
	for _, f := range t.fields {
		n += int(width(f))
	}
	return n
}

// append writes the (options) template record (RFC 7011 sections 3.4.1, 3.4.2).
func (t *template) append(dst []byte, enterprise uint32) []byte {
	dst = binary.BigEndian.AppendUint16(dst, t.id)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(t.fields)))
	if t.scopes > 0 {
		dst = binary.BigEndian.AppendUint16(dst, t.scopes)
	}
	for _, f := range t.fields {
		dst = binary.BigEndian.AppendUint16(dst, f)
		dst = binary.BigEndian.AppendUint16(dst, width(f))
		if f&enterpriseBit != 0 {
			dst = binary.BigEndian.AppendUint32(dst, enterprise)
		}
	}
	return dst
}
