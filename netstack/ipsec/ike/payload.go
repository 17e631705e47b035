package ike

import (
	"encoding/binary"
	"fmt"
)

// payload is one payload without its generic header (RFC 7296 section 3.2).
type payload struct {
	kind uint8
	body []byte
}

// chain is a list of payloads in the order of the message.
type chain []payload

func (c *chain) add(kind uint8, body []byte) { *c = append(*c, payload{kind, body}) }

func (c *chain) notify(t notifyType, data []byte) {
	c.add(payloadNotify, (&notify{kind: t, data: data}).encode())
}

// encode writes generic headers and bodies; first is the type of the first.
// The critical bit is never set: all payloads here are defined in RFC 7296.
func (c chain) encode() (first uint8, out []byte) {
	n := 0
	for _, p := range c {
		n += 4 + len(p.body)
	}
	out = make([]byte, 0, n)
	for i, p := range c {
		next := uint8(payloadNone)
		if i+1 < len(c) {
			next = c[i+1].kind
		}
		out = append(out, next, 0)
		out = binary.BigEndian.AppendUint16(out, uint16(4+len(p.body)))
		out = append(out, p.body...)
	}
	if len(c) > 0 {
		first = c[0].kind
	}
	return first, out
}

// fault is why a message cannot be taken, as the peer is told (RFC 7296
// section 2.21): INVALID_SYNTAX, or UNSUPPORTED_CRITICAL_PAYLOAD with the type.
type fault struct {
	kind notifyType
	data []byte
	why  string
}

func (f *fault) Error() string { return f.kind.String() + ": " + f.why }

func syntax(format string, args ...any) *fault {
	return &fault{kind: notifyInvalidSyntax, why: fmt.Sprintf(format, args...)}
}

// parseChain cuts a chain of payloads. The last payload must end where b ends.
// A payload of unknown type is skipped, unless its critical bit is set; the
// bit is ignored on known types (RFC 7296 section 2.5).
func parseChain(first uint8, b []byte) (chain, *fault) {
	var out chain
	for kind := first; kind != payloadNone; {
		if len(b) < 4 {
			return nil, syntax("payload %d has no header", kind)
		}
		next, critical, n := b[0], b[1]&0x80 != 0, int(binary.BigEndian.Uint16(b[2:]))
		if n < 4 || n > len(b) {
			return nil, syntax("payload %d says it has %d octets of %d", kind, n, len(b))
		}
		if len(out) == maxPayloads {
			return nil, syntax("more than %d payloads", maxPayloads)
		}
		known := kind >= payloadSA && kind <= payloadEAP || kind == payloadFragment
		if !known && critical {
			return nil, &fault{kind: notifyCritical, data: []byte{kind}, why: fmt.Sprintf("payload %d is critical and unknown", kind)}
		}
		out.add(kind, b[4:n])
		b = b[n:]
		// SK and SKF name the first payload inside of them and are the last.
		if kind == payloadSK || kind == payloadFragment {
			break
		}
		kind = next
	}
	if len(b) != 0 {
		return nil, syntax("%d octets after the last payload", len(b))
	}
	return out, nil
}
