package commands

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// rule puts a word in the place of what is different in every run.
type rule struct {
	what *regexp.Regexp
	word string
}

// volatileFile is the section of a scenario with its rules: a word and a regular
// expression on each line. What a rule's first group holds is replaced, or all of
// it if it has none. With any rule the columns of tables are no longer compared:
// two blanks or more are two.
const volatileFile = "volatile"

func (s *scene) readVolatile() error {
	f, err := os.Open(filepath.Join(s.dir, volatileFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		word, expr, ok := strings.Cut(strings.TrimSpace(lines.Text()), " ")
		if !ok {
			return fmt.Errorf("%s: %q is not a word and a regular expression", volatileFile, lines.Text())
		}
		what, err := regexp.Compile(expr)
		if err != nil {
			return fmt.Errorf("%s: %w", volatileFile, err)
		}
		s.volatile = append(s.volatile, rule{what, word})
	}
	return lines.Err()
}

var columns = regexp.MustCompile(`(\S) {2,}`)

// steady is a text without what is different in every run.
func (s *scene) steady(text string) string {
	text = strings.ReplaceAll(text, s.dir, "$WORK")
	for _, r := range s.volatile {
		text = r.apply(text)
	}
	if len(s.volatile) > 0 {
		text = columns.ReplaceAllString(text, "$1  ")
	}
	return text
}

func (r rule) apply(text string) string {
	var b strings.Builder
	at := 0
	for _, m := range r.what.FindAllStringSubmatchIndex(text, -1) {
		from, to := m[0], m[1]
		if len(m) > 2 && m[2] >= 0 {
			from, to = m[2], m[3]
		}
		b.WriteString(text[at:from] + "<" + r.word + ">")
		at = to
	}
	return b.String() + text[at:]
}
