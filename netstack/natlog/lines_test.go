package natlog

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// with changes a record.
func with(r Record, change func(*Record)) Record {
	change(&r)
	return r
}

// lineCase is a record and what it looks like: the long line without its time,
// the compact one without time and number.
type lineCase struct {
	name          string
	record        Record
	long, compact string
}

func linesOfSessionsAndMappings() []lineCase {
	return []lineCase{
		{
			"session created, the specification's sample (R31)", sampleSession(),
			"LSN LSN_SESSION 7 : SESSION CREATED Client IP:Port:TD 192.0.2.10:15136:0, NatIP:NatPort 203.0.113.6:6234, " +
				"Destination IP:Port:TD 198.51.100.9:80:0, Protocol: TCP",
			"S+ T 192.0.2.10:15136 203.0.113.6:6234 198.51.100.9:80",
		},
		{
			"session deleted in another domain, with counters in the compact form only",
			with(sampleSession(), func(r *Record) {
				r.Kind, r.Domain, r.Packets, r.Bytes = SessionDeleted, 12, [2]uint64{5, 6}, [2]uint64{700, 8000}
			}),
			"LSN LSN_SESSION 7 : SESSION DELETED Client IP:Port:TD 192.0.2.10:15136:12, NatIP:NatPort 203.0.113.6:6234, " +
				"Destination IP:Port:TD 198.51.100.9:80:12, Protocol: TCP",
			"S- T 192.0.2.10:15136/12 203.0.113.6:6234 198.51.100.9:80 5,700,6,8000",
		},
		{
			"EIM mapping names no destination (R30, R31)", sampleMapping(),
			"LSN LSN_MAPPING 7 : EIM CREATED Client IP:Port 192.0.2.15:14567, NatIP:NatPort 203.0.113.5:8214, Protocol: TCP",
			"M+ E T 192.0.2.15:14567 203.0.113.5:8214",
		},
		{
			"ADM mapping names the address", with(sampleMapping(), func(r *Record) { r.Mode, r.Kind = ADM, MappingDeleted }),
			"LSN LSN_MAPPING 7 : ADM DELETED Client IP:Port 192.0.2.15:14567, NatIP:NatPort 203.0.113.5:8214, " +
				"Destination IP 198.51.100.20, Protocol: TCP",
			"M- A T 192.0.2.15:14567 203.0.113.5:8214 198.51.100.20",
		},
		{
			"APDM mapping names address and port", with(sampleMapping(), func(r *Record) { r.Mode, r.Domain = APDM, 3 }),
			"LSN LSN_MAPPING 7 : A&PDM CREATED Client IP:Port:TD 192.0.2.15:14567:3, NatIP:NatPort 203.0.113.5:8214, " +
				"Destination IP:Port 198.51.100.20:443, Protocol: TCP",
			"M+ P T 192.0.2.15:14567/3 203.0.113.5:8214 198.51.100.20:443",
		},
		{
			"a static mapping says so (R27)", with(sampleMapping(), func(r *Record) { r.Mode = Static }),
			"LSN LSN_MAPPING 7 : STATIC CREATED Client IP:Port 192.0.2.15:14567, NatIP:NatPort 203.0.113.5:8214, Protocol: TCP",
			"M+ S T 192.0.2.15:14567 203.0.113.5:8214",
		},
		{
			"an ICMP query's port is its identifier", with(sampleMapping(), func(r *Record) { r.Proto = protoICMP }),
			"LSN LSN_MAPPING 7 : EIM CREATED Client IP:Port 192.0.2.15:14567, NatIP:NatPort 203.0.113.5:8214, Protocol: ICMP",
			"M+ E I 192.0.2.15:14567 203.0.113.5:8214",
		},
		{
			"a protocol without a word", with(sampleMapping(), func(r *Record) { r.Proto = 132 }),
			"LSN LSN_MAPPING 7 : EIM CREATED Client IP:Port 192.0.2.15:14567, NatIP:NatPort 203.0.113.5:8214, Protocol: 132",
			"M+ E 132 192.0.2.15:14567 203.0.113.5:8214",
		},
		{
			"ESP session with both SPIs", with(sampleESP(), func(r *Record) { r.Inside.Port, r.Outside.Port, r.Remote.Port = 0, 0, 0 }),
			"LSN LSN_SESSION 7 : SESSION CREATED Client IP:Port:TD 192.0.2.10:0:0, NatIP:NatPort 203.0.113.6:0, " +
				"Destination IP:Port:TD 198.51.100.9:0:0, Protocol: ESP, Client SPI: c0ffee01, Server SPI: 00001001",
			"S+ E 192.0.2.10:0 203.0.113.6:0 198.51.100.9:0 c0ffee01,00001001",
		},
		{
			"ESP session that has one half only",
			with(sampleESP(), func(r *Record) {
				r.Kind, r.SPIOut, r.Inside.Port, r.Outside.Port, r.Remote.Port = SessionDeleted, 0, 0, 0, 0
			}),
			"LSN LSN_SESSION 7 : SESSION DELETED Client IP:Port:TD 192.0.2.10:0:0, NatIP:NatPort 203.0.113.6:0, " +
				"Destination IP:Port:TD 198.51.100.9:0:0, Protocol: ESP, Client SPI: c0ffee01, Server SPI: -",
			"S- E 192.0.2.10:0 203.0.113.6:0 198.51.100.9:0 c0ffee01,- 0,0,0,0",
		},
	}
}

