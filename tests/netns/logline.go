package netns

import (
	"strconv"
	"strings"
)

// LogLine is one line of the daemon's log: slog's key=value text.
type LogLine map[string]string

// ParseLogLine splits a line into its keys. What is no key=value is left out.
func ParseLogLine(line string) LogLine {
	l := LogLine{}
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimLeft(line, " ") {
		key, rest, ok := strings.Cut(line, "=")
		if !ok {
			break
		}
		if i := strings.LastIndexByte(key, ' '); i >= 0 {
			key = key[i+1:]
		}
		var value string
		value, line = cutValue(rest)
		l[key] = value
	}
	return l
}

// cutValue takes one value, plain or quoted, off the start of s.
func cutValue(s string) (value, rest string) {
	if strings.HasPrefix(s, `"`) {
		if q, err := strconv.QuotedPrefix(s); err == nil {
			if v, err := strconv.Unquote(q); err == nil {
				return v, s[len(q):]
			}
		}
	}
	value, rest, _ = strings.Cut(s, " ")
	return value, rest
}

// ALGEvent returns the event of an IPsec ALG line, as GATE_OPEN; empty for any
// other line.
func (l LogLine) ALGEvent() string {
	if l["msg"] != "ipsecalg" {
		return ""
	}
	return strings.ReplaceAll(l["event"], " ", "_")
}
