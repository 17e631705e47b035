package wire

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"spigate/configs"
	"spigate/netstack"
	"spigate/netstack/natlog"
)

const withNATLog = `version = 1
[port.lan]
driver = "tap"
device = "lan"
[vlan.inside]
port = "lan"
addresses = ["192.0.2.1/24"]
[lsn.client.C]
networks = ["192.0.2.0/25"]
[lsn.client.D]
networks = ["192.0.2.128/25"]
[lsn.client.E]
networks = ["192.0.3.0/24"]
[lsn.pool.P]
addresses = ["203.0.113.3"]
[lsn.logprofile.short]
log_subscr_info = true
[lsn.group.C]
client = "C"
pools = ["P"]
logging = true
session_logging = true
log_profile = "short"
[lsn.group.D]
client = "D"
pools = ["P"]
logging = true
[lsn.group.E]
client = "E"
pools = ["P"]
[log.nat.target.a]
kind = "syslog"
address = "192.0.2.5:514"
transport = "tcp"
detail = "session"
format = "compact"
framing = "rfc5424"
facility = "local4"
host = "gw1"
queue = 100
message_size = 600
[log.nat.target.b]
kind = "syslog"
address = "192.0.2.6:514"
format = "netscaler"
[log.nat.target.c]
kind = "ipfix"
address = "[2001:db8::5]:4739"
numbering = "junos"
enterprise = 64512
template_interval = "30s"
`

func TestTheNATLogOfAConfiguration(t *testing.T) {
	c, _, err := configs.Parse("f", []byte(withNATLog))
	if err != nil {
		t.Fatal(err)
	}
	var targets []natlog.Target
	for _, tg := range c.Log.NAT {
		targets = append(targets, logTarget(tg))
	}
	want := []natlog.Target{
		{
			Name: "a", Network: "tcp", Address: "192.0.2.5:514", Detail: natlog.SessionDetail, Queue: 100, MessageSize: 600,
			Format: natlog.FormatCompact, Framing: natlog.RFC5424, Facility: 20, Host: "gw1",
			Enterprise: natlog.DocumentationEnterprise, TemplateInterval: natlog.DefaultTemplateInterval,
		},
		{
			Name: "b", Network: "udp", Address: "192.0.2.6:514", Queue: natlog.DefaultQueue, MessageSize: natlog.DefaultMessageSize,
			Format: natlog.FormatNetScaler, Facility: 16,
			Enterprise: natlog.DocumentationEnterprise, TemplateInterval: natlog.DefaultTemplateInterval,
		},
		{
			Name: "c", Protocol: natlog.IPFIX, Network: "udp", Address: "[2001:db8::5]:4739", Queue: natlog.DefaultQueue,
			MessageSize: natlog.DefaultMessageSize, Facility: 16, Numbering: natlog.Junos, Enterprise: 64512, TemplateInterval: 30 * time.Second,
		},
	}
	if diff := cmp.Diff(want, targets); diff != "" {
		t.Errorf("targets (-want +got):\n%s", diff)
	}
	groups := map[string]netstack.LoggedGroup{
		"C": {Sessions: true, Profile: &natlog.Profile{Compact: true, SubscriberInfo: true, SessionDeletion: true}},
		"D": {},
	}
	if diff := cmp.Diff(groups, natLog(c, 0).Groups); diff != "" {
		t.Errorf("groups (-want +got):\n%s", diff)
	}
	if got := natLog(c, 1).Groups; len(got) != 0 {
		t.Errorf("another traffic domain logs %v", got)
	}
	if l, err := newNATLog(c, silent); err != nil || len(l.Stats()) != 3 {
		t.Errorf("the log: %v", err)
	}
	if l, err := newNATLog(&configs.Config{}, silent); err != nil || l != nil {
		t.Errorf("without targets there is %v, %v", l, err)
	}
}

func TestOtherLogTargetsNeedARestartAndOtherLogProfilesNone(t *testing.T) {
	was, _, err := configs.Parse("f", []byte(withNATLog))
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range []struct{ from, to, names string }{
		{"192.0.2.6:514", "192.0.2.7:514", "log"},
		{"log_subscr_info = true", "log_subscr_info = false", ""},
		{"192.0.2.6:514", "192.0.2.6:514", ""},
	} {
		is, _, err := configs.Parse("f", []byte(strings.Replace(withNATLog, change.from, change.to, 1)))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(fixedChanges(was, is), " "); got != change.names {
			t.Errorf("%s becomes %s: fixed tables %q, want %q", change.from, change.to, got, change.names)
		}
	}
}
