package wire

import (
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

// runnerConfig is the configuration of most scenarios.
const runnerConfig = `version = 1
limits = { flows = 1024, lsn_sessions = 4096, ike_sessions = 1024, esp_sessions = 1024 }
port.lan = { driver = "tap", device = "lan" }
port.wan = { driver = "tap", device = "wan" }
vlan.inside = { port = "lan", addresses = ["192.0.2.1/24"] }
vlan.outside = { port = "wan", addresses = ["203.0.113.1/24"] }
route."0.0.0.0/0" = { via = "203.0.113.254" }
lsn.client.homes = { networks = ["192.0.2.0/24"] }
lsn.pool.public = { addresses = ["203.0.113.3"] }
lsn.appsprofile.ike = { protocol = "UDP", ip_pooling = "PAIRED", ports = ["500", "4500"] }
ipsecalg.profile.vpn = {}
lsn.group.homes = { client = "homes", pools = ["public"], apps_profiles = ["ike"], ipsecalg_profile = "vpn" }
`

// up is a tunnel of client1, on lines of its own.
const up = "client1 tunnel ike2 spi=a1:b1 at=nat:n1 in=c001 out=d001\n"

// runnerMistakes are scripts that must fail, with what the error must say. A
// runner that lets one of them pass proves nothing by letting others pass.
var runnerMistakes = map[string]struct{ script, want string }{
	"a packet that nobody expected":      {"client1 ike2 init spi=a1\n", "x.txtar:16: client1 ike2 init spi=a1\n\tunexpected on wan: 203.0.113.3:"},
	"the same before the next action":    {"client1 ike2 init spi=a1\nadvance 1s\n", "x.txtar:17: advance 1s\n\tbefore this line: unexpected on wan"},
	"a drop that nobody mentioned":       {"client1 ah\n", "dropped without being mentioned: ah +1"},
	"another reason":                     {"client1 ah -> drop esp_no_gate_out\n", "dropped: ah +1"},
	"fewer drops than claimed":           {"client1 ah\ndrops ah +2\n", "dropped: ah +1"},
	"a drop beside the claimed one":      {"client1 ah\ngateway esp spi=c001\ndrops ah +1\n", "before this line: dropped without being mentioned: ah +1"},
	"the wrong client":                   {up + "gateway esp spi=c001 seq=2 -> client2\n", "nothing came on lan|want: 203.0.113.254 > 192.0.2.12"},
	"the wrong NAT port":                 {up + "client2 phase1 ike2 spi=a2:b2 at=nat:n1\n", "came: 203.0.113.3:"},
	"another message than was sent":      {"client1 ike2 init spi=a1\nexpect wan ike2 init spi=a2 from=nat:n1\n", "init spi=a1:0 id=0"},
	"one byte that differs":              {"client1 udp text=ab\nexpect wan udp text=ac from=nat:n1\n", "byte 29 is 62, not 63"},
	"something where nothing should be":  {"client1 ike2 init spi=a1 -> nothing\n", "unexpected on wan"},
	"nothing where something should be":  {"client1 ah -> nat\n", "nothing came on wan; dropped: ah +1"},
	"held where nothing is held":         {"client1 ike2 init spi=a1 -> held\n", "nothing is held"},
	"a counter that was not listed":      {up + "counters total=1 active=1 rx=1 tx=1 ike=1\n", "counters total=1 active=1 rx=1 tx=1 ike=1 esp=1"},
	"a counter that does not exist":      {up + "counters totals=1\n", "counters total=1"},
	"no counters at the end":             {up, `ends without a line "counters"`},
	"a session that is not there":        {up + "session client2 established in=c001 out=d001\n", "192.0.2.11 203.0.113.3 203.0.113.254 c001 d001 established"},
	"too many sessions":                  {up + "sessions 0\n", "there are 1"},
	"an IKE session in another state":    {up + "ike client1 half spi=a1:b1\n", "up spi=a1:b1"},
	"a waiter that was not named":        {"client1 phase1 ike2 spi=a1:b1 at=nat:n1\nclient1 ike2 auth spi=a1:b1 id=1 -> nat:n1\nclient1 ike2 child spi=a1:b1 id=2 -> held\ngate nat gateway provisional holder=client1\n", "waits=192.0.2.11"},
	"a gate where there is none":         {"client1 phase1 ike2 spi=a1:b1 at=nat:n1\ngate nat gateway confirmed\n", "gates: []"},
	"a mapping that is another one":      {up + "mapping client1:500 gateway:500 nat:1\n", "it is mapped to 203.0.113.3:"},
	"a log line that is not there":       {up + "log GATE_TIMEOUT\n", "not in the log"},
	"a log line before the last one":     {up + "log ESP_CREATED\nlog IKE_CREATED\n", "not in the log"},
	"a log line that should not be":      {up + "nolog ESP_CREATED src=client1\n", "in the log: ESP_CREATED src=192.0.2.11"},
	"the slow way":                       {up + "fast yes\n", "it did: no"},
	"a word that means nothing":          {"client1 esp spi=d001 speed=9\n", `"speed=" means nothing here`},
	"a verb that means nothing":          {"clients esp spi=d001\n", `no host is called "clients"`},
	"a packet that does not exist":       {"client1 gre\n", `no packet is called "gre"`},
	"an IKEv1 message in IKEv2":          {"client1 ike2 qm1 spi=a1\n", `IKEv2 has no message called "qm1"`},
	"a port that is not known yet":       {"gateway ike2 init spi=a1 to=nat:n1 -> client1\n", `the port "n1" is not known yet`},
	"a quote of a packet without a name": {"gateway icmp too-big quote=x.inside\n", "want quote=NAME.inside"},
	"a server that is not there":         {"virtual web in=1\n", "there is none of this name"},
	"a NAT that is not there":            {"nat web in=1\n", "there is none of this name"},
	"connections that are not there":     {"connections 1\n", "0 connections"},
	"a VLAN that nobody missed":          {"missed virtual web in=inside listens=outside\n", "missed were:"},
	"a mistake inside a loop":            {"for i 1 3\nclient1 esp spi=d00$i -> nat\nend\n", "x.txtar:17: client1 esp spi=d001 -> nat"},
}

func TestTheRunnerFindsMistakes(t *testing.T) {
	for name, c := range runnerMistakes {
		t.Run(name, func(t *testing.T) {
			err := play("x.txtar", runnerArchive(c.script))
			if err == nil {
				t.Fatal("nothing was found")
			}
			for _, want := range strings.Split(c.want, "|") {
				if strings.Contains(err.Error(), want) {
					return
				}
			}
			t.Errorf("the error does not say %q:\n%v", c.want, err)
		})
	}
}

func runnerArchive(script string) *txtar.Archive {
	return &txtar.Archive{Comment: []byte("# A test.\n"), Files: []txtar.File{
		{Name: "config.toml", Data: []byte(runnerConfig)}, {Name: "script", Data: []byte(script)},
	}}
}

func TestTheRunnerLetsASoundScriptPass(t *testing.T) {
	a := runnerArchive("counters\n")
	if err := play("x.txtar", a); err != nil {
		t.Error(err)
	}
	a.Files = append(a.Files, txtar.File{Name: "log", Data: []byte("IKE_UP\n")})
	if err := play("x.txtar", a); err == nil {
		t.Error("another log is not found")
	}
	a.Files[2].Name = "warnings"
	if err := play("x.txtar", a); err == nil {
		t.Error("a warning that does not come is not found")
	}
	a.Files[2].Name = "notes"
	if err := play("x.txtar", a); err == nil {
		t.Error("a section without a meaning is not found")
	}
	a.Files = a.Files[:2]
	a.Comment = nil
	if err := play("x.txtar", a); err == nil {
		t.Error("a missing header is not found")
	}
}
