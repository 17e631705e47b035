package ike

import "encoding/binary"

// keyExchange is a KE payload (RFC 7296 section 3.4).
type keyExchange struct {
	group  Group
	public []byte
}

func (k *keyExchange) encode() []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(k.group))
	return append(append(b, 0, 0), k.public...)
}

func parseKE(b []byte) (*keyExchange, *fault) {
	if len(b) < 5 {
		return nil, syntax("KE of %d octets", len(b))
	}
	return &keyExchange{Group(binary.BigEndian.Uint16(b)), b[4:]}, nil
}

// notify is an N payload (RFC 7296 section 3.10).
type notify struct {
	protocol uint8
	kind     notifyType
	spi      []byte
	data     []byte
}

func (n *notify) encode() []byte {
	b := []byte{n.protocol, uint8(len(n.spi))}
	b = binary.BigEndian.AppendUint16(b, uint16(n.kind))
	return append(append(b, n.spi...), n.data...)
}

func parseNotify(b []byte) (notify, *fault) {
	if len(b) < 4 || len(b) < 4+int(b[1]) {
		return notify{}, syntax("notify of %d octets", len(b))
	}
	n := int(b[1])
	return notify{protocol: b[0], kind: notifyType(binary.BigEndian.Uint16(b[2:])), spi: b[4 : 4+n], data: b[4+n:]}, nil
}

// deletion is a D payload (RFC 7296 section 3.11). An IKE SA deletes itself
// and has no SPI; those of ESP are the sender's inbound ones.
type deletion struct {
	protocol uint8
	spis     []uint32
}

func (d *deletion) encode() []byte {
	size := uint8(0)
	if d.protocol != protocolIKE {
		size = 4
	}
	b := []byte{d.protocol, size}
	b = binary.BigEndian.AppendUint16(b, uint16(len(d.spis)))
	for _, s := range d.spis {
		b = binary.BigEndian.AppendUint32(b, s)
	}
	return b
}

func parseDelete(b []byte) (deletion, *fault) {
	if len(b) < 4 {
		return deletion{}, syntax("delete of %d octets", len(b))
	}
	d, size, n := deletion{protocol: b[0]}, int(b[1]), int(binary.BigEndian.Uint16(b[2:]))
	b = b[4:]
	switch {
	case d.protocol == protocolIKE:
		if size != 0 || n != 0 || len(b) != 0 {
			return d, syntax("delete of an IKE SA with SPIs")
		}
		return d, nil
	case size != 4 || len(b) != 4*n || n > maxDeletes:
		return d, syntax("delete of %d SPIs of %d octets in %d", n, size, len(b))
	}
	for ; len(b) > 0; b = b[4:] {
		d.spis = append(d.spis, binary.BigEndian.Uint32(b))
	}
	return d, nil
}

// authentication is an AUTH payload (RFC 7296 section 3.8).
type authentication struct {
	method uint8
	data   []byte
}

// Authentication methods (RFC 7296 section 3.8, RFC 4754, RFC 7427).
const (
	methodRSA       = 1
	methodPSK       = 2
	methodECDSA256  = 9
	methodECDSA384  = 10
	methodSignature = 14
)

func (a *authentication) encode() []byte { return append([]byte{a.method, 0, 0, 0}, a.data...) }

func parseAuth(b []byte) (*authentication, *fault) {
	if len(b) < 5 {
		return nil, syntax("AUTH of %d octets", len(b))
	}
	return &authentication{b[0], b[4:]}, nil
}

// certX509 is the one certificate encoding that is known: X.509, signature.
const certX509 = 4

// content is what the payloads of one message say. Payloads that may stand
// once and stand twice are a syntax error.
type content struct {
	sa       []proposal
	ke       *keyExchange
	idi, idr *idPayload
	certs    [][]byte // DER of X.509 certificates, the sender's own first
	auth     *authentication
	nonce    []byte
	notifies []notify
	deletes  []deletion
	tsi, tsr []Selector
	eap      bool
	first    uint8
}

// parseContent reads a chain of payloads without SK.
func parseContent(first uint8, b []byte) (*content, *fault) {
	list, f := parseChain(first, b)
	if f != nil {
		return nil, f
	}
	c := &content{first: first}
	var seen [256]bool
	for _, p := range list {
		if seen[p.kind] && single(p.kind) {
			return nil, syntax("two payloads of type %d", p.kind)
		}
		seen[p.kind] = true
		if f := c.read(p); f != nil {
			return nil, f
		}
	}
	return c, nil
}

// single reports whether a payload may stand only once.
func single(kind uint8) bool {
	switch kind {
	case payloadSA, payloadKE, payloadIDi, payloadIDr, payloadAuth, payloadNonce, payloadTSi, payloadTSr:
		return true
	}
	return false
}

func (c *content) read(p payload) (f *fault) {
	switch p.kind {
	case payloadSA:
		c.sa, f = parseSA(p.body)
	case payloadKE:
		c.ke, f = parseKE(p.body)
	case payloadIDi:
		c.idi, f = parseID(p.body)
	case payloadIDr:
		c.idr, f = parseID(p.body)
	case payloadCert:
		f = c.readCert(p.body)
	case payloadAuth:
		c.auth, f = parseAuth(p.body)
	case payloadNonce:
		if c.nonce = p.body; len(c.nonce) < minNonce || len(c.nonce) > maxNonce {
			f = syntax("nonce of %d octets", len(c.nonce))
		}
	case payloadNotify:
		var n notify
		n, f = parseNotify(p.body)
		c.notifies = append(c.notifies, n)
	case payloadDelete:
		var d deletion
		d, f = parseDelete(p.body)
		c.deletes = append(c.deletes, d)
	case payloadTSi:
		c.tsi, f = parseSelectors(p.body)
	case payloadTSr:
		c.tsr, f = parseSelectors(p.body)
	case payloadEAP:
		c.eap = true
	case payloadSK, payloadFragment:
		f = syntax("an encrypted payload in the wrong place")
	}
	return f
}

func (c *content) readCert(b []byte) *fault {
	if len(b) < 2 {
		return syntax("certificate of %d octets", len(b))
	}
	if b[0] != certX509 {
		return nil
	}
	if len(c.certs) == maxCerts {
		return syntax("more than %d certificates", maxCerts)
	}
	c.certs = append(c.certs, b[1:])
	return nil
}

// find returns the first notify of a type.
func (c *content) find(t notifyType) *notify {
	for i := range c.notifies {
		if c.notifies[i].kind == t {
			return &c.notifies[i]
		}
	}
	return nil
}

// failure returns the first notify that is an error.
func (c *content) failure() *notify {
	for i := range c.notifies {
		if c.notifies[i].kind.isError() {
			return &c.notifies[i]
		}
	}
	return nil
}
