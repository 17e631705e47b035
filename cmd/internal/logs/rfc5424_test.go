package logs

import (
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// rfc5424 is the grammar of RFC 5424 section 6 for what we send.
var rfc5424 = regexp.MustCompile(`^<(\d{1,3})>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z) ([!-~]{1,255}) ([!-~]{1,48}) ([!-~]{1,128}) - ` +
	`(-|\[spigate@32473(?: [!#-<>-\\^-~]{1,32}="(?:[^"\\\]\x00-\x1f]|\\["\\\]])*")+\])(?: (?s:(.*)))$`)

var gw = header{facility: 3, host: "gw1", app: "spigate", pid: "17"}

func format(level slog.Level, text string, before []given, attrs ...any) string {
	r := slog.NewRecord(time.Date(2026, 3, 1, 14, 5, 0, 123456789, time.UTC), level, text, 0)
	r.Add(attrs...)
	return string(gw.append(nil, &r, before))
}

func TestAMessageIsRFC5424s(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{format(slog.LevelInfo, "ready", nil), "<30>1 2026-03-01T14:05:00.123456Z gw1 spigate 17 - - ready"},
		{format(slog.LevelError, "down", nil, "port", "lan", "n", 3), `<27>1 2026-03-01T14:05:00.123456Z gw1 spigate 17 - [spigate@32473 port="lan" n="3"] down`},
		{format(slog.LevelDebug, "x", []given{{attrs: []slog.Attr{slog.Int("a", 1)}}, {group: "g"}, {attrs: []slog.Attr{slog.Int("b", 2)}}}, slog.Group("h", "c", 3)),
			`<31>1 2026-03-01T14:05:00.123456Z gw1 spigate 17 - [spigate@32473 a="1" g.b="2" g.h.c="3"] x`},
		{format(slog.LevelWarn, "grün", nil, `a]b="`, "q\"\\]\n\xff\u00fc"), "<28>1 2026-03-01T14:05:00.123456Z gw1 spigate 17 - [spigate@32473 a_b__=\"q\\\"\\\\\\]??\u00fc\"] \xef\xbb\xbfgrün"},
	} {
		if c.got != c.want {
			t.Errorf("it is   %q\nand not %q", c.got, c.want)
		}
		if !rfc5424.MatchString(c.got) {
			t.Errorf("%q is no message of RFC 5424", c.got)
		}
	}
}

func TestALongMessageIsCutAndStaysWhole(t *testing.T) {
	long := strings.Repeat("ü", 3000)
	for _, got := range []string{
		format(slog.LevelInfo, "short", nil, "a", "1", "b", long, "c", "3"),
		format(slog.LevelInfo, long, nil, "a", "1", "b", long),
		format(slog.LevelInfo, long, nil),
	} {
		m := rfc5424.FindStringSubmatch(got)
		if len(got) > maxMessage || m == nil || !utf8.ValidString(got) {
			t.Errorf("%d bytes: %q", len(got), got)
		} else if m[6] == "-" && strings.Contains(got, "short") || !strings.Contains(got, "a=\"1\"") && strings.Contains(got, "a=") {
			t.Errorf("the parameter that fits is not there: %q", got)
		}
	}
}

// Whatever a stranger makes us say, it is one message of the grammar, and the
// parameters are ours.
func FuzzMessage(f *testing.F) {
	f.Add("text", "key", "value", "more")
	f.Add("a\nb", "k]", `"] [x@1 a="`, "\x00\xff")
	f.Add("\ufeff", "", "", "=")
	f.Add(strings.Repeat("é", 1500), strings.Repeat("k", 40), strings.Repeat(`\`, 3000), "x")
	f.Fuzz(func(t *testing.T, text, key, value, group string) {
		got := format(slog.LevelInfo, text, []given{{group: group}}, key, value, "n", 1)
		if !rfc5424.MatchString(got) || len(got) > maxMessage || !utf8.ValidString(got) || strings.ContainsAny(got, "\n\r\x00") {
			t.Errorf("%d bytes: %q", len(got), got)
		}
	})
}
