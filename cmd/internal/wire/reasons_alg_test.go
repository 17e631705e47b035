package wire

import (
	"fmt"

	"gvisor.dev/gvisor/pkg/tcpip/header"

	"spigate/netstack/frame"
)

// Conversations with a VPN gateway.
const (
	firstUp = "client1 phase1 ike2 spi=a1:b1 at=nat:n1\n"
	// asks and answered are one exchange of phase 2.
	asks     = "client1 ike2 auth spi=a1:b1 id=1\n"
	answered = asks + "gateway ike2 auth resp spi=a1:b1 id=1 to=nat:n1\n"
	bothWays = "client1 esp spi=d001 seq=1\ngateway esp spi=c001 seq=1 to=nat\n"
	tunnelUp = firstUp + answered + bothWays
	// secondAsks finds the lock taken.
	secondUp   = firstUp + "client2 phase1 ike2 spi=a2:b2 at=nat:n2\n" + asks
	secondAsks = "client2 ike2 auth spi=a2:b2 id=1"
)

// vpn is a change of the ALG's profile.
func vpn(keys string) []string {
	return []string{"[ipsecalg.profile.vpn]\n", "[ipsecalg.profile.vpn]\n" + keys + "\n"}
}

// ruinsOfALG are those of the IPsec ALG.
func ruinsOfALG() []ruin {
	const profile = "[ipsecalg.profile.vpn]"
	own := "[lsn.static.own]\nprotocol = \"ALL\"\nsubscriber = \"192.0.2.11\"\nnat = \"203.0.113.9\"\n"
	waits65 := "client1 phase1 ike2 spi=a1:b1 at=nat:n1\nfor i 2 66\nclient$i phase1 ike2 spi=a$i:b$i at=nat:n$i\nend\nadvance 1s\n" +
		asks + "for i 2 65\nclient$i ike2 auth spi=a$i:b$i id=1\nend"
	return []ruin{
		{reason: "ah", packet: "client1 ah", line: "",
			remedy: &remedy{what: "the client uses ESP", lead: tunnelUp, packet: "client1 esp spi=d001 seq=2"}},
		{reason: "esp_short", packet: "client1 esp size=7", line: "", none: "it has no SPI"},
		{reason: "esp_bad_spi", lead: tunnelUp, packet: "client1 esp spi=ff", line: profile, none: "no honest host sends it"},
		{reason: "esp_no_nat_address", packet: "client1 esp spi=d001", line: "",
			remedy: &remedy{what: "an address of its own", more: own}},
		{reason: "esp_no_gate_out", edit: vpn("late_binding_out = false"), lead: firstUp + answered + "advance 31s", packet: "client1 esp spi=d001", line: profile,
			remedy: &remedy{what: "late_binding_out", edit: []string{"late_binding_out = false", "late_binding_out = true"}}},
		{reason: "esp_no_gate_in", lead: firstUp + answered + "advance 31s", packet: "gateway esp spi=c001 to=nat", line: "",
			remedy: &remedy{what: "a longer esp_gate_timeout", edit: vpn(`esp_gate_timeout = "120s"`), fresh: true}},
		{reason: "esp_seq", lead: firstUp + answered, packet: "gateway esp spi=7000 seq=1025 to=nat", line: "",
			remedy: &remedy{what: "a higher gate_seq_max", edit: vpn("gate_seq_max = 2048")}},
		{reason: "esp_stale_spi", lead: tunnelUp + "advance 61m", packet: "gateway esp spi=c001 seq=2 to=nat", line: "",
			remedy: &remedy{what: "a longer esp_session_timeout", edit: vpn(`esp_session_timeout = "120m"`), fresh: true}},
		{reason: "esp_hairpin", packet: "client1 esp spi=d001 to=nat", line: "[lsn.group.homes]",
			remedy: &remedy{what: "it is sent to the inside address", packet: "client1 esp spi=d001 to=client2"}},
		{reason: "ike_half_limit", lead: "for i 1 5\nclient1 ike2 init spi=a$i\nend\nadvance 4s", packet: "client1 ike2 init spi=a9", line: profile,
			remedy: &remedy{what: "a shorter ike_half_open_timeout", edit: vpn(`ike_half_open_timeout = "3s"`), fresh: true}},
		{reason: "ike_session_limit", lead: "for i 100 163\nclient1 tunnel ike2 spi=$i:b$i at=nat:n1 in=c$i out=d$i\nend", packet: "client1 ike2 init spi=a9", line: profile,
			none: "so many sessions of one subscriber are a flood"},
		{reason: "ike_hold_overflow", lead: waits65, packet: "client66 ike2 auth spi=a66:b66 id=1", line: profile,
			remedy: &remedy{what: "the peer says it once more when the queue is shorter", do: func(u *ruined) {
				u.play("gateway ike2 auth resp spi=a1:b1 id=1 to=nat:n1\nclient1 esp spi=d001 seq=1\ngateway esp spi=c001 seq=1 to=nat")
			}, fate: "held"}},
		{reason: "ike_hold_expired", lead: secondUp, packet: secondAsks, fate: "held",
			after:  "advance 9s\ngateway ike2 auth resp spi=a1:b1 id=1 to=nat:n1\nadvance 22s",
			remedy: &remedy{what: "the peer says it once more", do: func(u *ruined) { u.play("advance 10s") }}},
		{reason: "ike_blocked", edit: vpn(`block_mode = "DROP"`), lead: secondUp, packet: secondAsks, line: profile,
			remedy: &remedy{what: `block_mode = "HOLD"`, edit: []string{"DROP", "HOLD"}, fate: "held"}},
		{reason: "ike_flushed", lead: secondUp, packet: secondAsks, fate: "held", after: "flush nat=nat", none: "somebody wanted it so"},
		{reason: "alg_table_full", edit: []string{"ike_sessions = 1024", "ike_sessions = 64"},
			lead: "for i 1 32\nclient$i phase1 ike2 spi=$i:b$i at=nat:n$i\nend", packet: "client65 ike2 init spi=a65", line: profile,
			remedy: &remedy{what: "a larger table", edit: []string{"ike_sessions = 64", "ike_sessions = 128"}, fresh: true}},
	}
}

