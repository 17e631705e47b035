package filter

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"spigate/netstack/frame"
)

var vlans = map[string]frame.Interface{"inside": 1, "wan-30": 2}

// ip is an IPv4 packet with what follows its header.
func ip(proto uint8, src, dst string, part uint16, rest ...byte) []byte {
	b := make([]byte, 20, 20+len(rest))
	b[0], b[8], b[9] = 0x45, 64, proto
	binary.BigEndian.PutUint16(b[2:], uint16(20+len(rest)))
	binary.BigEndian.PutUint16(b[6:], part)
	var s, d [4]int
	fmt.Sscanf(src, "%d.%d.%d.%d", &s[0], &s[1], &s[2], &s[3])
	fmt.Sscanf(dst, "%d.%d.%d.%d", &d[0], &d[1], &d[2], &d[3])
	for i := range 4 {
		b[12+i], b[16+i] = byte(s[i]), byte(d[i])
	}
	return append(b, rest...)
}

func ports(src, dst uint16, more ...byte) []byte {
	b := make([]byte, 8)
	binary.BigEndian.PutUint16(b, src)
	binary.BigEndian.PutUint16(b[2:], dst)
	return append(b, more...)
}

// in gives a packet the VLANs that it came in by and leaves by.
func in(p Packet, in, out frame.Interface) Packet {
	p.In, p.Out = in, out
	return p
}

func samples() map[string]Packet {
	arp := append(make([]byte, 12), 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 1, 2, 3, 4, 5, 6, 192, 0, 2, 11, 0, 0, 0, 0, 0, 0, 192, 0, 2, 1)
	tagged := append(append(make([]byte, 12), 0x81, 0, 0, 30, 8, 0), ip(17, "192.0.2.11", "198.51.100.9", 0, ports(500, 500)...)...)
	return map[string]Packet{
		"ike":       in(OfPacket(ip(17, "192.0.2.11", "198.51.100.9", 0, ports(500, 500)...)), 1, 0),
		"natt":      in(OfPacket(ip(17, "192.0.2.11", "198.51.100.9", 0, ports(4500, 4500, 0xc0, 0xff, 0xee, 1)...)), 1, 0),
		"natt ike":  in(OfPacket(ip(17, "192.0.2.11", "198.51.100.9", 0, ports(4500, 4500, 0, 0, 0, 0)...)), 1, 0),
		"esp":       in(OfPacket(ip(50, "198.51.100.9", "203.0.113.3", 0, 0xc0, 0xff, 0xee, 1, 0, 0, 0, 9)), 2, 1),
		"web":       in(OfPacket(ip(6, "192.0.2.12", "198.51.100.9", 0, ports(40000, 443, make([]byte, 12)...)...)), 1, 2),
		"ping":      in(OfPacket(ip(1, "10.1.2.3", "192.0.2.11", 0, 8, 0, 0, 0)), 2, 1),
		"piece":     in(OfPacket(ip(17, "192.0.2.11", "198.51.100.9", 0x2001, ports(500, 500)...)), 1, 0),
		"1st piece": in(OfPacket(ip(17, "192.0.2.11", "198.51.100.9", 0x2000, ports(500, 500)...)), 1, 0),
		"arp":       in(OfFrame(arp), 1, 0),
		"tagged":    in(OfFrame(tagged), 1, 0),
		"cut":       in(OfPacket([]byte{0x45, 0, 0}), 1, 0),
	}
}

func TestAnExpressionChoosesThePacketsThatItSays(t *testing.T) {
	for _, c := range []struct{ text, chosen string }{
		{"udp", "ike, natt, natt ike, piece, 1st piece, tagged"},
		{"udp port 500", "ike, 1st piece, tagged"},
		{"UDP and SRC PORT 500", "ike, 1st piece, tagged"},
		{"port 400-600", "ike, web, 1st piece, tagged"},
		{"tcp dst port 443", "web"},
		{"tcp src port 443", ""},
		{"esp", "esp"},
		{"spi c0ffee01", "esp, natt"},
		{"spi 0xC0FFEE01 and not esp", "natt"},
		{"host 192.0.2.11", "ike, natt, natt ike, ping, piece, 1st piece, arp, tagged"},
		{"src host 192.0.2.11 and not udp", "arp"},
		{"dst net 192.0.2.0/24", "ping, arp"},
		{"net 0.0.0.0/0 and icmp", "ping"},
		{"src net 10.0.0.0/8", "ping"},
		{"arp", "arp"},
		{"ip and fragment", "piece, 1st piece"},
		{"proto 50 or proto icmp", "esp, ping"},
		{"gre || ah", ""},
		{"in wan-30", "esp, ping"},
		{"out inside", "esp, ping"},
		{"out wan-30 && !esp", "web"},
		{"icmp or tcp and src host 192.0.2.99", "ping"}, // and binds closer
		{"(icmp or tcp) and src host 192.0.2.12", "web"},
		{"not(udp or arp or ip)", ""},
		{"not not esp", "esp"},
	} {
		e, err := Parse(c.text, vlans)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		chosen := strings.Split(c.chosen, ", ")
		for name, p := range samples() {
			if got := e.Match(&p); got != slices.Contains(chosen, name) {
				t.Errorf("%s: %s: %v", c.text, name, got)
			}
		}
	}
	if none, err := Parse(" \n", nil); none != nil || err != nil || !none.Match(&Packet{}) || none.String() != "" {
		t.Errorf("nothing said must choose everything: %v, %v", none, err)
	}
}

