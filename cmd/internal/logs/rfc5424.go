package logs

import (
	"log/slog"
	"strconv"
	"unicode/utf8"
)

// maxMessage bounds a message: what every receiver should take (RFC 5424
// section 6.1). maxName bounds the name of a parameter (6.3.3).
const (
	maxMessage = 2048
	maxName    = 32
)

// sdID names our structured data. 32473 is the enterprise number for
// documentation (RFC 5612); there is none of our own.
const sdID = "spigate@32473"

// header is what of a message is the same in all.
type header struct {
	facility       uint8
	host, app, pid string
}

// severity is RFC 5424's for a level.
func severity(l slog.Level) uint8 {
	switch {
	case l >= slog.LevelError:
		return 3
	case l >= slog.LevelWarn:
		return 4
	case l >= slog.LevelInfo:
		return 6
	}
	return 7
}

// append writes a record as one message. Of what does not fit into maxMessage,
// parameters are left out from the first that does not, then the text is cut.
func (h *header) append(b []byte, r *slog.Record, before []given) []byte {
	start := len(b)
	b = strconv.AppendUint(append(b, '<'), uint64(h.facility)*8+uint64(severity(r.Level)), 10)
	b = r.Time.UTC().AppendFormat(append(b, ">1 "...), "2006-01-02T15:04:05.000000Z")
	for _, word := range []string{h.host, h.app, h.pid} {
		b = appendWord(append(b, ' '), word)
	}
	b = append(b, " - "...)
	// The text is worth more than the parameters: room is kept for most of it.
	b = appendData(b, start+maxMessage-min(len(r.Message)+4, maxMessage/2), r, before)
	return appendText(append(b, ' '), start+maxMessage, r.Message)
}

// appendWord writes a field of the header: printable ASCII without spaces.
func appendWord(b []byte, word string) []byte {
	if word == "" {
		return append(b, '-')
	}
	for i := range min(len(word), 255) {
		c := word[i]
		if c <= ' ' || c > '~' {
			c = '_'
		}
		b = append(b, c)
	}
	return b
}

// data is structured data that is being written, up to a most of bytes.
type data struct {
	b    []byte
	most int
	full bool
}

func appendData(b []byte, most int, r *slog.Record, before []given) []byte {
	start := len(b)
	d := &data{b: append(append(b, '['), sdID...), most: most - 1}
	empty := len(d.b)
	prefix := ""
	for _, g := range before {
		if g.group != "" {
			prefix += g.group + "."
		}
		for _, a := range g.attrs {
			d.attr(prefix, a, 0)
		}
	}
	r.Attrs(func(a slog.Attr) bool {
		d.attr(prefix, a, 0)
		return !d.full
	})
	if len(d.b) == empty {
		return append(d.b[:start], '-')
	}
	return append(d.b, ']')
}

// maxDepth bounds groups in groups.
const maxDepth = 4

func (d *data) attr(prefix string, a slog.Attr, depth int) {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			prefix += a.Key + "."
		}
		for _, inner := range v.Group() {
			if depth < maxDepth {
				d.attr(prefix, inner, depth+1)
			}
		}
		return
	}
	if a.Key == "" || d.full {
		return
	}
	before := len(d.b)
	d.b = append(appendName(append(d.b, ' '), prefix+a.Key), `="`...)
	d.b = append(appendValue(d.b, v.String()), '"')
	if len(d.b) > d.most {
		d.b, d.full = d.b[:before], true
	}
}

// appendName writes the name of a parameter: up to 32 printable ASCII letters
// without '=', ']', '"' and spaces.
func appendName(b []byte, name string) []byte {
	for i := range min(len(name), maxName) {
		c := name[i]
		if c <= ' ' || c > '~' || c == '=' || c == ']' || c == '"' {
			c = '_'
		}
		b = append(b, c)
	}
	return b
}

// appendValue writes the value of a parameter (RFC 5424 section 6.3.3): UTF-8,
// in which '"', '\' and ']' are escaped. Control characters would end a line for
// some receivers.
func appendValue(b []byte, value string) []byte {
	for i := 0; i < len(value) && i < maxMessage; {
		c, size := utf8.DecodeRuneInString(value[i:])
		switch {
		case c == '"' || c == '\\' || c == ']':
			b = append(b, '\\', byte(c))
		case c < ' ' || c == 0x7f || c == utf8.RuneError && size == 1:
			b = append(b, '?')
		default:
			b = append(b, value[i:i+size]...)
		}
		i += size
	}
	return b
}

// appendText writes the text, up to most bytes of b. One that is more than ASCII
// says so with a byte order mark (section 6.4).
func appendText(b []byte, most int, text string) []byte {
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			b = append(b, "\xef\xbb\xbf"...)
			break
		}
	}
	for _, c := range text {
		if c < ' ' || c == 0x7f {
			c = ' '
		}
		if len(b)+utf8.RuneLen(c) > most {
			break
		}
		b = utf8.AppendRune(b, c)
	}
	return b
}
