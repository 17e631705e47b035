package wire

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip/header"

	"spigate/cmd/internal/control"
	"spigate/configs"
	"spigate/netstack/frame"
	"spigate/netstack/link"
)

// ruin is how a packet comes to die for one reason, what explain says of it
// before, and what helps. Lines are of the scenarios' language.
type ruin struct {
	reason string
	base   string   // the configuration; "": homesBase
	edit   []string // what is replaced in it, in pairs
	more   string   // what stands below it
	wrap   func(near *link.Memory) link.Driver

	alter func(*configs.Config) // what no text can say

	lead   string // lines that lead up to it; what comes out and dies meanwhile is nobody's concern
	before func(*ruined)
	packet string                            // the words of the packet, or
	make   func(*ruined) (port, vlan string) // makes it
	change func(ethernet []byte) []byte      // what is done to its frame
	send   func(*ruined)                     // how it is sent, if not once
	after  string                            // lines until it dies
	also   bool                              // other reasons may be counted, too

	fate    string // what explain expects instead of its death: it knows what would happen now
	refuses string // or why it cannot say
	line    string // the table of the configuration that decided, the last one

	none   string // why nothing helps, or
	remedy *remedy
}

// remedy is what makes a packet pass: a change of the configuration, of what
// leads up to it, or of the packet.
type remedy struct {
	what   string // in words
	edit   []string
	more   string
	fresh  bool // the router is started with it: else it is a reload, or nothing
	lead   string
	do     func(*ruined)
	packet string // instead of the very packet
	make   func(*ruined) (port, vlan string)
	whole  bool   // the packet without its change
	fate   string // "": forwarded
}

// ruined is a router on which one packet is to die.
type ruined struct {
	*world
	t     *testing.T
	row   *ruin
	text  string // of its configuration
	views *views

	ethernet []byte // the packet
	on       *port  // where it comes in
	vlan     string // that explain is asked with
}

// homesBase has subscribers of an LSN group with the IPsec ALG, and an office
// that no server admits yet.
const homesBase = `version = 1
limits = { flows = 1024, lsn_sessions = 4096, ike_sessions = 1024, esp_sessions = 1024 }
[port.lan]
driver = "tap"
device = "lan"
[port.wan]
driver = "tap"
device = "wan"
[vlan.inside]
port = "lan"
addresses = ["192.0.2.1/24", "10.2.1.254/24"]
[vlan.outside]
port = "wan"
addresses = ["203.0.113.1/24"]
[route."0.0.0.0/0"]
via = "203.0.113.254"
[lsn.client.homes]
networks = ["192.0.2.0/24"]
[lsn.pool.public]
addresses = ["203.0.113.3"]
[lsn.appsprofile.ike]
protocol = "UDP"
ip_pooling = "PAIRED"
ports = ["500", "4500"]
[ipsecalg.profile.vpn]
[lsn.group.homes]
client = "homes"
pools = ["public"]
apps_profiles = ["ike"]
ipsecalg_profile = "vpn"
`

// sitesBase has a virtual server in front of a tunnel with manual keys.
const sitesBase = `version = 1
[port.lan]
driver = "tap"
device = "lan"
[port.wan]
driver = "tap"
device = "wan"
[vlan.inside]
port = "lan"
addresses = ["10.2.1.254/24"]
[vlan.outside]
port = "wan"
addresses = ["203.0.113.1/24"]
[route."0.0.0.0/0"]
via = "203.0.113.254"
[ltm.virtual.out]
destination = "10.1.1.0/24:any"
ip_forward = true
require_protection = true
[ltm.virtual.in]
destination = "10.2.1.0/24:any"
ip_forward = true
[net.ipsec.policy.Rio]
mode = "tunnel"
tunnel_local_address = "203.0.113.1"
tunnel_remote_address = "203.0.113.254"
[net.ipsec.selector.to-rio]
source_address = "10.2.1.0/24"
destination_address = "10.1.1.0/25"
policy = "Rio"
[net.ipsec.manual_sa.out]
policy = "Rio"
source_address = "203.0.113.1"
destination_address = "203.0.113.254"
spi = 0xc0ffee01
encrypt_algorithm = "null"
auth_algorithm = "sha256"
auth_key = "0x0707070707070707070707070707070707070707070707070707070707070707"
[net.ipsec.manual_sa.in]
policy = "Rio"
source_address = "203.0.113.254"
destination_address = "203.0.113.1"
spi = 0xc0ffee02
encrypt_algorithm = "null"
auth_algorithm = "sha256"
auth_key = "0x0707070707070707070707070707070707070707070707070707070707070707"
`

// hosts are in every row's world beside the standard ones.
const ruinHosts = "host office lan 10.2.1.1\nhost office2 lan 10.2.1.2\nhost far wan 10.1.1.1 via gateway\nhost far2 wan 10.1.1.200 via gateway\n"

func (r *ruin) text() string {
	base := r.base
	if base == "" {
		base = homesBase
	}
	return edited(base, r.edit, r.more)
}

// edited replaces pairs in a text, each of which must be there, and adds more.
func edited(text string, pairs []string, more string) string {
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			panic("not in the configuration: " + pairs[i])
		}
		text = strings.Replace(text, pairs[i], pairs[i+1], 1)
	}
	return text + more
}

