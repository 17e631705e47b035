package natlog

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func testIPFIX(change func(*Target)) *ipfix {
	t := Target{Name: "t", Address: "192.0.2.1:4739", Protocol: IPFIX}
	if change != nil {
		change(&t)
	}
	t, err := t.checked()
	if err != nil {
		panic(err)
	}
	return newIPFIX(&t)
}

// message is what the test's decoder finds in a message.
type message struct {
	sequence, domain uint32
	templates        []uint16            // numbers
	records          []map[uint16]uint64 // by element; 0 = the template's number
}

// decoder is an IPFIX collector for what we send: every element is a number.
type decoder struct {
	known map[uint32]map[uint16][][2]uint16
}

func (d *decoder) decode(b []byte) (m message, err error) {
	if len(b) < 16 || binary.BigEndian.Uint16(b) != 10 || int(binary.BigEndian.Uint16(b[2:])) != len(b) {
		return m, fmt.Errorf("bad header of a message of %d bytes: %x", len(b), b)
	}
	m.sequence, m.domain = binary.BigEndian.Uint32(b[8:]), binary.BigEndian.Uint32(b[12:])
	if d.known == nil {
		d.known = map[uint32]map[uint16][][2]uint16{}
	}
	if d.known[m.domain] == nil {
		d.known[m.domain] = map[uint16][][2]uint16{}
	}
	for b = b[16:]; len(b) > 0; {
		id, n := binary.BigEndian.Uint16(b), int(binary.BigEndian.Uint16(b[2:]))
		if n < 4 || n > len(b) || n%4 != 0 {
			return m, fmt.Errorf("set %d has %d bytes of %d", id, n, len(b))
		}
		if id < 256 {
			d.template(&m, id, b[4:n])
		} else if err := d.records(&m, id, b[4:n]); err != nil {
			return m, err
		}
		b = b[n:]
	}
	return m, nil
}

func (d *decoder) template(m *message, set uint16, b []byte) {
	id, count := binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
	b = b[4:]
	if set == 3 {
		b = b[2:]
	}
	var fields [][2]uint16
	for range count {
		f := [2]uint16{binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])}
		fields, b = append(fields, f), b[4:]
		if f[0]&0x8000 != 0 {
			b = b[4:]
		}
	}
	d.known[m.domain][id] = fields
	m.templates = append(m.templates, id)
}

func (d *decoder) records(m *message, id uint16, b []byte) error {
	fields, ok := d.known[m.domain][id]
	if !ok {
		return fmt.Errorf("a record of template %d, which domain %d has not been told", id, m.domain)
	}
	for len(b) >= 4 {
		r := map[uint16]uint64{0: uint64(id)}
		for _, f := range fields {
			for _, c := range b[:f[1]] {
				r[f[0]] = r[f[0]]<<8 | uint64(c)
			}
			b = b[f[1]:]
		}
		m.records = append(m.records, r)
	}
	for _, pad := range b {
		if pad != 0 {
			return fmt.Errorf("padding %x", b)
		}
	}
	return nil
}

// send encodes all records and decodes what comes out.
func (d *decoder) send(t interface{ Fatal(...any) }, e *ipfix, now time.Time, batch ...Record) []message {
	var out []message
	for len(batch) > 0 {
		b, used := e.encode(batch, 1, now)
		if len(b) > e.most {
			t.Fatal("a message of", len(b), "bytes, at most", e.most)
		}
		m, err := d.decode(b)
		if err != nil {
			t.Fatal(err)
		}
		if used != len(m.records) {
			t.Fatal(used, "records used, the message has", len(m.records))
		}
		out, batch = append(out, m), batch[used:]
	}
	return out
}

