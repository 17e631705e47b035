package tmsh

import (
	"slices"
	"strings"

	"spigate/configs"
	"spigate/configs/dialect"
)

// setting is a property as it stands in the text.
type setting struct {
	of    *property
	line  int
	how   string   // add, delete, replace-all-with or ""
	words []string // the value, or the names in a block
	block []setting
	inner map[string][]string // of names: the words in their own blocks
}

// parser goes through tokens.
type parser struct {
	*dialect.Document
	tokens []token
	at     int
}

// peek is the next token; behind the last one a line ends for ever.
func (p *parser) peek() token {
	if p.at < len(p.tokens) {
		return p.tokens[p.at]
	}
	return token{sort: ends, line: p.line()}
}

// line is that of the last token.
func (p *parser) line() int {
	if len(p.tokens) == 0 {
		return 0
	}
	return p.tokens[min(p.at, len(p.tokens)-1)].line
}

func (p *parser) done() bool { return p.at >= len(p.tokens) }

func (p *parser) next() token {
	t := p.peek()
	p.at++
	return t
}

// take goes on if the next token is of a sort.
func (p *parser) take(s sort) bool {
	if !p.done() && p.peek().sort == s {
		p.at++
		return true
	}
	return false
}

// lines goes over ends of lines.
func (p *parser) lines() {
	for p.take(ends) {
	}
}

// skipLine goes behind the end of the line, and returns what was in it. Blocks
// that begin in it are in it.
func (p *parser) skipLine() (text []string) {
	for !p.done() {
		switch t := p.next(); t.sort {
		case ends:
			return text
		case opens:
			p.skipBlock()
		case word:
			text = append(text, t.text)
		}
	}
	return text
}

// skipBlock goes behind the brace that closes a block.
func (p *parser) skipBlock() {
	for depth := 1; depth > 0 && !p.done(); {
		switch p.next().sort {
		case opens:
			depth++
		case closes:
			depth--
		}
	}
}

// inBraces says where properties end.
type until uint8

const (
	atBrace until = iota // at a closing brace
	atLine               // at the end of the line
)

// settings reads properties. Each known one says by its form how far it goes,
// so that it does not matter how lines are broken.
func (p *parser) settings(known []property, end until) (out []setting) {
	for !p.done() {
		t := p.peek()
		switch {
		case t.sort == closes:
			if end == atBrace {
				p.at++
			}
			return out
		case t.sort == ends && end == atLine && !p.goesOn(known):
			return out
		case t.sort != word:
			p.at++
			if t.sort == opens {
				p.Tell(dialect.Unknown, t.line, "a block without a name is left out")
				p.skipBlock()
			}
		default:
			p.at++
			if s, ok := p.setting(known, t); ok {
				out = append(out, s)
			}
		}
	}
	if end == atBrace {
		p.Tell(dialect.Note, p.line(), "the text ends within braces")
	}
	return out
}

// goesOn reports whether a command goes on in the next line: it begins with a
// property.
func (p *parser) goesOn(known []property) bool {
	if p.at+1 >= len(p.tokens) {
		return false
	}
	next := p.tokens[p.at+1]
	return next.sort == word && !starts(next.text) && find(known, next.text) != nil
}

// setting reads one property, of which t is the name.
func (p *parser) setting(known []property, t token) (setting, bool) {
	of := find(known, t.text)
	if of == nil {
		p.unknown(known, t)
		return setting{}, false
	}
	s := setting{of: of, line: t.line}
	switch of.form {
	case alone:
		return s, true
	case value:
		if v := p.peek(); v.sort == word {
			p.at++
			s.words = []string{v.text}
			return s, true
		}
		if p.take(opens) { // several, where others take one
			s.words, s.inner = p.names()
			return s, true
		}
	case names:
		if v := p.peek(); v.sort == word && slices.Contains([]string{"add", "delete", "replace-all-with"}, v.text) {
			s.how, p.at = v.text, p.at+1
		}
		if p.take(opens) {
			s.words, s.inner = p.names()
			return s, true
		}
		if v := p.peek(); v.sort == word {
			p.at++
			if s.words = []string{v.text}; v.text == "none" && of.take == nil {
				s.words = nil
			}
			return s, true
		}
	case nested:
		if p.take(opens) {
			s.block = p.settings(of.inner, atBrace)
			return s, true
		}
	}
	p.Tell(dialect.Unknown, t.line, "%s has no value", of.name)
	return s, false
}

// names reads a list of names, each perhaps with a block of its own.
func (p *parser) names() (out []string, inner map[string][]string) {
	inner = map[string][]string{}
	for !p.done() {
		switch t := p.next(); t.sort {
		case closes:
			return out, inner
		case word:
			out = append(out, t.text)
		case opens:
			from := p.at
			p.skipBlock()
			if len(out) > 0 {
				last := out[len(out)-1]
				inner[last] = append(inner[last], wordsOf(p.tokens[from:min(p.at, len(p.tokens))])...)
			}
		}
	}
	return out, inner
}