func newRuined(t *testing.T, row *ruin, text string, cured bool) *ruined {
	t.Helper()
	c, _, err := configs.Parse("example.toml", []byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if row.alter != nil && !cured {
		row.alter(c)
	}
	w, err := newWrappedWorld(c, row.wrap)
	if err != nil {
		t.Fatal(err)
	}
	u := &ruined{world: w, t: t, row: row, text: text, views: newViews(c)}
	u.views.start(w.chassis)
	t.Cleanup(func() {
		if err := w.close(); err != nil {
			t.Error(err)
		}
	})
	u.play(ruinHosts)
	for _, name := range []string{"client1", "client2", "gateway", "gateway2", "transit", "stranger"} {
		if h, err := u.host(name); err != nil && row.base == "" || h == nil && row.base == "" {
			t.Fatal(err)
		}
	}
	return u
}

// reload gives the router another configuration while it runs, as SIGHUP does.
func (u *ruined) reload(text string) {
	u.t.Helper()
	c, _, err := configs.Parse("example.toml", []byte(text))
	if err == nil {
		err = (&Daemon{views: u.views, chassis: u.chassis}).Reload(c)
	}
	if err != nil {
		u.t.Fatal(err)
	}
	u.config, u.text = c, text
	u.collect()
}

// play plays lines and forgets what came of them.
func (u *ruined) play(script string) {
	u.t.Helper()
	var lines []line
	for i, text := range strings.Split(script, "\n") {
		lines = append(lines, line{"lead", i + 1, strings.TrimSpace(text)})
	}
	lines, err := expand(lines)
	if err != nil {
		u.t.Fatal(err)
	}
	for _, l := range lines {
		u.quiet()
		if err := u.do(l); err != nil {
			u.t.Fatal(l.errorf("%w", err))
		}
	}
}

// quiet forgets what came out and what died.
func (u *ruined) quiet() {
	for _, p := range u.ports {
		p.came = nil
	}
	u.stated = u.allDrops()
}

// prepare makes the packet.
func (u *ruined) prepare(words string, make func(*ruined) (port, vlan string)) {
	u.t.Helper()
	if make != nil {
		name, vlan := make(u)
		p, err := u.port(name)
		if err != nil {
			u.t.Fatal(err)
		}
		u.on, u.vlan = p, vlan
		return
	}
	name, rest, _ := strings.Cut(words, " ")
	h, err := u.host(name)
	if err != nil {
		u.t.Fatal(err)
	}
	in := newWords(rest)
	s, err := u.spoken(h, in)
	if err != nil {
		u.t.Fatalf("%s: %v", words, err)
	}
	u.on, u.vlan = h.port, map[string]string{"lan": "inside", "wan": "outside"}[h.port.name]
	u.ethernet = u.framed(h, s.bytes())
}

// framed puts a packet into a frame from h to the router.
func (u *ruined) framed(h *host, packet []byte) []byte {
	mac, to := h.mac(), u.cables[h.port.cable].near.MAC()
	b := append(append(append([]byte{}, to[:]...), mac[:]...), 8, 0)
	return append(b, packet...)
}

// from is a frame of a host with any packet.
func (u *ruined) from(name string, packet []byte) (port, vlan string) {
	u.t.Helper()
	h, err := u.host(name)
	if err != nil {
		u.t.Fatal(err)
	}
	u.ethernet = u.framed(h, packet)
	return h.port.name, map[string]string{"lan": "inside", "wan": "outside"}[h.port.name]
}

// explain asks about the packet as an operator would, in hex.
func (u *ruined) explain() (control.Explained, error) {
	u.t.Helper()
	var f control.Filter
	for _, q := range [][2]string{{control.ByIn, u.vlan}, {control.ByHex, fmt.Sprintf("%x", u.ethernet)}} {
		if err := f.Set(q[0], q[1]); err != nil {
			u.t.Fatal(err)
		}
	}
	return u.views.Explain(f)
}

// goes sends the packet.
func (u *ruined) goes() {
	u.input0(u.ethernet)
	u.collect()
}

// input0 gives the router a frame as it is on the wire, tags in place.
func (u *ruined) input0(ethernet []byte) {
	u.chassis.Port(u.on.cable).Input([]frame.Frame{frame.Copy(ethernet, 0)})
}

// came counts the packets that the router has sent.
func (u *ruined) came() (n int) {
	for _, p := range u.ports {
		n += len(p.came)
	}
	return n
}

// rawIP is a packet of any protocol, with its header's checksum.
func rawIP(src, dst frame.Addr, proto uint8, body []byte) []byte {
	return packetSpec{proto: proto, src: frame.Endpoint{Addr: src}, dst: frame.Endpoint{Addr: dst}, ttl: 64, id: 7, payload: body}.bytes()
}

// resummed puts an IPv4 header's checksum right, in a frame without a tag.
func resummed(ethernet []byte) []byte {
	h := header.IPv4(ethernet[frame.HeaderLen:])
	h.SetChecksum(0)
	h.SetChecksum(^h.CalculateChecksum())
	return ethernet
}

// withOption puts IP options behind the header.
func withOption(options ...byte) func([]byte) []byte {
	return func(b []byte) []byte {
		at := frame.HeaderLen + header.IPv4MinimumSize
		out := append(append(append([]byte{}, b[:at]...), options...), b[at:]...)
		out[frame.HeaderLen] += byte(len(options) / 4)
		binary.BigEndian.PutUint16(out[frame.HeaderLen+2:], uint16(len(out)-frame.HeaderLen))
		return resummed(out)
	}
}

// tagged puts 802.1Q tags in front of a frame's type, the outermost first.
func tagged(ids ...uint16) func([]byte) []byte {
	return func(b []byte) []byte {
		out := append([]byte{}, b[:12]...)
		for _, id := range ids {
			out = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(out, frame.TypeVLAN), id)
		}
		return append(out, b[12:]...)
	}
}

// spoiled changes one byte.
func spoiled(at int, to byte) func([]byte) []byte {
	return func(b []byte) []byte {
		b[at] = to
		return b
	}
}

// fateWord is how an explanation ends: a reason, or an end.
func fateWord(f *control.ExplainFate) string {
	if f.Reason != nil {
		return *f.Reason
	}
	return f.End
}