func TestAnErrorSaysWhereAndWhatIsWanted(t *testing.T) {
	for text, says := range map[string]string{
		"host":                                `at character 5: a value is missing behind "host"`,
		"host 192.0.2":                        `at character 6: "192.0.2" is not an IPv4 address`,
		"net 192.0.2.1/24":                    `host bits: write 192.0.2.0/24, or host 192.0.2.1`,
		"port 70000":                          `"70000" is not a port`,
		"port 9-5":                            `"9-5" is not a port`,
		"udp esp":                             `at character 5: "esp" does not follow from what stands before it: want and, or`,
		"(udp or esp":                         `at character 12: want ) for the ( at character 1`,
		"udp)":                                `at character 4: this ) closes nothing`,
		"udp and":                             `at character 8: the expression ends here: want host`,
		"src 192.0.2.1":                       `at character 5: want host, net or port behind src and dst, not "192.0.2.1"`,
		"dst":                                 `at character 4: want host, net or port behind src and dst`,
		"inside=100.64.3.7":                   `"inside=100.64.3.7" is no word of a filter`,
		"in outside":                          `"outside" is no VLAN or tunnel: want one of inside, wan-30`,
		"spi 0":                               `"0" is not an SPI`,
		"proto 256":                           `"256" is not an IP protocol`,
		strings.Repeat("!", 40) + "udp":       `more than 16 parentheses`,
		strings.Repeat("udp or ", 70) + "tcp": `more than 64 words`,
		strings.Repeat(" ", MaxText) + "tcp":  `longer than 1024 bytes`,
	} {
		_, err := Parse(text, vlans)
		var e *Error
		if !errors.As(err, &e) || !strings.Contains(e.Error(), says) || e.At > len(text) {
			t.Errorf("%s: %v, want %s", text, err, says)
		}
	}
}

func TestMatchingAllocatesNothing(t *testing.T) {
	e, err := Parse("not (host 192.0.2.11 and (esp or udp port 4500)) or spi 7", nil)
	if err != nil {
		t.Fatal(err)
	}
	b := ip(17, "192.0.2.11", "198.51.100.9", 0, ports(500, 500)...)
	if n := testing.AllocsPerRun(100, func() {
		p := OfPacket(b)
		e.Match(&p)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzParse: what is taken is written back as something that means the same, and
// nothing that is read is misread for its length.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"", "udp", "host 192.0.2.11 and (esp or udp port 4500) and not in inside", "a or b", "((tcp))", "not not arp or icmp and gre",
		"src net 10.0.0.0/8", "net 0.0.0.0/0", "tcp dst port 1-2", "spi 0xc0ffee01||fragment", "out wan-30", "udp\x00", "in in", "proto ah", "!(ip)",
	} {
		f.Add(text, []byte{0x45, 0, 0, 28})
	}
	f.Fuzz(func(t *testing.T, text string, packet []byte) {
		e, err := Parse(text, vlans)
		if err != nil {
			return
		}
		again, err := Parse(e.String(), vlans)
		if err != nil {
			if len(e.String()) > MaxText {
				return
			}
			t.Fatalf("%q became %q: %v", text, e, err)
		}
		if again.String() != e.String() {
			t.Fatalf("%q, then %q", e, again)
		}
		for _, p := range []Packet{OfPacket(packet), OfFrame(packet)} {
			p.In, p.Out = 1, 2
			if e.Match(&p) != again.Match(&p) {
				t.Fatalf("%q and %q choose differently", text, again)
			}
		}
	})
}

// draw makes an expression out of words, with more parentheses than it needs.
func draw(r *rand.Rand, depth int) string {
	if depth == 0 || r.IntN(3) == 0 {
		words := []string{"udp", "tcp", "esp", "icmp", "host 192.0.2.11", "src host 192.0.2.12", "dst net 198.51.100.0/24", "port 500", "in inside", "fragment"}
		return words[r.IntN(len(words))]
	}
	switch r.IntN(3) {
	case 0:
		return "not (" + draw(r, depth-1) + ")"
	case 1:
		return "(" + draw(r, depth-1) + ") and (" + draw(r, depth-1) + ")"
	}
	return "(" + draw(r, depth-1) + ") or (" + draw(r, depth-1) + ")"
}

func TestWhatIsWrittenBackMeansTheSame(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		text := draw(r, 4)
		e, err := Parse(text, vlans)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		again, err := Parse(e.String(), vlans)
		if err != nil {
			t.Fatalf("%s: %v", e, err)
		}
		for name, p := range samples() {
			if e.Match(&p) != again.Match(&p) {
				t.Fatalf("%s became %s: %s is judged differently", text, e, name)
			}
		}
	}
}
