package tmsh

import (
	"regexp"
	"slices"
	"strings"

	"spigate/configs/dialect"
)

// sort is what a token is.
type sort uint8

const (
	word   sort = iota
	opens       // {
	closes      // }
	ends        // of a line
)

// token is a piece of the text.
type token struct {
	sort   sort
	text   string
	quoted bool
	line   int
}

// verbs change a configuration, modules begin an object that is listed, and
// silent words are passed over with their line.
func verbs() []string { return []string{"create", "modify", "delete", "edit", "mv", "cp"} }

func modules() []string {
	return []string{"ltm", "net", "sys", "cm", "auth", "security", "apm", "asm", "gtm", "wom", "pem", "cli", "ilx", "vcmp", "analytics"}
}

func silent() []string {
	return []string{"list", "show", "save", "load", "cd", "quit", "exit", "run", "help", "submit", "reset-stats", "done"}
}

// prompt matches what may stand before a command on a screen.
func prompt() *regexp.Regexp { return regexp.MustCompile(`^[^{}"]{0,120}?[#>$]\s*`) }

// starts reports whether a text begins with a word that a command begins with.
func starts(text string) bool {
	first, _, _ := strings.Cut(strings.TrimSpace(text), " ")
	for _, list := range [][]string{verbs(), modules(), silent(), {"tmsh"}} {
		if slices.Contains(list, first) {
			return true
		}
	}
	return false
}

// scan cuts a text into tokens. Comments and prompts go.
func scan(d *dialect.Document, text []byte) (out []token) {
	before := prompt()
	for _, line := range d.Lines(text) {
		rest := line.Text
		if at := before.FindString(rest); at != "" && starts(rest[len(at):]) {
			rest = rest[len(at):]
		} else if strings.HasPrefix(rest, "#") || strings.HasPrefix(rest, "<!--") {
			rest = ""
		}
		if command, is := strings.CutPrefix(rest, "tmsh "); is && starts(command) {
			rest = command
		}
		rest, more := strings.CutSuffix(rest, `\`)
		out = cut(out, line.Number, rest)
		if !more {
			out = append(out, token{sort: ends, line: line.Number})
		}
	}
	return out
}

// cut adds the tokens of one line.
func cut(out []token, line int, text string) []token {
	for text = strings.TrimLeft(text, " "); text != ""; text = strings.TrimLeft(text, " ") {
		switch text[0] {
		case '{':
			out, text = append(out, token{sort: opens, text: "{", line: line}), text[1:]
		case '}':
			out, text = append(out, token{sort: closes, text: "}", line: line}), text[1:]
		case '"':
			inside, rest, _ := strings.Cut(text[1:], `"`)
			out, text = append(out, token{word, inside, true, line}), rest
		default:
			n := strings.IndexAny(text, ` {}"`)
			if n < 0 {
				n = len(text)
			}
			out, text = append(out, token{word, text[:n], false, line}), text[n:]
		}
	}
	return out
}
