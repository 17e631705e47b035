package configs

import (
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
)

// Syslog is [log.syslog]: a collector of the daemon's own log (RFC 5424).
type Syslog struct {
	Network  string // udp, tcp or unixgram
	Address  string // ADDRESS:PORT, or a path
	Facility uint8
	App      string
	Host     string // "": the system's name
}

// LogText is how lines on stderr look.
type LogText uint8

// The forms.
const (
	LogPlain LogText = iota
	LogJSON
)

func logTextWords() []word[LogText] {
	return []word[LogText]{{LogPlain, "text", nil}, {LogJSON, "json", nil}}
}

// String returns the word of the file.
func (t LogText) String() string { return spell(logTextWords(), t) }

// ParseLogText reads the word.
func ParseLogText(text string) (LogText, bool) { return lookup(logTextWords(), text) }

func logLevelWords() []word[slog.Level] {
	return []word[slog.Level]{{slog.LevelDebug, "debug", nil}, {slog.LevelInfo, "info", nil}, {slog.LevelWarn, "warn", []string{"warning"}}, {slog.LevelError, "error", nil}}
}

// ParseLogLevel reads the word of a level.
func ParseLogLevel(text string) (slog.Level, bool) { return lookup(logLevelWords(), text) }

// ownFacilityWords are syslog's facilities that fit a daemon.
func ownFacilityWords() []word[uint8] {
	return append([]word[uint8]{{3, "daemon", nil}, {10, "authpriv", nil}}, facilityWords()...)
}

// maxAppName is RFC 5424's.
const maxAppName = 48

// ownLog reads how the daemon itself logs.
func (t *table) ownLog(out *Log) {
	out.Format = choose(t, "format", LogPlain, logTextWords())
	out.Level = choose(t, "level", slog.LevelInfo, logLevelWords())
	if !t.has("syslog") {
		t.known = append(t.known, "syslog")
		return
	}
	s := t.sub("syslog")
	out.Syslog = &Syslog{
		Facility: choose(s, "facility", 3, ownFacilityWords()),
		App:      s.syslogWord("app_name", "spigate", maxAppName),
		Host:     s.syslogWord("host", "", 255),
	}
	out.Syslog.Network, out.Syslog.Address = s.syslogTarget("target")
	s.done()
}

// syslogWord takes a field of a message's header.
func (t *table) syslogWord(key, otherwise string, most int) string {
	text := t.text(key, otherwise)
	if strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c > '~' }) || len(text) > most {
		t.fault(t.at(key), "%q: want up to %d printable ASCII characters without spaces", text, most)
		return otherwise
	}
	return text
}

// syslogTarget takes udp://ADDRESS:PORT, tcp://ADDRESS:PORT or unix:///PATH.
// Names are not taken: the log must not wait for a name server.
func (t *table) syslogTarget(key string) (network, address string) {
	text := t.need(key)
	if text == "" {
		return "", ""
	}
	scheme, rest, _ := strings.Cut(text, "://")
	switch a, err := netip.ParseAddrPort(rest); {
	case scheme == "unix" && filepath.IsAbs(rest):
		return "unixgram", rest
	case (scheme == "udp" || scheme == "tcp") && err == nil && a.Port() != 0 && !a.Addr().IsUnspecified() && !a.Addr().IsMulticast():
		return scheme, rest
	}
	t.fault(t.at(key), `%q is no target: want "udp://192.0.2.5:514", "tcp://[2001:db8::5]:601" or "unix:///dev/log", with an address and not a name`, text)
	return "", ""
}
