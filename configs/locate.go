package configs

import (
	"strconv"
	"strings"
)

// places notes where keys and values begin, in bytes from the start of the
// text. The TOML library gives no position for an unknown key or for a value
// of the wrong type, and a wrong one inside arrays, so we look ourselves.
type places struct {
	keys    map[string]int
	values  map[string]int
	secrets []int // values of keys that are secrets, also those of elements that share a path; ascending
}

// id makes one map key of a path. A name with a NUL in it is refused (R1), so
// that the worst of a clash is a message at the wrong line.
func id(path []string) string { return strings.Join(path, "\x00") }

// element is the path of an array's i-th element.
func element(path []string, i int) []string {
	return append(path[:len(path):len(path)], "["+strconv.Itoa(i)+"]")
}

// locate scans a text before the TOML library sees it. deep is where it gets
// nested deeper than maxDepth, or -1. Of a text that is not TOML it returns
// something useless, but it always returns.
func locate(text string) (p places, deep int) {
	s := &scanner{text: text, deep: -1, places: emptyPlaces()}
	var table []string
	for s.skipBlank(); s.at < len(s.text); s.skipBlank() {
		before := s.at
		if s.peek() == '[' {
			table = s.header()
		} else {
			s.pair(table)
		}
		if s.at == before {
			s.at++
		}
	}
	return s.places, s.deep
}

type scanner struct {
	text string
	at   int
	deep int
	places
}

// peek returns the byte at the reading position, or 0 at the end.
func (s *scanner) peek() byte {
	if s.at < len(s.text) {
		return s.text[s.at]
	}
	return 0
}

// tooDeep ends the scan when path is longer than maxDepth.
func (s *scanner) tooDeep(path []string) bool {
	if len(path) <= maxDepth {
		return false
	}
	if s.deep < 0 {
		s.deep = s.at
	}
	s.at = len(s.text)
	return true
}

// skip passes over the bytes of set.
func (s *scanner) skip(set string) {
	for s.at < len(s.text) && strings.IndexByte(set, s.text[s.at]) >= 0 {
		s.at++
	}
}

// skipTo passes over everything up to one of set, or to the end.
func (s *scanner) skipTo(set string) {
	if n := strings.IndexAny(s.text[s.at:], set); n >= 0 {
		s.at += n
	} else {
		s.at = len(s.text)
	}
}

// skipBlank passes over white space, newlines and comments.
func (s *scanner) skipBlank() {
	for s.skip(" \t\r\n"); s.peek() == '#'; s.skip(" \t\r\n") {
		s.skipTo("\n")
	}
}

// header reads [a.b] or [[a.b]] and returns its path.
func (s *scanner) header() []string {
	s.skip("[ \t")
	path := s.key(nil)
	s.skipTo("]\n")
	s.skip("] \t")
	return path
}

// pair reads KEY = VALUE inside table.
func (s *scanner) pair(table []string) {
	path := s.key(table)
	s.skip("= \t")
	if isSecret(path[len(path)-1]) {
		s.secrets = append(s.secrets, s.at)
	}
	s.value(path)
}

// key reads a dotted key below prefix and notes every part of it. The first
// mention counts: it is where a reader meets the name.
func (s *scanner) key(prefix []string) []string {
	path := prefix[:len(prefix):len(prefix)]
	for {
		s.skip(" \t")
		begin := s.at
		path = append(path, s.part())
		if _, seen := s.keys[id(path)]; !seen {
			s.keys[id(path)] = begin
		}
		s.skip(" \t")
		if s.peek() != '.' || s.tooDeep(path) {
			return path
		}
		s.at++
	}
}

// part reads one part of a dotted key: bare, "basic" or 'literal'.
func (s *scanner) part() string {
	begin := s.at
	quote := s.peek()
	if quote != '"' && quote != '\'' {
		s.skipTo(" \t.=]}\r\n#")
		return s.text[begin:s.at]
	}
	s.quoted(quote)
	body := strings.Trim(s.text[begin:s.at], string(quote))
	if quote == '"' {
		body = unescape(s.text[begin:s.at])
	}
	return body
}

// value passes over one value and notes where it and its parts begin.
func (s *scanner) value(path []string) {
	if s.tooDeep(path) {
		return
	}
	s.values[id(path)] = s.at
	switch c := s.peek(); c {
	case '"', '\'':
		s.quoted(c)
	case '[':
		s.array(path)
	case '{':
		s.inline(path)
	default:
		s.skipTo(",]}#\n")
	}
}

func (s *scanner) array(path []string) {
	s.at++
	for i := 0; ; i++ {
		s.skipSeparators()
		if c := s.peek(); c == ']' || c == 0 {
			s.at = min(s.at+1, len(s.text))
			return
		}
		before := s.at
		s.value(element(path, i))
		if s.at == before {
			s.at++
		}
	}
}

func (s *scanner) inline(path []string) {
	s.at++
	for {
		s.skipSeparators()
		if c := s.peek(); c == '}' || c == 0 {
			s.at = min(s.at+1, len(s.text))
			return
		}
		before := s.at
		s.pair(path)
		if s.at == before {
			s.at++
		}
	}
}

// skipSeparators passes over commas and what may stand around them.
func (s *scanner) skipSeparators() {
	for s.skipBlank(); s.peek() == ','; s.skipBlank() {
		s.at++
	}
}

// quoted passes over a string of any of TOML's four kinds.
func (s *scanner) quoted(quote byte) {
	long := strings.Repeat(string(quote), 3)
	end := long[:1]
	if strings.HasPrefix(s.text[s.at:], long) {
		end = long
	}
	for s.at += len(end); s.at < len(s.text); s.at++ {
		if quote == '"' && s.text[s.at] == '\\' {
			s.at++
			continue
		}
		if strings.HasPrefix(s.text[s.at:], end) {
			break
		}
	}
	s.at = min(s.at+len(end), len(s.text))
	// A long string may end in up to two quotes of its own: """a"""".
	for n := 0; n < 2 && len(end) == 3 && s.peek() == quote; n++ {
		s.at++
	}
}

// unescape returns the text of a basic string with its quotes. strconv knows
// every escape of TOML but \e, and others that TOML has refused before.
func unescape(quoted string) string {
	if plain, err := strconv.Unquote(strings.ReplaceAll(quoted, `\e`, `\x1b`)); err == nil {
		return plain
	}
	return strings.Trim(quoted, `"`)
}
