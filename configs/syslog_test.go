package configs

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTheDaemonsOwnLogIsRead(t *testing.T) {
	c, messages := parse(sound + `
[log]
format = "json"
level = "debug"
[log.syslog]
target = "tcp://[2001:db8::5]:601"
facility = "local3"
app_name = "gw"
host = "gw1.example"
`)
	if c == nil || len(messages) > 0 {
		t.Fatal(strings.Join(messages, "\n"))
	}
	want := &Syslog{Network: "tcp", Address: "[2001:db8::5]:601", Facility: 19, App: "gw", Host: "gw1.example"}
	if diff := cmp.Diff(want, c.Log.Syslog); diff != "" || c.Log.Format != LogJSON || c.Log.Level != slog.LevelDebug {
		t.Errorf("format %s, level %s (-want +got):\n%s", c.Log.Format, c.Log.Level, diff)
	}
	if c, _ := parse(sound); c.Log.Syslog != nil || c.Log.Format != LogPlain || c.Log.Level != slog.LevelInfo {
		t.Errorf("without the table it is %+v", c.Log)
	}
	for target, want := range map[string]string{"unix:///dev/log": "unixgram /dev/log", "udp://192.0.2.5:514": "udp 192.0.2.5:514"} {
		c, messages := parse(sound + "\n[log.syslog]\ntarget = \"" + target + "\"\n")
		if c == nil {
			t.Fatal(messages)
		}
		if got := c.Log.Syslog.Network + " " + c.Log.Syslog.Address; got != want {
			t.Errorf("%s is %s", target, got)
		}
	}
}

func TestFaultsOfTheDaemonsOwnLogAreTold(t *testing.T) {
	for text, want := range map[string]string{
		"[log]\nformat = \"xml\"":                                                                 `"xml" is not one of text, json`,
		"[log]\nlevel = \"inf\"":                                                                  `did you mean "info"?`,
		"[log]\nsyslogg = 1":                                                                      `did you mean "syslog"?`,
		"[log.syslog]":                                                                            "target",
		"[log.syslog]\ntarget = \"x\"":                                                            `want "udp://192.0.2.5:514"`,
		"[log.syslog]\ntarget = \"udp://collector:514\"":                                          "an address and not a name",
		"[log.syslog]\ntarget = \"udp://0.0.0.0:514\"":                                            "is no target",
		"[log.syslog]\ntarget = \"unix://dev/log\"":                                               "is no target",
		"[log.syslog]\ntarget = \"unix:///dev/log\"\napp_name = \"a b\"":                          "printable ASCII",
		"[log.syslog]\ntarget = \"unix:///dev/log\"\nfacility = \"kern\"":                         `"kern" is not one of`,
		"[log.syslog]\ntarget = \"unix:///dev/log\"\nfacilty = \"daemon\"":                        `did you mean "facility"?`,
		"[log.syslog]\ntarget = \"unix:///dev/log\"\nhost = \"" + strings.Repeat("h", 256) + "\"": "up to 255",
	} {
		if c, messages := parse(sound + "\n" + text + "\n"); c != nil || len(messages) != 1 || !strings.Contains(messages[0], want) {
			t.Errorf("%s: %q, want one fault with %q", text, messages, want)
		}
	}
}
