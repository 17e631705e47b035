package control

import (
	"encoding/hex"
	"strings"
	"testing"
	"unicode/utf8"
)

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Headers to put together.
const (
	ethIPv4 = "020000000001 020000000002 0800"
	ethVLAN = "020000000001 020000000002 8100 0014 0800"
	src2dst = "c000020a c6336409"
)

var summaries = map[string]struct{ packet, want string }{
	"esp": {"45000078 00000000 40320000" + src2dst + "c3a1b2d4 00000007",
		"192.0.2.10 > 198.51.100.9 esp spi c3a1b2d4 seq 7 length 120"},
	"esp in ethernet": {ethIPv4 + "45000078 00000000 40320000" + src2dst + "c3a1b2d4 00000007",
		"02:00:00:00:00:02 > 02:00:00:00:00:01 192.0.2.10 > 198.51.100.9 esp spi c3a1b2d4 seq 7 length 120"},
	"udp in a vlan": {ethVLAN + "4500004c 00000000 40110000" + src2dst + "01f401f4 00380000",
		"02:00:00:00:00:02 > 02:00:00:00:00:01 vlan 20 192.0.2.10:500 > 198.51.100.9:500 udp length 76"},
	"tcp": {"4500003c 00000000 40060000" + src2dst + "9c4001bb 00000000 00000000 5012",
		"192.0.2.10:40000 > 198.51.100.9:443 tcp [SA] length 60"},
	"tcp cut in the ports": {"4500003c 00000000 40060000" + src2dst + "9c40",
		"192.0.2.10 > 198.51.100.9 tcp length 60"},
	"icmp": {"45000054 00000000 40010000" + src2dst + "0304",
		"192.0.2.10 > 198.51.100.9 icmp type 3 code 4 length 84"},
	"ah": {"45000054 00000000 40330000" + src2dst, "192.0.2.10 > 198.51.100.9 ah length 84"},
	"first fragment": {"450005dc 12342000 40110000" + src2dst + "01f401f4",
		"192.0.2.10:500 > 198.51.100.9:500 udp length 1500 fragment id 4660 offset 0"},
	"later fragment": {"450005dc 123420b9 40110000" + src2dst + "01f401f4",
		"192.0.2.10 > 198.51.100.9 udp length 1500 fragment id 4660 offset 1480"},
	"options": {"46000054 00000000 40010000" + src2dst + "00000000 0800",
		"192.0.2.10 > 198.51.100.9 icmp type 8 code 0 length 84"},
	"options cut": {"4f000054 00000000 40010000" + src2dst + "00000000", "192.0.2.10 > 198.51.100.9 icmp length 84"},
	"arp request": {"ffffffffffff 020000000002 0806 0001 0800 06 04 0001 020000000002 c000020a 000000000000 c0000201",
		"02:00:00:00:00:02 > ff:ff:ff:ff:ff:ff arp who-has 192.0.2.1 tell 192.0.2.10"},
	"arp reply": {"020000000001 020000000002 0806 0001 0800 06 04 0002 020000000002 c000020a 020000000001 c0000201",
		"02:00:00:00:00:02 > 02:00:00:00:00:01 arp reply 192.0.2.10 is-at 02:00:00:00:00:02"},
	"arp cut":    {"ffffffffffff 020000000002 0806 0001", "02:00:00:00:00:02 > ff:ff:ff:ff:ff:ff arp, cut"},
	"ipv6":       {"333300000001 020000000002 86dd 60000000", "02:00:00:00:00:02 > 33:33:00:00:00:01 ethertype 0x86dd"},
	"short":      {"020000", "3 bytes"},
	"nothing":    {"", "empty"},
	"ipv4 cut":   {"45000054 0000", "ipv4, cut after 6 bytes"},
	"MAC is 45…": {"450000000001 020000000002 0806 0001", "02:00:00:00:00:02 > 45:00:00:00:00:01 arp, cut"},
	"MAC is 45… with ipv4": {"450000000001 020000000002 0800 45000054 00000000 40010000" + src2dst + "0800",
		"02:00:00:00:00:02 > 45:00:00:00:00:01 192.0.2.10 > 198.51.100.9 icmp type 8 code 0 length 84"},
	// A source address of 8.0.x.x stands where an Ethernet frame says IPv4;
	// the header's checksum tells.
	"source 8.0.0.1": {"45000054 00000000 4001486c 08000001 c6336409 0800",
		"8.0.0.1 > 198.51.100.9 icmp type 8 code 0 length 84"},
}

func TestADroppedPacketIsDescribedInOneLine(t *testing.T) {
	for name, c := range summaries {
		if got := Summary(unhex(t, c.packet)); got != c.want {
			t.Errorf("%s:\n got  %s\n want %s", name, got, c.want)
		}
	}
}

func FuzzSummary(f *testing.F) {
	for _, c := range summaries {
		f.Add(unhex(f, c.packet))
	}
	f.Fuzz(func(t *testing.T, packet []byte) {
		for cut := range min(len(packet)+1, 80) {
			got := Summary(packet[:cut])
			if got == "" || len(got) > 200 || strings.ContainsAny(got, "\n\x1b") || !utf8.ValidString(got) {
				t.Fatalf("%x: %q", packet[:cut], got)
			}
		}
	})
}
