package configs

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
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
	text, mark := strings.CutPrefix(text, "\ufeff")
	// Whoever sends a text to be compared may send any: as in read, its depth is
	// looked at before the library descends into it.
	if len(text) > maxText {
		return "", fmt.Errorf("the text has %d bytes; at most %d are read", len(text), maxText)
	}
	places, err := located(text)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	last := 0
	for _, at := range places.secrets {
		if at < last {
			continue // inside of one that is hidden already
		}
		s := &scanner{text: text, at: at, places: emptyPlaces()}
		s.value(nil)
		value := strings.Trim(text[at:s.at], " \t\r")
		if !strings.HasPrefix(strings.TrimLeft(value, `"'`), fileWord) {
			out.WriteString(text[last:at] + instead(value))
			last = at + len(value)
		}
	}
	text = out.String() + text[last:]
	text = remarks(text, instead)
	if mark {
		text = "\ufeff" + text
	}
	return text, nil
}

// located locates what is in a text that is TOML.
func located(text string) (places, error) {
	p, deep := locate(text)
	if deep >= 0 {
		return p, fmt.Errorf("tables and arrays are nested deeper than %d", maxDepth)
	}
	var root map[string]any
	if _, err := toml.Decode(text, &root); err != nil {
		return p, errors.New("the text is not TOML: what of it is secret cannot be told")
	}
	return p, nil
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

func emptyPlaces() places { return places{keys: map[string]int{}, values: map[string]int{}} }