// wordsOf are the words among tokens.
func wordsOf(tokens []token) (out []string) {
	for _, t := range tokens {
		if t.sort == word {
			out = append(out, t.text)
		}
	}
	return out
}

// unknown tells of a property, and goes over its value: up to the end of the
// line, a brace, or the next property.
func (p *parser) unknown(known []property, t token) {
	var all []string
	for _, k := range known {
		all = append(all, k.name)
	}
	if !slices.Contains(meaningless(), t.text) {
		p.Tell(dialect.Unknown, t.line, "%s is no property that is known here: it is left out%s", short(t.text), configs.DidYouMean(t.text, all))
	}
	for !p.done() {
		switch v := p.peek(); {
		case v.sort == opens:
			p.at++
			p.skipBlock()
			return
		case v.sort != word || find(known, v.text) != nil:
			return
		}
		p.at++
	}
}

// meaningless are properties that say nothing of what a machine does.
func meaningless() []string {
	return []string{"creation-time", "last-modified-time", "vs-index", "app-service", "partition", "generation", "if-index", "unit"}
}

func find(known []property, name string) *property {
	i := slices.IndexFunc(known, func(k property) bool { return k.name == name })
	if i < 0 {
		return nil
	}
	return &known[i]
}

// short is the beginning of a text, for messages.
func short(text string) string {
	runes := []rune(text)
	if len(runes) > 60 {
		return string(runes[:60]) + "…"
	}
	return text
}

// statement is one object of the text.
type statement struct {
	line     int
	verb     string // "" for an object that is listed
	kind     *kind
	name     string
	settings []setting
}

// statements reads the whole text.
func (p *parser) statements(kinds []kind) (out []statement) {
	for p.lines(); !p.done(); p.lines() {
		t := p.next()
		switch {
		case t.sort == word && !t.quoted && slices.Contains(silent(), strings.ToLower(t.text)):
			p.skipLine()
		case t.sort == word && !t.quoted && slices.Contains(verbs(), t.text):
			if s, ok := p.statement(kinds, t, t.text); ok {
				out = append(out, s)
			}
		case t.sort == word && !t.quoted && slices.Contains(modules(), t.text):
			p.at--
			if s, ok := p.statement(kinds, t, ""); ok {
				out = append(out, s)
			}
		case t.sort == closes:
			p.Tell(dialect.Note, t.line, "a brace closes nothing")
		default:
			p.at--
			p.Tell(dialect.Unknown, t.line, "%q is neither a command nor an object", short(strings.Join(p.skipLine(), " ")))
		}
	}
	return out
}

// statement reads an object from its kind on.
func (p *parser) statement(kinds []kind, first token, verb string) (statement, bool) {
	s := statement{line: first.line, verb: verb}
	var heads []string
	for at := p.at; at < len(p.tokens) && p.tokens[at].sort == word && len(heads) < 4; at++ {
		heads = append(heads, p.tokens[at].text)
	}
	for i := range kinds {
		w := strings.Fields(kinds[i].words)
		if len(heads) > len(w) && slices.Equal(heads[:len(w)], w) {
			s.kind, s.name = &kinds[i], heads[len(w)]
			p.at += len(w) + 1
		}
	}
	if s.kind == nil {
		p.foreign(first, verb, heads)
		return s, false
	}
	if p.take(opens) {
		s.settings = p.settings(s.kind.properties, atBrace)
	} else {
		s.settings = p.settings(s.kind.properties, atLine)
	}
	return s, true
}

// foreign tells of an object of another kind, and goes over it.
func (p *parser) foreign(first token, verb string, heads []string) {
	text := strings.Join(heads, " ")
	p.skipLine()
	for from, why := range refused() {
		if strings.HasPrefix(text+" ", from+" ") {
			p.Tell(dialect.Left, first.line, "%s: %s", short(text), why)
			return
		}
	}
	p.Tell(dialect.Unknown, first.line, "%s: objects of this kind are not known here", short(strings.TrimSpace(verb+" "+text)))
}

// refused are kinds that are known, with the reason why they are left out.
func refused() map[string]string {
	const load = "no load is balanced here"
	return map[string]string{
		"ltm pool": load, "ltm node": load, "ltm monitor": load, "ltm rule": "there are no rules", "ltm policy": "there are no policies of this kind",
		"ltm virtual-address": "an address needs no object of its own", "ltm profile": "servers have a profile of kind fastl4 alone",
		"ltm lsn-pool": "write an [lsn.group.…] with client and pool", "ltm snat-translation": "an address needs no object of its own",
		"net stp": "there is no spanning tree", "net interface": "a port's settings are its device's", "net ipsec ike-daemon": "there is one, without settings",
		"cm": "there is one machine", "auth": "who may do what is not said here", "sys": "only sys db has a counterpart",
	}
}
