package configs

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/BurntSushi/toml"
)

// Change is one edit of a configuration's text.
type Change struct {
	// Path is a key, {"lsn", "pool", "P", "addresses"}, or without a value a table,
	// {"lsn", "pool", "P"}.
	Path []string
	// Value is written as TOML has it. "" takes the key away, or the table with all
	// that is below it. "{}" makes an empty table, if there is none.
	Value string
}

// Edit makes changes in a configuration's text, one after the other, and leaves
// all else as it stands: order, comments, spelling, line ends. What is taken away
// and is not there is no error.
//
// It writes no text of which it is not sure: what stands in an inline table or
// below a dotted key is not edited, and the error says so. Whether the result is
// a good configuration is for Parse to say.
func Edit(text []byte, changes []Change) ([]byte, error) {
	if len(text) > maxText {
		return nil, fmt.Errorf("the text has %d bytes; at most %d are read", len(text), maxText)
	}
	body, mark := strings.CutPrefix(string(text), "\ufeff")
	want, err := decoded(body)
	if err != nil {
		return nil, err
	}
	for _, c := range changes {
		if len(c.Path) == 0 || len(c.Path) > maxDepth || slices.ContainsFunc(c.Path, nameless) {
			return nil, errors.New("a change needs a name, of letters that can be written")
		}
		if err := apply(want, c); err != nil {
			return nil, err
		}
		if body, err = outlined(body).edit(c); err != nil {
			return nil, err
		}
	}
	// What was written is read again: nobody needs to trust the above.
	got, err := decoded(body)
	if err != nil || !reflect.DeepEqual(pruned(got), pruned(want)) {
		return nil, byHand(changes[len(changes)-1])
	}
	if mark {
		body = "\ufeff" + body
	}
	return []byte(body), nil
}

// nameless are names that nobody can see, or that are none.
func nameless(name string) bool {
	return name == "" || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl)
}

// byHand refuses a change that Edit cannot be sure of.
func byHand(c Change) error {
	return fmt.Errorf("%s stands in the text in a form that is not edited here (an inline table, a dotted key): edit the file and apply it",
		spot{path: c.Path, index: -1})
}

func decoded(text string) (map[string]any, error) {
	out := map[string]any{}
	if _, deep := locate(text); deep >= 0 {
		return nil, fmt.Errorf("tables and arrays are nested deeper than %d", maxDepth)
	}
	if _, err := toml.Decode(text, &out); err != nil {
		return nil, fmt.Errorf("the text is not TOML: %s", oneLine(err.Error()))
	}
	return out, nil
}

// apply makes a change in what a text means.
func apply(root map[string]any, c Change) error {
	last := len(c.Path) - 1
	table, made := root, c.Value != ""
	for i, name := range c.Path[:last] {
		inner, ok := table[name].(map[string]any)
		if _, there := table[name]; there && !ok {
			return fmt.Errorf("%s is no table", spot{path: c.Path[:i+1], index: -1})
		}
		if !ok && !made {
			return nil
		}
		if !ok {
			inner = map[string]any{}
			table[name] = inner
		}
		table = inner
	}
	if !made {
		delete(table, c.Path[last])
		return nil
	}
	value, err := decoded("x = " + c.Value)
	if err != nil || len(value) != 1 || strings.ContainsAny(c.Value, "\r\n") {
		return fmt.Errorf("%s: %q is not a value of TOML on one line", spot{path: c.Path, index: -1}, c.Value)
	}
	old, there := table[c.Path[last]]
	if _, isTable := old.(map[string]any); there && isTable != (c.Value == emptyTable) {
		return fmt.Errorf("%s: what stands there is of another kind", spot{path: c.Path, index: -1})
	}
	if !there || c.Value != emptyTable {
		table[c.Path[last]] = value["x"]
	}
	return nil
}

// pruned takes tables away that have nothing in them: whether one is there that
// only its name has said depends on what else is.
func pruned(table map[string]any) map[string]any {
	for name, value := range table {
		if inner, ok := value.(map[string]any); ok && len(pruned(inner)) == 0 {
			delete(table, name)
		}
	}
	return table
}

// emptyTable is the value that makes a table.
const emptyTable = "{}"

// Text is a text as a value of TOML.
func Text(s string) string {
	var out strings.Builder
	out.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			out.WriteByte('\\')
			out.WriteRune(r)
		case r < ' ' || r == 0x7f || r == '\ufffd':
			fmt.Fprintf(&out, `\u%04X`, r)
		default:
			out.WriteRune(r)
		}
	}
	out.WriteByte('"')
	return out.String()
}

// Texts is a list of texts as a value of TOML.
func Texts(list []string) string {
	quoted := make([]string, len(list))
	for i, s := range list {
		quoted[i] = Text(s)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// Number and Flag are values of TOML.
func Number(n int64) string { return strconv.FormatInt(n, 10) }

// Flag see Number.
func Flag(b bool) string { return strconv.FormatBool(b) }
