package natlog

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"spigate/netstack/frame"
)

// drawRecord draws a record as it comes back from its compact line: with the
// fields of its kind alone, and times in milliseconds.
func drawRecord(t *rapid.T) Record {
	millis := rapid.Int64Range(0, 1<<42)
	endpoints := rapid.Custom(func(t *rapid.T) frame.Endpoint {
		return frame.Endpoint{Addr: drawAddr(t), Port: rapid.Uint16().Draw(t, "port")}
	})
	r := Record{
		Kind: Kind(rapid.IntRange(1, int(kinds)-1).Draw(t, "kind")),
		Wall: millis.Draw(t, "wall") * int64(time.Millisecond),
	}
	if rapid.Bool().Draw(t, "named") {
		r.Group = rapid.StringMatching(`[A-Za-z0-9_][A-Za-z0-9_#. :@=-]{0,20}`).Draw(t, "group")
		r.Profile = &Profile{SubscriberInfo: true}
	}
	if r.Kind == Started {
		return r
	}
	if r.Kind == Gap {
		r.Lost, r.LostFrom = rapid.Uint64().Draw(t, "lost"), millis.Draw(t, "from")*int64(time.Millisecond)
		return r
	}
	r.Domain = rapid.Uint16Range(0, 4094).Draw(t, "domain")
	r.Inside.Addr, r.Outside.Addr = drawAddr(t), drawAddr(t)
	if r.Kind.isBlock() {
		r.First, r.Last = rapid.Uint16().Draw(t, "first"), rapid.Uint16().Draw(t, "last")
		return r
	}
	r.Proto = rapid.Uint8().Draw(t, "proto")
	switch {
	case r.Kind.isMapping():
		r.Mode = Mode(rapid.IntRange(0, int(modes)-1).Draw(t, "mode"))
		r.Inside, r.Outside = endpoints.Draw(t, "inside"), endpoints.Draw(t, "outside")
		r.Remote = [modes]frame.Endpoint{ADM: {Addr: drawAddr(t)}, APDM: endpoints.Draw(t, "remote")}[r.Mode]
	case r.Kind.isSession():
		r.Inside, r.Outside, r.Remote = endpoints.Draw(t, "inside"), endpoints.Draw(t, "outside"), endpoints.Draw(t, "remote")
		drawSession(t, &r)
	case r.Kind == QuotaExceeded:
		r.Quota = Quota(rapid.IntRange(0, int(quotas)-1).Draw(t, "quota"))
		r.Limit = rapid.Uint32().Draw(t, "limit")
	}
	return r
}

func drawSession(t *rapid.T, r *Record) {
	if r.Proto == protoESP {
		r.SPIIn, r.SPIOut = rapid.Uint32().Draw(t, "spi in"), rapid.Uint32().Draw(t, "spi out")
	}
	if r.Kind == SessionDeleted {
		for i := range 2 {
			r.Packets[i], r.Bytes[i] = rapid.Uint64().Draw(t, "packets"), rapid.Uint64().Draw(t, "bytes")
		}
	}
}

func drawAddr(t *rapid.T) frame.Addr {
	return frame.Addr(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "addr"))
}

func TestCompactLinesComeBackAsTheyWere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want, seq := drawRecord(t), rapid.Uint64().Draw(t, "seq")
		line := string(appendCompact(nil, &want, seq))
		got, gotSeq, err := ParseCompact(line)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if diff := cmp.Diff(want, got); diff != "" || gotSeq != seq {
			t.Fatalf("%q is number %d, want %d (-want +got):\n%s", line, gotSeq, seq, diff)
		}
	})
}

func TestLinesThatAreNotOurs(t *testing.T) {
	for _, line := range []string{
		"",
		"1772874485250",
		"1772874485250 7",
		"1772874485250 7 Z+ T 192.0.2.10:1 203.0.113.6:2 198.51.100.9:80",
		"1772874485250 7 M+ X T 192.0.2.10:1 203.0.113.6:2",
		"1772874485250 7 M+ A T 192.0.2.10:1 203.0.113.6:2",                         // no destination
		"1772874485250 7 M+ E T 192.0.2.10:1 203.0.113.6:2 198.51.100.9",            // one too many
		"1772874485250 7 S+ T 192.0.2.10:1/0 203.0.113.6:2 198.51.100.9:80",         // domain 0 is not written
		"1772874485250 7 S+ 6 192.0.2.10:1 203.0.113.6:2 198.51.100.9:80",           // TCP is T
		"1772874485250 07 S+ T 192.0.2.10:1 203.0.113.6:2 198.51.100.9:80",          // a leading zero
		"1772874485250 7 S+ T 192.0.2.10:70000 203.0.113.6:2 198.51.100.9:80",       // no such port
		"1772874485250 7 S+ T 2001:db8::1:1 203.0.113.6:2 198.51.100.9:80",          // not IPv4
		"1772874485250 7 S+ E 192.0.2.10:0 203.0.113.6:0 198.51.100.9:0 C0FFEE01,-", // upper case
		"1772874485250 7 S+ E 192.0.2.10:0 203.0.113.6:0 198.51.100.9:0",            // no SPIs
		"1772874485250 7 S- T 192.0.2.10:1 203.0.113.6:2 198.51.100.9:80 1,2,3",     // three counts
		"1772874485250 7 QS U 192.0.2.15 - 4294967296",                              // over 32 bits
		"1772874485250 7 B+ 192.0.2.15 203.0.113.5 2048",                            // no last port
		"1772874485250 7 B+ 192.0.2.15 203.0.113.5 2048-2303 ",                      // a space at the end
		"1772874485250 7 B+ 192.0.2.15 203.0.113.5 2048-2303 @",                     // a group without a name
		"99999999999999999999 7 B+ 192.0.2.15 203.0.113.5 2048-2303",                // after the end of time
		"1772874485250 7  B+ 192.0.2.15 203.0.113.5 2048-2303",                      // two spaces
		"1772874485250 7 QA U 192.0.2.15 - 1",
	} {
		if r, seq, err := ParseCompact(line); err == nil {
			t.Errorf("%q was read as %+v, number %d", line, r, seq)
		} else if !strings.HasPrefix(err.Error(), "compact NAT log line: ") {
			t.Errorf("%q: the error does not say of what it is: %v", line, err)
		}
	}
}

func FuzzParseCompact(f *testing.F) {
	for _, r := range []Record{sampleSession(), sampleMapping(), sampleBlock(), sampleESP(), sampleQuota(), {Kind: Gap, Lost: 3}} {
		f.Add(string(appendCompact(nil, &r, 9)))
	}
	f.Add("1772874485250 7 S- T 192.0.2.10:1/9 203.0.113.6:2 198.51.100.9:80 1,2,3,4 @G 1 @x")
	f.Fuzz(func(t *testing.T, line string) {
		r, seq, err := ParseCompact(line)
		if err == nil && string(appendCompact(nil, &r, seq)) != line {
			t.Errorf("%q was read as %+v, which is another line", line, r)
		}
	})
}
