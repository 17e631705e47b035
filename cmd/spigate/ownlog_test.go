package main

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"

	"spigate/configs"
)

func TestTheCommandLineWinsOverTheConfigurationOfTheLog(t *testing.T) {
	for _, c := range []struct {
		flags logFlags
		log   configs.Log
		want  string
	}{
		{logFlags{}, configs.Log{}, "level=INFO msg=x\n"},
		{logFlags{}, configs.Log{Format: configs.LogJSON}, `"level":"INFO","msg":"x"}` + "\n"},
		{logFlags{format: "text"}, configs.Log{Format: configs.LogJSON}, "level=INFO msg=x\n"},
		{logFlags{format: "json"}, configs.Log{}, `"msg":"x"}` + "\n"},
		{logFlags{level: "warn"}, configs.Log{Level: slog.LevelDebug}, ""},
		{logFlags{}, configs.Log{Level: slog.LevelWarn}, ""},
	} {
		var out bytes.Buffer
		l, err := newOwnLog(&out, c.flags)
		if err != nil {
			t.Fatal(err)
		}
		l.use(&c.log)()
		l.logger().Info("x")
		if got := out.String(); !strings.HasSuffix(got, c.want) || c.want == "" && got != "" {
			t.Errorf("%+v and %+v: %q", c.flags, c.log, got)
		}
	}
	for _, words := range []string{"run --config x --log-format xml", "run --config x --log-level loud"} {
		if code, _, stderr := spigate(t, strings.Fields(words)...); code != exitUsage || !strings.Contains(stderr, "want ") {
			t.Errorf("%s: exit %d, %s", words, code, stderr)
		}
	}
}

func TestTheDaemonsLogReachesACollectorAlsoAtTheEnd(t *testing.T) {
	collector, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer collector.Close()
	var out bytes.Buffer
	l, err := newOwnLog(&out, logFlags{})
	if err != nil {
		t.Fatal(err)
	}
	log := l.logger() // handed out before the configuration is read
	stop := l.use(&configs.Log{Syslog: &configs.Syslog{Network: "udp", Address: collector.LocalAddr().String(), Facility: 3, App: "gw", Host: "h"}})
	log.Info("ended", "config", "c.toml")
	stop()
	b := make([]byte, 2048)
	n, _, err := collector.ReadFrom(b)
	if got := string(b[:n]); err != nil || !strings.HasPrefix(got, "<30>1 ") || !strings.HasSuffix(got, ` - [spigate@32473 config="c.toml"] ended`) {
		t.Errorf("it is %q, %v", got, err)
	}
	if m := l.meter(); m.Sent != 1 || m.Lost != 0 {
		t.Errorf("%+v", m)
	}
}

func TestALostCollectorIsToldOnceAndSoIsItsReturn(t *testing.T) {
	var out bytes.Buffer
	told := changes(slog.New(slog.NewTextHandler(&out, nil)))
	for _, err := range []error{nil, errors.New("refused"), errors.New("refused"), nil, nil} {
		told(err)
	}
	if got := out.String(); strings.Count(got, "\n") != 2 || !strings.Contains(got, "reason=refused") || !strings.Contains(got, "is back") {
		t.Errorf("it is %q", got)
	}
}