func bytesOf(t *testing.T, text string) []byte {
	t.Helper()
	var b strings.Builder
	for line := range strings.Lines(text) {
		hexes, _, _ := strings.Cut(line, ";")
		b.WriteString(strings.Join(strings.Fields(hexes), ""))
	}
	out, err := hex.DecodeString(b.String())
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestIPFIXSessionAndItsTemplateByteForByte(t *testing.T) {
	e, now := testIPFIX(nil), time.Unix(0, testWall)
	r := sampleSession()
	r.Domain = 9
	first, used := e.encode([]Record{r}, 1, now)
	if used != 0 {
		t.Fatalf("%d records went before their template", used)
	}
	want := bytesOf(t, `
		0002 0030            ; template set, 48 bytes
		0100 000a            ; 256 has ten fields
		0143 0008            ; observationTimeMilliseconds
		00e6 0001            ; natEvent
		0004 0001            ; protocolIdentifier
		0008 0004            ; sourceIPv4Address
		0007 0002            ; sourceTransportPort
		00e1 0004            ; postNATSourceIPv4Address
		00e3 0002            ; postNAPTSourceTransportPort
		000c 0004            ; destinationIPv4Address
		000b 0002            ; destinationTransportPort
		00ea 0004            ; ingressVRFID
	`)
	if diff := cmp.Diff(want, first[16:16+len(want)]); diff != "" {
		t.Errorf("the first template (-want +got):\n%s", diff)
	}
	data, used := e.encode([]Record{r}, 1, now)
	if used != 1 {
		t.Fatalf("%d records used", used)
	}
	want = bytesOf(t, `
		000a 0034 69abeaf5 00000000 00000009  ; version, 52 bytes, time, sequence, domain
		0100 0024                             ; set of template 256, 36 bytes
		0000019cc78dce02                      ; 1772874485.250
		04 06                                 ; NAT44 session create, TCP
		c000020a 3b20  cb007106 185a          ; 192.0.2.10:15136 203.0.113.6:6234
		c6336409 0050                         ; 198.51.100.9:80
		00000009                              ; the traffic domain
	`)
	if diff := cmp.Diff(want, data); diff != "" {
		t.Errorf("the record (-want +got):\n%s", diff)
	}
}

func TestIPFIXPadsEachSet(t *testing.T) {
	e, now := testIPFIX(nil), time.Unix(0, testWall)
	e.encode([]Record{sampleMapping()}, 1, now)
	data, _ := e.encode([]Record{sampleMapping()}, 1, now)
	want := bytesOf(t, `
		0102 0020                             ; set of template 258: 4 + 26 + 2
		0000019cc78dce02 08 06                ; time, NAT44 BIB create, TCP
		c000020f 38e7  cb007105 2016          ; 192.0.2.15:14567 203.0.113.5:8214
		00000000 0000                         ; domain, padding
	`)
	if diff := cmp.Diff(want, data[16:]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestIPFIXValuesOfEachKind(t *testing.T) {
	end := sampleSession()
	end.Kind, end.Packets, end.Bytes = SessionDeleted, [2]uint64{5, 6}, [2]uint64{700, 1 << 40}
	group := sampleQuota()
	group.Quota = GroupSessions
	at := uint64(testWall / 1e6)
	for _, c := range []struct {
		name   string
		record Record
		want   map[uint16]uint64
	}{
		{"session deleted with counters", end, map[uint16]uint64{0: 257, 323: at, 230: 5, 4: 6, 8: 0xc000020a, 7: 15136, 225: 0xcb007106,
			227: 6234, 12: 0xc6336409, 11: 80, 234: 0, 298: 5, 231: 700, 299: 6, 232: 1 << 40}},
		{"EIM mapping without destination", sampleMapping(), map[uint16]uint64{0: 258, 323: at, 230: 8, 4: 6, 8: 0xc000020f, 7: 14567,
			225: 0xcb007105, 227: 8214, 234: 0}},
		{"ADM mapping", with(sampleMapping(), func(r *Record) { r.Mode, r.Kind = ADM, MappingDeleted }), map[uint16]uint64{0: 259, 323: at, 230: 9,
			4: 6, 8: 0xc000020f, 7: 14567, 225: 0xcb007105, 227: 8214, 12: 0xc6336414, 234: 0}},
		{"APDM mapping", with(sampleMapping(), func(r *Record) { r.Mode = APDM }), map[uint16]uint64{0: 260, 323: at, 230: 8, 4: 6, 8: 0xc000020f,
			7: 14567, 225: 0xcb007105, 227: 8214, 12: 0xc6336414, 11: 443, 234: 0}},
		{"addresses exhausted", with(sampleQuota(), func(r *Record) { r.Kind, r.Pool = AddressesExhausted, 2 }),
			map[uint16]uint64{0: 261, 323: at, 230: 3, 283: 2, 8: 0xc000020f, 234: 7}},
		{"ports exhausted", with(sampleQuota(), func(r *Record) { r.Kind, r.Outside = PortsExhausted, endpoint(203, 0, 113, 5, 0) }),
			map[uint16]uint64{0: 262, 323: at, 230: 12, 225: 0xcb007105, 4: 17, 8: 0xc000020f, 234: 7}},
		{"group's session limit", group, map[uint16]uint64{0: 263, 323: at, 230: 13, 466: 1, 471: 64, 4: 17, 234: 7}},
		{"subscriber's quota", sampleQuota(), map[uint16]uint64{0: 264, 323: at, 230: 13, 466: 3, 473: 64, 8: 0xc000020f, 4: 17, 234: 7}},
		{"block allocated", sampleBlock(), map[uint16]uint64{0: 265, 323: at, 230: 16, 8: 0xc000020f, 225: 0xcb007105, 361: 2048, 362: 2303, 234: 0}},
		{"block freed", with(sampleBlock(), func(r *Record) { r.Kind = BlockFreed }), map[uint16]uint64{0: 265, 323: at, 230: 17, 8: 0xc000020f,
			225: 0xcb007105, 361: 2048, 362: 2303, 234: 0}},
		{"ESP session has SPIs in elements of ours and no ports (R33)", sampleESP(), map[uint16]uint64{0: 266, 323: at, 230: 4, 4: 50, 8: 0xc000020a,
			7: 0, 225: 0xcb007106, 227: 0, 12: 0xc6336409, 11: 0, 0x8001: 0xc0ffee01, 0x8002: 0x1001, 234: 0}},
		{"gap", Record{Kind: Gap, Lost: 17, LostTotal: 20, LostFrom: testWall - 5e9, Wall: testWall},
			map[uint16]uint64{0: 267, 144: 1, 167: 20, 152: at - 5000, 153: at}},
	} {
		var d decoder
		all := d.send(t, testIPFIX(nil), time.Unix(0, testWall), c.record)
		if diff := cmp.Diff([]map[uint16]uint64{c.want}, all[len(all)-1].records); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestNumberingOfEvents(t *testing.T) {
	all := []Kind{AddressesExhausted, SessionCreated, SessionDeleted, MappingCreated, MappingDeleted, PortsExhausted, QuotaExceeded, BlockAllocated, BlockFreed}
	numbers := func(n Numbering) (out []uint8) {
		for _, k := range all {
			out = append(out, n.eventNumber(k))
		}
		return out
	}
	if got, want := numbers(RFC8158), []uint8{3, 4, 5, 8, 9, 12, 13, 16, 17}; !slices.Equal(got, want) {
		t.Errorf("RFC 8158: %v, want %v", got, want)
	}
	if got, want := numbers(Junos), []uint8{3, 1, 2, 6, 7, 10, 11, 14, 15}; !slices.Equal(got, want) {
		t.Errorf("Junos: %v, want %v", got, want)
	}
}

func TestTemplatesAreSentAgainByCountAndByTime(t *testing.T) {
	c := newClock()
	e := testIPFIX(func(t *Target) { t.TemplateInterval = time.Minute })
	var d decoder
	sent := func(n int) (withTemplates int) {
		for range n {
			for _, m := range d.send(t, e, c.now(), sampleBlock()) {
				if len(m.templates) > 0 {
					withTemplates++
				}
			}
		}
		return withTemplates
	}
	if got := sent(20); got != 1 {
		t.Errorf("%d messages with templates before 20 with data, want 1", got)
	}
	if got := sent(1); got != 1 {
		t.Errorf("%d messages with templates after 20 with data, want 1", got)
	}
	c.pass(59 * time.Second)
	if e.due(c.now()) != nil || sent(1) != 0 {
		t.Error("templates came again before a minute")
	}
	c.pass(time.Second)
	b := e.due(c.now())
	if m, err := d.decode(b); err != nil || len(m.templates) != len(templates()) {
		t.Errorf("after a minute without records: templates %v, %v", m.templates, err)
	}
	if e.due(c.now()) != nil {
		t.Error("templates are due twice")
	}
}

func TestOverTCPTemplatesAreSentOnce(t *testing.T) {
	c := newClock()
	e := testIPFIX(func(t *Target) { t.Network = "tcp" })
	var d decoder
	d.send(t, e, c.now(), sampleBlock())
	for range 50 {
		c.pass(time.Hour)
		if m := d.send(t, e, c.now(), sampleBlock()); len(m) != 1 || e.due(c.now()) != nil {
			t.Fatalf("templates again: %v", m)
		}
	}
	e.reset("")
	if m := d.send(t, e, c.now(), sampleBlock()); len(m) != 2 || m[1].sequence != 0 {
		t.Errorf("a new connection starts with %v, want templates and sequence number 0", m)
	}
}

// Whatever is sent, a collector can read it, in order, and the sequence numbers
// tell it that nothing is missing.
func TestIPFIXAnyRecordsInAnyDomain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(MinMessageSize, 3000).Draw(t, "message size")
		e := testIPFIX(func(t *Target) { t.MessageSize = size })
		var d decoder
		next := map[uint32]uint32{}
		c := newClock()
		for range rapid.IntRange(1, 10).Draw(t, "batches") {
			c.pass(time.Duration(rapid.IntRange(0, 900).Draw(t, "seconds")) * time.Second)
			batch := rapid.SliceOfN(rapid.Custom(drawRecord), 1, batchSize).Draw(t, "batch")
			for i := range batch {
				batch[i].Domain %= 3
			}
			var got []map[uint16]uint64
			for _, m := range d.send(t, e, c.now(), batch...) {
				if m.sequence != next[m.domain] {
					t.Fatalf("domain %d: sequence number %d, want %d", m.domain, m.sequence, next[m.domain])
				}
				next[m.domain] += uint32(len(m.records))
				got = append(got, m.records...)
				for _, r := range m.records {
					if vrf, ok := r[ingressVRFID]; ok && uint32(vrf) != m.domain {
						t.Fatalf("a record of domain %d in a message of domain %d", vrf, m.domain)
					}
				}
			}
			for i, r := range batch {
				if got[i][0] != uint64(templateOf(&r)) {
					t.Fatalf("record %d has template %d, want %d", i, got[i][0], templateOf(&r))
				}
			}
		}
	})
}
