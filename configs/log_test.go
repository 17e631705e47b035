package configs

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestTheNATLogIsReadWhole(t *testing.T) {
	text := strings.Replace(sound, "[lsn.group.G]", "[lsn.group.G]\nlogging = true\nsession_logging = true\nlog_profile = \"LP\"", 1) + `
[lsn.logprofile.LP]
log_compact = false
log_subscr_info = true
log_ipfix = true
log_sess_deletion = false
[log.nat.target.a]
kind = "syslog"
address = "192.0.2.5:514"
transport = "TCP"
detail = "session"
format = "compact"
framing = "rfc5424"
facility = "local4"
host = "gw1"
queue = 100
message_size = 600
[log.nat.target.b]
kind = "ipfix"
address = "[2001:db8::5]:4739"
numbering = "junos"
enterprise = 64512
template_interval = "30s"
`
	c, messages := parse(text)
	if c == nil || len(messages) > 0 {
		t.Fatal(strings.Join(messages, "\n"))
	}
	want := []*LogTarget{
		{
			Name: "a", Kind: LogSyslog, Address: netip.MustParseAddrPort("192.0.2.5:514"), Transport: LogTCP, Detail: LogSessions,
			Queue: 100, MessageSize: 600, Format: LogFormatCompact, Framing: LogRFC5424, Facility: 20, Host: "gw1",
			Enterprise: 32473, TemplateInterval: 10 * time.Minute,
		},
		{
			Name: "b", Kind: LogIPFIX, Address: netip.MustParseAddrPort("[2001:db8::5]:4739"), Queue: 8192, MessageSize: 1400,
			Facility: 16, Numbering: LogNumberingJunos, Enterprise: 64512, TemplateInterval: 30 * time.Second,
		},
	}
	if diff := cmp.Diff(want, c.Log.NAT, sameConfig()); diff != "" {
		t.Errorf("targets (-want +got):\n%s", diff)
	}
	g := c.LSN.Groups[0]
	if !g.Logging || !g.SessionLogging {
		t.Errorf("the group has logging %t and session logging %t", g.Logging, g.SessionLogging)
	}
	if diff := cmp.Diff(&LogProfile{Name: "LP", SubscriberInfo: true, IPFIX: true}, g.LogProfile); diff != "" {
		t.Errorf("log profile (-want +got):\n%s", diff)
	}
}

func TestFaultsOfTheNATLog(t *testing.T) {
	logging := func(keys string) string { return strings.Replace(sound, "[lsn.group.G]", "[lsn.group.G]\n"+keys, 1) }
	target := func(keys string) string { return sound + "\n[log.nat.target.a]\n" + keys }
	const good = "kind = \"syslog\"\naddress = \"192.0.2.5:514\"\n"
	for _, c := range []struct{ name, text, want string }{
		{"no kind", target(`address = "192.0.2.5:514"`), "log.nat.target.a.kind: is missing"},
		{"no address", target(`kind = "ipfix"`), "log.nat.target.a.address: is missing"},
		{"another kind with keys of one", target("kind = \"ipfx\"\naddress = \"192.0.2.5:514\"\nnumbering = \"junos\""), `"ipfx" is not one of syslog, ipfix; did you mean "ipfix"?`},
		{"another kind", target("kind = \"snmp\"\naddress = \"192.0.2.5:514\""), `"snmp" is not one of syslog, ipfix`},
		{"a name", target("kind = \"syslog\"\naddress = \"log.example:514\""), `"log.example:514" is not an address with a port`},
		{"no port", target("kind = \"syslog\"\naddress = \"192.0.2.5\""), `"192.0.2.5" is not an address with a port`},
		{"nobody's address", target("kind = \"syslog\"\naddress = \"0.0.0.0:514\""), "not the address and port of one host"},
		{"port 0", target("kind = \"syslog\"\naddress = \"192.0.2.5:0\""), "not the address and port of one host"},
		{"SCTP", target(good + `transport = "sctp"`), `"sctp" is not one of udp, tcp`},
		{"a key of the other kind", target(good + `numbering = "junos"`), `log.nat.target.a.numbering: only a target of kind "ipfix" has it, not "syslog"`},
		{"and the other way round", target("kind = \"ipfix\"\naddress = \"192.0.2.5:4739\"\nformat = \"compact\""), `format: only a target of kind "syslog" has it, not "ipfix"`},
		{"a host with a space", target(good + `host = "gw 1"`), `"gw 1" is no host name`},
		{"a small message", target(good + "message_size = 100"), "must be from 512 to 65507, not 100"},
		{"a facility that is not ours to use", target(good + `facility = "kern"`), `"kern" is not one of local0`},
		{"a mistyped key", target(good + `transprot = "udp"`), `unknown key; did you mean "transport"?`},
		{"templates over TCP", target("kind = \"ipfix\"\naddress = \"192.0.2.5:4739\"\ntransport = \"tcp\"\ntemplate_interval = \"1m\""), "has no effect over tcp"},
		{"sixteen and one", sound + manyTargets(17), "17 targets: at most 16"},
		{"no such log profile", logging(`log_profile = "X"`), "log_profile: there is no [lsn.logprofile.X]"},
		{"session_logging alone", logging("session_logging = true"), "session_logging: warning: has no effect without logging = true"},
		{"log_profile alone", logging(`log_profile = "L"`) + "\n[lsn.logprofile.L]", "log_profile: warning: has no effect without logging = true"},
		{
			"a profile without IPFIX and nothing else", logging("logging = true\nlog_profile = \"L\"") + "\n[lsn.logprofile.L]\n[log.nat.target.a]\nkind = \"ipfix\"\naddress = \"192.0.2.5:4739\"",
			`G.logging: warning: has no effect: [lsn.logprofile.L] has log_ipfix = false, and every [log.nat.target.NAME] is of kind "ipfix"`,
		},
		{
			"a collector of IPFIX that nobody feeds", logging("logging = true\nlog_profile = \"L\"") + "\n[lsn.logprofile.L]\n[log.nat.target.s]\n" + good +
				"\n[log.nat.target.a]\nkind = \"ipfix\"\naddress = \"192.0.2.5:4739\"",
			"log.nat.target.a.kind: warning: gets no records: the log profile of every group that logs has log_ipfix = false",
		},
		{"nobody to tell", logging("logging = true"), "G.logging: warning: has no effect: there is no [log.nat.target.NAME]"},
		{
			"nobody to tell of sessions", logging("logging = true\nsession_logging = true") + "\n[log.nat.target.a]\n" + good,
			`session_logging: warning: has no effect: no [log.nat.target.NAME] has detail = "session"`,
		},
	} {
		if _, messages := parse(c.text); len(messages) != 1 || !strings.Contains(messages[0], c.want) {
			t.Errorf("%s: %q, want one message with %q", c.name, messages, c.want)
		}
	}
}

func manyTargets(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("\n[log.nat.target.t" + string('a'+rune(i)) + "]\nkind = \"syslog\"\naddress = \"192.0.2.5:514\"\n")
	}
	return b.String()
}