func linesOfTheRest() []lineCase {
	gap := Record{Kind: Gap, Lost: 17, LostTotal: 20, LostFrom: testWall - int64(time.Minute), Wall: testWall}
	return []lineCase{
		{
			"one line for a block (R17)", sampleBlock(),
			"LSN LSN_PORTBLOCK 7 : PORTBLOCK ALLOCATED Client IP:TD 192.0.2.15:0, NatIP 203.0.113.5, Ports 2048-2303",
			"B+ 192.0.2.15 203.0.113.5 2048-2303",
		},
		{
			"block freed", with(sampleBlock(), func(r *Record) { r.Kind, r.Domain = BlockFreed, 4094 }),
			"LSN LSN_PORTBLOCK 7 : PORTBLOCK FREED Client IP:TD 192.0.2.15:4094, NatIP 203.0.113.5, Ports 2048-2303",
			"B- 192.0.2.15/4094 203.0.113.5 2048-2303",
		},
		{
			"the log begins", Record{Kind: Started, Wall: testWall},
			"LSN LSN_LOG 7 : STARTED, nothing is held",
			"O",
		},
		{
			"ports of one address exhausted",
			Record{Kind: PortsExhausted, Proto: protoUDP, Inside: endpoint(192, 0, 2, 15, 0), Outside: endpoint(203, 0, 113, 5, 0), Wall: testWall},
			"LSN LSN_EXHAUSTED 7 : PORTS EXHAUSTED Client IP:TD 192.0.2.15:0, NatIP 203.0.113.5, Protocol: UDP",
			"XP U 192.0.2.15 203.0.113.5",
		},
		{
			"no address left",
			Record{Kind: AddressesExhausted, Proto: protoTCP, Inside: endpoint(192, 0, 2, 15, 0), Wall: testWall},
			"LSN LSN_EXHAUSTED 7 : ADDRESSES EXHAUSTED Client IP:TD 192.0.2.15:0, Protocol: TCP",
			"XA T 192.0.2.15 -",
		},
		{
			"subscriber's session quota", sampleQuota(),
			"LSN LSN_QUOTA 7 : SUBSCRIBER SESSION QUOTA EXCEEDED Client IP:TD 192.0.2.15:7, Protocol: UDP, Limit: 64",
			"QS U 192.0.2.15/7 - 64",
		},
		{
			"group's session limit", with(sampleQuota(), func(r *Record) { r.Quota = GroupSessions }),
			"LSN LSN_QUOTA 7 : GROUP SESSION LIMIT EXCEEDED Client IP:TD 192.0.2.15:7, Protocol: UDP, Limit: 64",
			"QG U 192.0.2.15/7 - 64",
		},
		{
			"subscriber's port quota", with(sampleQuota(), func(r *Record) { r.Quota = SubscriberPorts }),
			"LSN LSN_QUOTA 7 : SUBSCRIBER PORT QUOTA EXCEEDED Client IP:TD 192.0.2.15:7, Protocol: UDP, Limit: 64",
			"QP U 192.0.2.15/7 - 64",
		},
		{
			"the session table is full", with(sampleQuota(), func(r *Record) { r.Quota = AllSessions }),
			"LSN LSN_QUOTA 7 : SESSION TABLE EXCEEDED Client IP:TD 192.0.2.15:7, Protocol: UDP, Limit: 64",
			"QT U 192.0.2.15/7 - 64",
		},
		{
			"a gap says how many and from when to when", gap,
			"LSN LSN_GAP 7 : GAP Records lost: 17, First: 03/07/2026:09:07:05 GMT, Last: 03/07/2026:09:08:05 GMT",
			"G 17 1772874425250",
		},
		{
			"the group is named where its log profile asks for it (logSubscrInfo)",
			with(sampleBlock(), func(r *Record) { r.Group, r.Profile = "GROUP 1", &Profile{SubscriberInfo: true} }),
			"LSN LSN_PORTBLOCK 7 : PORTBLOCK ALLOCATED Client IP:TD 192.0.2.15:0, NatIP 203.0.113.5, Ports 2048-2303, Group: GROUP 1",
			"B+ 192.0.2.15 203.0.113.5 2048-2303 @GROUP 1",
		},
		{
			"and nowhere else", with(sampleBlock(), func(r *Record) { r.Group, r.Profile = "GROUP 1", &Profile{} }),
			"LSN LSN_PORTBLOCK 7 : PORTBLOCK ALLOCATED Client IP:TD 192.0.2.15:0, NatIP 203.0.113.5, Ports 2048-2303",
			"B+ 192.0.2.15 203.0.113.5 2048-2303",
		},
	}
}

