//go:build !noweb

package web

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"spigate/configs"
)

// A form is an object as people fill it in: every field is a list of texts, and
// what is empty is not in the configuration, so that the default holds.

// formField is a field with what stands in it.
type formField struct {
	Key, Label, Hint string
	Input            string // "text", "choice", "names"
	Value            string
	Options          []option
}

type option struct {
	Value, Label string
	Chosen       bool
}

// fieldPrefix begins the name under which a field comes with a form: names of keys
// cannot be those of its own parts.
const fieldPrefix = "f."

// filled makes the fields of a form, of an object or of a form that was sent.
func (k *kind) filled(values map[string][]string, names func(path []string) []string) (out []formField) {
	for _, f := range k.fields {
		was := values[f.key]
		field := formField{Key: fieldPrefix + f.key, Label: f.label, Hint: f.hint, Input: "text", Value: strings.Join(was, ", ")}
		switch f.input {
		case asFlag:
			field.Input, field.Options = "choice", chosen([]option{{"", "default", false}, {"true", "yes", false}, {"false", "no", false}}, was)
		case asChoice:
			field.Input, field.Options = "choice", chosen(options("default", f.choices, was), was)
		case asName:
			field.Input, field.Options = "choice", chosen(options("none", names(f.of), was), was)
		case asNames:
			field.Input, field.Options = "names", chosen(options("", names(f.of), was)[1:], was)
		}
		out = append(out, field)
	}
	return out
}

// options are words to choose from, the first of which is to choose none. One
// that is written and is not among them stays: a form loses nothing.
func options(none string, words, was []string) []option {
	out := []option{{"", none, false}}
	for _, w := range words {
		out = append(out, option{w, w, false})
	}
	for _, w := range was {
		if !slices.Contains(words, w) && w != "" {
			out = append(out, option{w, w, false})
		}
	}
	return out
}

// chosen marks what is. A word of an enumeration may be written in any case.
func chosen(all []option, was []string) []option {
	for i := range all {
		all[i].Chosen = slices.ContainsFunc(was, func(w string) bool { return strings.EqualFold(w, all[i].Value) }) ||
			len(was) == 0 && all[i].Value == "" && all[i].Label != ""
	}
	return all
}

// sent reads a form that was sent.
func (k *kind) sent(form url.Values) map[string][]string {
	out := map[string][]string{}
	for _, f := range k.fields {
		var texts []string
		for _, text := range form[fieldPrefix+f.key] {
			if f.input == asList {
				texts = append(texts, strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\n' || r == '\r' })...)
			} else if text = strings.TrimSpace(text); text != "" {
				texts = append(texts, text)
			}
		}
		if len(texts) > 0 {
			out[f.key] = texts
		}
	}
	return out
}

// changes are what turns an object into what a form has. Of an object that is
// not there was is nil.
func (k *kind) changes(name string, was *configs.Object, form map[string][]string) (out []configs.Change) {
	path := func(key ...string) []string { return slices.Concat(k.path, []string{name}, key) }
	if was == nil {
		out = append(out, configs.Change{Path: path(), Value: "{}"})
		was = &configs.Object{}
	}
	for _, f := range k.fields {
		is, old := form[f.key], was.Values[f.key]
		switch {
		case f.same(is, old):
		case len(is) == 0:
			out = append(out, configs.Change{Path: path(f.key)})
		default:
			out = append(out, configs.Change{Path: path(f.key), Value: f.value(is)})
		}
	}
	return out
}

// same reports whether a field has not been touched. Names of a set have no
// order in a form: the author's stays.
func (f *field) same(is, old []string) bool {
	if f.input == asNames {
		is, old = slices.Sorted(slices.Values(is)), slices.Sorted(slices.Values(old))
	}
	return slices.EqualFunc(is, old, func(a, b string) bool { return a == b || f.input == asChoice && strings.EqualFold(a, b) })
}

// value is a field in TOML.
func (f *field) value(texts []string) string {
	switch f.input {
	case asList, asNames:
		return configs.Texts(texts)
	case asNumber:
		if n, err := strconv.ParseInt(texts[0], 10, 64); err == nil {
			return configs.Number(n)
		}
	case asFlag:
		return configs.Flag(texts[0] == "true")
	}
	return configs.Text(texts[0])
}
