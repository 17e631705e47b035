package boot

import (
	"errors"
	"strings"
)

// Bounds of what is typed.
const (
	maxTyped = 4096      // bytes of a line: what a terminal gives at most (N_TTY_BUF_SIZE)
	maxWords = 64        // of a line
	maxAhead = 256 << 10 // bytes of lines typed ahead, a configuration that is pasted for one
)

// errQuote is a line whose quotation has no end.
var errQuote = errors.New("a quotation mark has no other")

// Words cuts a command line. Words are separated by spaces and tabs; "…" and
// '…' hold them together; nothing else means anything.
func Words(line string) ([]string, error) {
	var out []string
	var word strings.Builder
	var quote rune
	open := false
	end := func() {
		if open {
			out = append(out, word.String())
			word.Reset()
			open = false
		}
	}
	for _, r := range line {
		switch {
		case r == quote && quote != 0:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '"' || r == '\'':
			quote, open = r, true
		case r == ' ' || r == '\t':
			end()
		default:
			word.WriteRune(r)
			open = true
		}
	}
	if quote != 0 {
		return nil, errQuote
	}
	end()
	if len(out) > maxWords {
		return nil, errors.New("too many words")
	}
	return out, nil
}

// Typed is what came from the console's keys.
type Typed struct {
	Line string
	End  bool // Ctrl-D: no line, but the end of input
}

// keys cuts what a terminal delivers into lines. The terminal is set so that
// Ctrl-C (0x03) ends a line like Enter does, and stands at its end; Ctrl-D is a
// read of nothing.
type keys struct {
	part []byte
	long bool // the line is longer than maxTyped: it is thrown away when it ends
}

// read takes the bytes of one read(2). interrupt: Ctrl-C was among them; then
// what was typed before it is forgotten.
func (k *keys) read(p []byte) (typed []Typed, interrupt bool) {
	if len(p) == 0 {
		if len(k.part) > 0 {
			typed = k.line()
		}
		return append(typed, Typed{End: true}), false
	}
	for _, b := range p {
		switch {
		case b == 0x03:
			k.part, k.long, typed, interrupt = k.part[:0], false, nil, true
		case b == '\n':
			typed = append(typed, k.line()...)
		case b == '\r': // of a terminal, Enter comes as \n alone
		case len(k.part) == maxTyped:
			k.long = true
		default:
			k.part = append(k.part, b)
		}
	}
	return typed, interrupt
}

func (k *keys) line() []Typed {
	text, long := string(k.part), k.long
	k.part, k.long = k.part[:0], false
	if long {
		return nil
	}
	return []Typed{{Line: text}}
}