// ftpSegment is client1's next word on its control connection. The words of
// scripts have no blanks.
func ftpSegment(seq uint32, text string) func(u *ruined) (port, vlan string) {
	return func(u *ruined) (string, string) {
		in := newWords("")
		return u.from("client1", packetSpec{
			proto: frame.ProtoTCP, src: frame.Endpoint{Addr: u.addr(in, "client1"), Port: 40000}, dst: frame.Endpoint{Addr: u.addr(in, "gateway"), Port: 21},
			ttl: 64, id: 7, tcpFlags: 0x18, tcpSeq: seq, tcpAck: 1, payload: []byte(text),
		}.bytes())
	}
}

const ftpPort = "PORT 192,0,2,11,156,65\r\n"

// asksForData asks eight times for a connection, and returns the number of the
// last byte that the server saw, plus one.
func asksForData(u *ruined) (seen uint32) {
	for n := range 8 {
		u.quiet()
		u.prepare("", ftpSegment(1+uint32(n*len(ftpPort)), ftpPort))
		u.goes()
		for _, p := range u.ports {
			for _, a := range p.came {
				h := header.TCP(a.packet[20:])
				seen = h.SequenceNumber() + uint32(len(a.packet)-40)
			}
		}
	}
	return seen
}

// ruinsOfHelpers are those of the helper for FTP.
func ruinsOfHelpers() []ruin {
	seen := uint32(0)
	const next = "USER anonymous\r\n"
	return []ruin{
		{reason: "alg_checksum", lead: ftpOpen, make: ftpSegment(1, next), change: spoiled(14+20+20+1, 'o'), line: "[lsn.group.homes]",
			remedy: &remedy{what: "its sender repeats it, undamaged", whole: true}},
		{reason: "ftp_gap", lead: ftpOpen, make: ftpSegment(1+uint32(len(next)), next), fate: "forwarded",
			remedy: &remedy{what: "its sender repeats what is missing, and then this", do: func(u *ruined) {
				u.prepare("", ftpSegment(1, next))
				u.goes()
				u.prepare("", ftpSegment(1+uint32(len(next)), next))
			}}},
		{reason: "ftp_backlog", lead: ftpOpen, before: func(u *ruined) { seen = asksForData(u) }, make: ftpSegment(1+8*uint32(len(ftpPort)), ftpPort), fate: "forwarded",
			remedy: &remedy{what: "the server has acknowledged the others", do: func(u *ruined) {
				u.play(fmt.Sprintf("gateway tcp sport=21 to=nat:n1 flags=10 seq=1 ack=%d", seen))
			}}},
	}
}
