package dialect

import (
	"regexp"
	"strings"
	"unicode"
)

// Line is one line of a text.
type Line struct {
	Number int // from 1
	Text   string
}

// Lines cuts a text into lines, and mends what word processors, web pages and
// terminals do to characters: dashes, quotation marks and blanks of all kinds
// become those of a keyboard, which is told; colours and marks without a width
// go, which is not. A text that is too long is cut, which is told.
func (r *Report) Lines(text []byte) []Line {
	cut := len(text) > MaxText
	if cut {
		text = text[:MaxText]
	}
	whole := strings.ToValidUTF8(string(text), "\ufffd")
	var out []Line
	for i, line := range strings.Split(whole, "\n") {
		out = append(out, Line{i + 1, r.clean(i+1, line)})
	}
	if cut {
		r.Tell(Left, len(out), "the text is longer than %d bytes: the rest is not read", MaxText)
	}
	return out
}

// colours matches what a terminal is told, not shown.
func colours() *regexp.Regexp { return regexp.MustCompile("\x1b\\[[0-9;?]*[A-Za-z]") }

// clean mends one line.
func (r *Report) clean(number int, line string) string {
	if strings.Contains(line, "\x1b") {
		line = colours().ReplaceAllString(line, "")
	}
	var said []string
	tell := func(what string) {
		if len(said) == 0 || said[len(said)-1] != what {
			said = append(said, what)
		}
	}
	line = strings.Map(func(c rune) rune {
		switch {
		case c == '\t' || c == ' ':
			return ' '
		case unicode.Is(unicode.Dash, c) && c != '-':
			tell("a dash that is none of a keyboard is read as -")
			return '-'
		case strings.ContainsRune("“”„‟«»″", c):
			tell(`a typographic quotation mark is read as "`)
			return '"'
		case strings.ContainsRune("‘’‚‛′", c):
			tell("a typographic apostrophe is read as '")
			return '\''
		case unicode.IsSpace(c) && c != '\r' && c != '\v' && c != '\f':
			tell("a blank that is none of a keyboard is read as one")
			return ' '
		case unicode.IsControl(c), unicode.Is(unicode.Cf, c):
			return -1
		}
		return c
	}, line)
	for i, what := range said {
		if !repeats(said[:i], what) {
			r.Tell(Note, number, "%s", what)
		}
	}
	return strings.TrimSpace(line)
}

func repeats(words []string, word string) bool {
	for _, w := range words {
		if w == word {
			return true
		}
	}
	return false
}