func TestLines(t *testing.T) {
	for _, c := range append(linesOfSessionsAndMappings(), linesOfTheRest()...) {
		t.Run(c.name, func(t *testing.T) {
			long := "03/07/2026:09:08:05 GMT 0-PPE-0 : " + c.long
			if diff := cmp.Diff(long, string(appendLong(nil, &c.record, 7))); diff != "" {
				t.Errorf("long form (-want +got):\n%s", diff)
			}
			compact := "1772874485250 7 " + c.compact
			if diff := cmp.Diff(compact, string(appendCompact(nil, &c.record, 7))); diff != "" {
				t.Errorf("compact form (-want +got):\n%s", diff)
			}
			if r, seq, err := ParseCompact(compact); err != nil || seq != 7 || r.Kind != c.record.Kind {
				t.Errorf("ParseCompact(%q) = %+v, %d, %v", compact, r, seq, err)
			}
		})
	}
}

func TestSyslogHeaders(t *testing.T) {
	at := time.Unix(0, testWall).Add(time.Second)
	for _, c := range []struct {
		name   string
		target Target
		starts string
	}{
		{"RFC 3164 is the default, from our address", Target{}, "<6>Mar  7 09:08:06 192.0.2.254 03/07/2026:09:08:05 GMT 0-PPE-0 : LSN "},
		{"RFC 3164 with a tag before the compact form", Target{Format: FormatCompact, Facility: 16, Host: "gw1"}, "<134>Mar  7 09:08:06 gw1 nat: 1772874485250 1 M+ "},
		{"RFC 5424", Target{Framing: RFC5424, Facility: 20}, "<166>1 2026-03-07T09:08:06.250Z 192.0.2.254 spigate - LSN_MAPPING - 03/07/2026:"},
	} {
		s := newSyslog(&c.target)
		s.reset("192.0.2.254")
		message, used := s.encode([]Record{sampleMapping(), sampleBlock()}, 1, at)
		if !strings.HasPrefix(string(message), c.starts) {
			t.Errorf("%s: %q does not start with %q", c.name, message, c.starts)
		}
		if used != 1 || strings.Contains(string(message), "\n") {
			t.Errorf("%s: %d records in the datagram %q, want one and no line end", c.name, used, message)
		}
	}
}

func TestSyslogOverTCPPacksLinesUpToTheMessageSize(t *testing.T) {
	s := newSyslog(&Target{Network: "tcp", Format: FormatCompact, MessageSize: 512})
	s.reset("h")
	var batch []Record
	for n := range 20 {
		batch = append(batch, *numbered(n))
	}
	var all []string
	for len(batch) > 0 {
		message, used := s.encode(batch, uint64(20-len(batch)+1), time.Unix(0, testWall))
		if len(message) > 512 || used < 2 || !strings.HasSuffix(string(message), "\n") {
			t.Fatalf("a message of %d bytes with %d records: %q", len(message), used, message)
		}
		all, batch = append(all, string(message)), batch[used:]
	}
	if got := ports(t, all); got != "0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19" {
		t.Errorf("destination ports %s", got)
	}
	if got := numbers(t, all); got != "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20" {
		t.Errorf("numbers %s", got)
	}
}

func TestTheGroupsLogProfileChoosesTheForm(t *testing.T) {
	for _, c := range []struct {
		format  Format
		profile *Profile
		compact bool
	}{
		{FormatProfile, nil, false},
		{FormatProfile, &Profile{}, false},
		{FormatProfile, &Profile{Compact: true}, true},
		{FormatNetScaler, &Profile{Compact: true}, false},
		{FormatCompact, nil, true},
	} {
		s := newSyslog(&Target{Format: c.format})
		message, _ := s.encode([]Record{{Kind: BlockFreed, Profile: c.profile}}, 1, time.Unix(0, testWall))
		if got := strings.Contains(string(message), " B- "); got != c.compact {
			t.Errorf("format %d, profile %+v: %q", c.format, c.profile, message)
		}
	}
}
