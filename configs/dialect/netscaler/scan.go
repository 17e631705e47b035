package netscaler

import (
	"regexp"
	"strings"

	"spigate/configs/dialect"
)

// word is one word of a command.
type word struct {
	text   string
	quoted bool
}

// option reports whether the word is an option's name.
func (w word) option() bool { return !w.quoted && strings.HasPrefix(w.text, "-") }

// command is one command of the text.
type command struct {
	line  int // where it begins
	verb  string
	words []word // without the verb
}

// verbs are those that change a configuration; silent ones do not, and are
// passed over.
func verbs() []string {
	return []string{"add", "set", "bind", "unbind", "unset", "rm", "enable", "disable"}
}

func silent() []string {
	return []string{"show", "sh", "stat", "save", "flush", "clear", "exit", "quit", "done", "done.", "warning:", "help", "config"}
}

// prompt matches what stands before a command on a screen: "> ", "ns# ", "user@ns> ".
func prompt() *regexp.Regexp { return regexp.MustCompile(`^(?:[\w.@:~/()\[\]-]*[>#$]\s*)+`) }

// scanner puts lines together to commands.
type scanner struct {
	*dialect.Document
	prompt *regexp.Regexp
	out    []command
	open   bool // the last command may go on in the next line
	ready  bool // it goes on there, whatever that begins with
}

// scan finds the commands of a text.
func scan(d *dialect.Document, text []byte) []command {
	s := &scanner{Document: d, prompt: prompt()}
	for _, line := range s.Lines(text) {
		s.line(line)
	}
	return s.out
}

func (s *scanner) line(line dialect.Line) {
	text := line.Text
	if text == "" || strings.HasPrefix(text, "<!--") {
		s.open = false
		return
	}
	if strings.HasPrefix(text, "#") && !known(strings.TrimSpace(strings.TrimLeft(text, "# "))) {
		s.open = false // a comment
		return
	}
	if at := s.prompt.FindString(text); at != "" && known(text[len(at):]) {
		text = text[len(at):]
	}
	text, more := strings.CutSuffix(text, `\`)
	words := split(text)
	switch {
	case len(words) == 0:
	case s.open && s.continues(words[0]):
		s.Tell(dialect.Note, line.Number, "read as the end of the command in line %d", s.out[len(s.out)-1].line)
		s.extend(words)
	case s.isVerb(words[0], silent()):
		s.open = false
		return
	case s.isVerb(words[0], verbs()):
		s.out = append(s.out, command{line.Number, strings.ToLower(words[0].text), nil})
		s.extend(words[1:])
	default:
		s.Tell(dialect.Unknown, line.Number, "%q is no command that changes a configuration", short(text))
		s.open = false
		return
	}
	s.ready = s.ready || more
}

// known reports whether a text begins with a verb.
func known(text string) bool {
	first, _, _ := strings.Cut(text, " ")
	first = strings.ToLower(first)
	for _, v := range append(verbs(), silent()...) {
		if v == first {
			return true
		}
	}
	return false
}

func (s *scanner) isVerb(w word, list []string) bool {
	for _, v := range list {
		if !w.quoted && strings.EqualFold(v, w.text) {
			return true
		}
	}
	return false
}

// continues reports whether a line that begins with w belongs to the command
// before it: with an option, behind an option without its value, or behind a
// command that is not one yet.
func (s *scanner) continues(w word) bool {
	switch {
	case s.ready || w.option():
		return true
	case s.isVerb(w, verbs()) || s.isVerb(w, silent()):
		return false
	}
	last := s.out[len(s.out)-1]
	n := len(last.words)
	number := w.text != "" && (w.text[0] >= '0' && w.text[0] <= '9' || w.text[0] == '*')
	return n < 3 || number || last.words[n-1].option()
}

// extend adds words to the last command. A hyphen alone belongs to the word
// behind it.
func (s *scanner) extend(words []word) {
	c := &s.out[len(s.out)-1]
	for _, w := range words {
		if n := len(c.words); n > 0 && c.words[n-1].text == "-" && !c.words[n-1].quoted && !w.quoted {
			c.words[n-1].text = "-" + w.text
			s.Tell(dialect.Note, c.line, "- %s is read as -%s: the blank is left out", w.text, w.text)
			continue
		}
		c.words = append(c.words, w)
	}
	s.open, s.ready = true, false
}

// split cuts a line into words. Quotation marks keep blanks together.
func split(text string) (out []word) {
	for {
		text = strings.TrimLeft(text, " ")
		if text == "" {
			return out
		}
		if q := text[0]; q == '"' || q == '\'' {
			inside, rest, _ := strings.Cut(text[1:], string(q))
			out, text = append(out, word{inside, true}), rest
			continue
		}
		w, rest, _ := strings.Cut(text, " ")
		out, text = append(out, word{w, false}), rest
	}
}

// short is the beginning of a text, for messages.
func short(text string) string {
	runes := []rune(text)
	if len(runes) > 60 {
		return string(runes[:60]) + "…"
	}
	return text
}
