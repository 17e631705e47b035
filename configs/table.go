package configs

import (
	"cmp"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// reader is the second layer's state: what was found wrong so far.
type reader struct {
	doc      *document
	faults   []Fault
	warnings []Warning
	open     opener      // nil: no other file is read
	exposed  fs.FileMode // of the configuration, if others than its owner's group may read or write it
	options  Options
	seen     func(t *table) // a test looks at every table that was read
}

func (r *reader) fault(at spot, format string, args ...any) {
	r.faults = append(r.faults, r.doc.fault(at, fmt.Sprintf(format, args...)))
}

func (r *reader) warn(at spot, format string, args ...any) {
	r.warnings = append(r.warnings, Warning(r.doc.fault(at, fmt.Sprintf(format, args...))))
}

// table is one table of the text. Every getter notes its key as known; done
// then complains about the others. A getter that finds a fault reports it and
// returns the default, so that reading goes on.
type table struct {
	*reader
	path  []string
	keys  map[string]any
	known []string
	// elsewhere says of words that other programs use what ours is.
	elsewhere map[string]string
}

// at is the place of a key's value; here is the place of the table itself.
func (t *table) at(key string) spot {
	return spot{path: append(t.path[:len(t.path):len(t.path)], key), index: -1}
}

func (t *table) here() spot { return spot{path: t.path, index: -1} }

// of is the place of the i-th element of an array.
func (s spot) of(i int) spot {
	s.index = i
	return s
}

// name is the table's own name, the last part of its path.
func (t *table) name() string { return t.path[len(t.path)-1] }

// has reports whether the user wrote the key.
func (t *table) has(key string) bool {
	_, ok := t.keys[key]
	return ok
}

// get returns the key's value if it has type T.
func get[T any](t *table, key string) (v T, ok bool) {
	t.known = append(t.known, key)
	raw, there := t.keys[key]
	if !there {
		return v, false
	}
	if v, ok = raw.(T); !ok {
		t.fault(t.at(key), "must be %s, not %s", kind(any(v)), kind(raw))
	}
	return v, ok
}

// kind names a TOML type.
func kind(v any) string {
	switch v.(type) {
	case string:
		return "a string"
	case int64:
		return "an integer"
	case float64:
		return "a float"
	case bool:
		return "a boolean"
	case []any:
		return "an array"
	case map[string]any, nil:
		return "a table"
	case []map[string]any:
		return "an array of tables"
	}
	return "a date or time"
}

// sub returns the table below key; an absent one is empty.
func (t *table) sub(key string) *table {
	keys, _ := get[map[string]any](t, key)
	return &table{reader: t.reader, path: t.at(key).path, keys: keys}
}

// children returns the tables below key, which users name, in the file's order.
func (t *table) children(key string) []*table {
	if _, array := t.keys[key].([]map[string]any); array {
		t.known = append(t.known, key)
		t.fault(t.at(key), "must be a table, not an array of tables: write [%s.NAME], with a name of yours, instead of [[%[1]s]]", t.at(key))
		return nil
	}
	parent := t.sub(key)
	var out []*table
	for name, value := range parent.keys {
		parent.known = append(parent.known, name)
		keys, ok := value.(map[string]any)
		if !ok {
			t.fault(parent.at(name), "must be a table, not %s: tables here have names of yours, as in [%s.NAME]", kind(value), parent.here())
			continue
		}
		out = append(out, &table{reader: t.reader, path: parent.at(name).path, keys: keys})
	}
	slices.SortFunc(out, func(a, b *table) int {
		return cmp.Or(t.doc.offset(a.here())-t.doc.offset(b.here()), strings.Compare(a.name(), b.name()))
	})
	return out
}

// named is children with names that follow R1 and have at most longest bytes.
func (t *table) named(key string, longest int) []*table {
	out := t.children(key)
	for _, child := range out {
		if why := badName(child.name(), longest); why != "" {
			t.fault(spot{path: child.path, index: -1, onKey: true}, "%s", why)
		}
	}
	return out
}

// text returns a string.
func (t *table) text(key, otherwise string) string {
	if v, ok := get[string](t, key); ok {
		return v
	}
	return otherwise
}

// need returns a string that must be there and not be empty.
func (t *table) need(key string) string {
	v, ok := get[string](t, key)
	switch {
	case !t.has(key):
		t.fault(t.at(key), "is missing")
	case ok && v == "":
		t.fault(t.at(key), "must not be empty")
	}
	return v
}

// flag returns a boolean.
func (t *table) flag(key string, otherwise bool) bool {
	if v, ok := get[bool](t, key); ok {
		return v
	}
	return otherwise
}

// whole returns an integer from least to most.
func (t *table) whole(key string, otherwise, least, most int64) int64 {
	v, ok := get[int64](t, key)
	if !ok {
		return otherwise
	}
	if v < least || v > most {
		t.fault(t.at(key), "must be from %d to %d, not %d", least, most, v)
		return otherwise
	}
	return v
}

// span is the default and the range of a duration, with the unit to print.
type span struct{ otherwise, least, most, unit time.Duration }

func (s span) print(d time.Duration) string {
	switch s.unit {
	case time.Minute:
		return fmt.Sprintf("%dm", d/time.Minute)
	case time.Second:
		return fmt.Sprintf("%ds", d/time.Second)
	case time.Microsecond:
		if d < time.Millisecond {
			return fmt.Sprintf("%dus", d/time.Microsecond)
		}
	}
	return fmt.Sprintf("%dms", d/time.Millisecond)
}

// duration returns a duration, which is a string with a unit: NetScaler counts
// some timers in minutes and others in seconds, and a bare number would not
// say which.
func (t *table) duration(key string, s span) time.Duration {
	if n, bare := t.keys[key].(int64); bare {
		t.known = append(t.known, key)
		t.fault(t.at(key), `a duration is a string with a unit: write "%ds" or "%dm", not %d`, n, n, n)
		return s.otherwise
	}
	text, ok := get[string](t, key)
	if !ok {
		return s.otherwise
	}
	d, err := time.ParseDuration(text)
	switch {
	case err != nil || strings.Trim(text, "+-0") == "":
		t.fault(t.at(key), `%q is not a duration: write a number with a unit, such as "90s", "60m" or "2h"`, text)
	case d < s.least || d > s.most:
		t.fault(t.at(key), "must be from %s to %s, not %q", s.print(s.least), s.print(s.most), text)
	default:
		return d
	}
	return s.otherwise
}

// list parses an array of strings. The result has an element for each element
// of the array, the zero value where there was a fault, so that the place of a
// later fault is still right.
func list[T any](t *table, key string, parse func(string) (T, error)) []T {
	if text, single := t.keys[key].(string); single {
		t.known = append(t.known, key)
		t.fault(t.at(key), "must be an array of strings: write [%s]", quotedWords(text))
		return nil
	}
	elements, _ := get[[]any](t, key)
	out := make([]T, len(elements))
	for i, e := range elements {
		text, ok := e.(string)
		if !ok {
			t.fault(t.at(key).of(i), "must be a string, not %s", kind(e))
			continue
		}
		v, err := parse(text)
		if err != nil {
			t.fault(t.at(key).of(i), "%v", err)
			continue
		}
		out[i] = v
	}
	return out
}

// quotedWords prints "a, b" as "a", "b".
func quotedWords(text string) string {
	words := strings.Split(text, ",")
	for i, w := range words {
		words[i] = strconv.Quote(strings.TrimSpace(w))
	}
	return strings.Join(words, ", ")
}

// needList is list for a key that must be there with at least one element.
func needList[T any](t *table, key string, parse func(string) (T, error)) []T {
	out := list(t, key, parse)
	elements, isArray := t.keys[key].([]any)
	switch {
	case !t.has(key):
		t.fault(t.at(key), "is missing")
	case isArray && len(elements) == 0:
		t.fault(t.at(key), "must not be empty")
	}
	return out
}

// choose returns the value of an enumeration.
func choose[E any](t *table, key string, otherwise E, words []word[E]) E {
	text, ok := get[string](t, key)
	if !ok {
		return otherwise
	}
	e, ok := lookup(words, text)
	if !ok {
		forms := longForms(words)
		t.fault(t.at(key), "%q is not one of %s%s", text, strings.Join(forms, ", "), didYouMean(text, forms))
		return otherwise
	}
	return e
}

// off takes options that the program's models have and this build has not:
// their off value is accepted, so that a whole configuration can be written
// down, and any other value is refused by name.
func (t *table) off(value any, keys ...string) {
	for _, key := range keys {
		t.known = append(t.known, key)
		if v, there := t.keys[key]; there && v != value {
			t.fault(t.at(key), "not supported yet: leave it out, or write %s", literal(value))
		}
	}
}

func literal(v any) string {
	if s, ok := v.(string); ok {
		return fmt.Sprintf("%q", s)
	}
	return fmt.Sprint(v)
}

// later refuses keys that have a meaning for this program, but not in this build.
func (t *table) later(keys ...string) {
	for _, key := range keys {
		t.known = append(t.known, key)
		if t.has(key) {
			at := t.at(key)
			at.onKey = true
			t.fault(at, "not supported yet")
		}
	}
}

// done reports every key that no getter asked for.
func (t *table) done() {
	if t.seen != nil {
		t.seen(t)
	}
	for key := range t.keys {
		if !slices.Contains(t.known, key) {
			at := t.at(key)
			at.onKey = true
			t.fault(at, "unknown key%s", cmp.Or(t.elsewhere[key], didYouMean(key, t.known)))
		}
	}
}

// size is whole for the number of something in memory.
func (t *table) size(key string, otherwise, least, most int) int {
	return int(min(t.whole(key, int64(otherwise), int64(least), int64(most)), math.MaxInt32))
}
