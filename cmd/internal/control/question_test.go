package control

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestAFrameIsReadAsPeopleWriteIt(t *testing.T) {
	a, b := ip("192.0.2.10"), ip("198.51.100.9")
	for text, want := range map[string]Frame{
		"udp,192.0.2.10:500,198.51.100.9:4500": {Protocol: 17, SourceIP: a, DestIP: b, SourcePort: 500, DestPort: 4500},
		"TCP,192.0.2.10:40000,198.51.100.9:80": {Protocol: 6, SourceIP: a, DestIP: b, SourcePort: 40000, DestPort: 80},
		"icmp,192.0.2.10,198.51.100.9":         {Protocol: 1, SourceIP: a, DestIP: b, ICMPID: 1},
		"icmp-reply,192.0.2.10,198.51.100.9,7": {Protocol: 1, SourceIP: a, DestIP: b, ICMPID: 7, Reply: true},
		"esp,192.0.2.10,198.51.100.9,c0ffee01": {Protocol: 50, SourceIP: a, DestIP: b, SPI: 0xc0ffee01},
		"esp,192.0.2.10,198.51.100.9,0x1001":   {Protocol: 50, SourceIP: a, DestIP: b, SPI: 0x1001},
		"esp,192.0.2.10,198.51.100.9,00001001": {Protocol: 50, SourceIP: a, DestIP: b, SPI: 0x1001},
		"gre,192.0.2.10,198.51.100.9":          {Protocol: 47, SourceIP: a, DestIP: b},
		"89,192.0.2.10,198.51.100.9":           {Protocol: 89, SourceIP: a, DestIP: b},
		"udp,192.0.2.10:0,255.255.255.255:68":  {Protocol: 17, SourceIP: a, DestIP: ip("255.255.255.255"), DestPort: 68},
		"esp,192.0.2.10,198.51.100.9,12345678": {Protocol: 50, SourceIP: a, DestIP: b, SPI: 0x12345678},
	} {
		got, err := ParseFrame(text)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v, want %+v", text, got, err, want)
		}
		if again, err := ParseFrame(got.String()); err != nil || again != got {
			t.Errorf("%s is written as %s, which is read as %+v, %v", text, got, again, err)
		}
	}
}

func TestAFrameThatIsNoneSaysWhatIsWanted(t *testing.T) {
	for text, want := range map[string]string{
		"":                                  "is not a frame, want udp,SRC:PORT,DST:PORT",
		"udp,192.0.2.10:500":                "is not a frame",
		"udp,192.0.2.10,198.51.100.9":       `"192.0.2.10" is not an IPv4 address with a port`,
		"udp,192.0.2.10:1,198.51.100.9:2,3": "a part too many",
		"gre,192.0.2.10,198.51.100.9,3":     "a part too many",
		"icmp,192.0.2.10,198.51.100.9,x":    "not the identifier of a ping",
		"esp,192.0.2.10,198.51.100.9":       "is not an SPI",
		"esp,192.0.2.10,198.51.100.9,0":     "is not an SPI",
		"esp,192.0.2.10,2001:db8::1,1":      "not an IPv4 address",
		"dup,192.0.2.10,198.51.100.9":       `"dup" is no protocol`,
		"17,192.0.2.10,198.51.100.9":        "by its name, udp",
		"256,192.0.2.10,198.51.100.9":       "is no protocol",
	} {
		if f, err := ParseFrame(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %+v, %v, want %q", text, f, err, want)
		}
	}
}

func TestTheOtherPartsOfAQuestionSayWhatTheyWant(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{ByIn, "", "1 to 127"}, {ByFlags, "", "want some of fin|syn"}, {ByFlags, "syn|sin", `"sin" is no flag`},
		{ByTTL, "0", "1-255"}, {ByTTL, "256", "1-255"}, {BySize, "19", "20-65535"}, {BySize, "65536", "20-65535"},
		{ByDF, "yes", "want true"}, {ByUnsealed, "1", "want true"}, {ByPayload, "0", "even number"}, {ByPayload, "zz", "even number"},
		{ByPayload, strings.Repeat("00", 4097), "4096 bytes at most"}, {ByHex, "0", "even number"}, {ByHex, "", "even number"}, {ByHex, "02zz", "even number"},
	} {
		var f Filter
		if err := f.Set(c.name, c.text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s=%s: %v, want %q", c.name, c.text, err, c.want)
		}
	}
}

func TestAQuestionSurvivesTheWayOverTheSocket(t *testing.T) {
	b := &fake{}
	c, _ := serve(t, b)
	want := filterOf(t, ByIn, "vlan-20", ByFrame, "tcp,192.0.2.10:1,198.51.100.9:2", ByFlags, "syn|ack", ByTTL, "3", BySize, "1400",
		ByDF, "true", ByPayload, "00ff", ByUnsealed, "true", ByTD, "7")
	row, err := c.Explain(t.Context(), want)
	if err != nil || row.Fate.End != EndForwarded {
		t.Fatalf("%+v, %v", row, err)
	}
	if diff := cmp.Diff(want, b.asked, cmpopts.EquateComparable(want.SourceIP, want.Network)); diff != "" {
		t.Errorf("(-asked +arrived):\n%s", diff)
	}
}

func TestAQuestionNeedsAVLANAndAFrame(t *testing.T) {
	c, _ := serve(t, &fake{})
	for _, f := range []Filter{{}, filterOf(t, ByIn, "x"), filterOf(t, ByFrame, "gre,192.0.2.10,198.51.100.9")} {
		if _, err := c.Explain(t.Context(), f); err == nil || !strings.Contains(err.Error(), "in and frame, or in and hex, are needed") {
			t.Errorf("%+v: %v", f, err)
		}
	}
}

func TestAFrameInHexArrivesAndGoesWithNothingElse(t *testing.T) {
	b := &fake{}
	c, _ := serve(t, b)
	want := filterOf(t, ByIn, "x", ByHex, "02:00 00-00\t00 01 06", ByUnsealed, "true")
	if want.Question.Hex != "\x02\x00\x00\x00\x00\x01\x06" {
		t.Errorf("it is read as %x", want.Question.Hex)
	}
	if _, err := c.Explain(t.Context(), want); err != nil || b.asked.Question != want.Question {
		t.Errorf("%+v, %v", b.asked, err)
	}
	for _, also := range [][2]string{{ByTTL, "1"}, {ByFrame, "gre,192.0.2.10,198.51.100.9"}, {ByDF, "true"}, {ByPayload, "00"}} {
		_, err := c.Explain(t.Context(), filterOf(t, ByIn, "x", ByHex, "02", also[0], also[1]))
		if err == nil || err.Error() != "with hex, which holds the whole frame, only in and unsealed go" {
			t.Errorf("%s: %v", also[0], err)
		}
	}
}

func (b *fake) Explain(f Filter) (Explained, error) {
	b.asked = f
	return Explained{Fate: ExplainFate{End: EndForwarded}}, nil
}
