package configs

import (
	"errors"
	"regexp"
	"slices"
	"sort"
	"strings"

	"github.com/BurntSushi/toml"
)

// concealed stands in place of a secret. It is no TOML, so that a text that was
// shown and is applied again is refused there, and no tunnel gets it as its key.
const concealed = "<secret>"

// Conceal returns a configuration's text without the secrets that are written in
// it, also in its comments; those in files are not in it anyway. The text must be TOML.
func Conceal(text string) (string, error) {
	return conceal(text, func(string) string { return concealed })
}

// conceal puts into the place of each secret, as it is written, what instead says.
func conceal(text string, instead func(written string) string) (string, error) {
	var root map[string]any
	text, mark := strings.CutPrefix(text, "\ufeff")
	if _, err := toml.Decode(text, &root); err != nil {
		return "", errors.New("the text is not TOML: what of it is secret cannot be told")
	}
	places, _ := locate(text)
	type span struct{ from, to int }
	var spans []span
	for path, at := range places.values {
		parts := strings.Split(path, "\x00")
		if !isSecret(parts[len(parts)-1]) {
			continue
		}
		s := &scanner{text: text, at: at, places: emptyPlaces()}
		s.value(nil)
		value := strings.Trim(text[at:s.at], " \t\r")
		if !strings.HasPrefix(strings.TrimLeft(value, `"'`), fileWord) {
			spans = append(spans, span{at, at + len(value)})
		}
	}
	sort.Slice(spans, func(i, j int) bool { return spans[i].from > spans[j].from })
	for _, s := range spans {
		text = text[:s.from] + instead(text[s.from:s.to]) + text[s.to:]
	}
	text = remarks(text, instead)
	if mark {
		text = "\ufeff" + text
	}
	return text, nil
}

// remarks conceals secrets that are out of use, or were moved to a file, and
// stand in a comment still. A string with a # in it may look like one.
func remarks(text string, instead func(string) string) string {
	secret := regexp.MustCompile(`(?i)\b(?:psk|encrypt_key|auth_key|password)["']?[ \t]*=[ \t]*("[^"]*"?|'[^']*'?|[^\s,}]+)`)
	return regexp.MustCompile(`#[^\n]*`).ReplaceAllStringFunc(text, func(remark string) string {
		var out strings.Builder
		last := 0
		for _, at := range secret.FindAllStringSubmatchIndex(remark, -1) {
			if !strings.HasPrefix(strings.TrimLeft(remark[at[2]:at[3]], `"'`), fileWord) {
				out.WriteString(remark[last:at[2]] + instead(remark[at[2]:at[3]]))
				last = at[3]
			}
		}
		return out.String() + remark[last:]
	})
}

// isSecret reports whether values of a key are secrets, in whatever table: one
// too many that is not shown does no harm.
func isSecret(key string) bool {
	return slices.Contains([]string{"psk", "encrypt_key", "auth_key", "password"}, strings.ToLower(key))
}

func emptyPlaces() places { return places{map[string]int{}, map[string]int{}} }
