package configs

import (
	"fmt"
	"regexp"
	"strings"

	"spigate/configs/diff"
)

// Compare returns a unified diff of two configurations, "" if they are the same
// but perhaps for the newline at their end. Secrets are shown on neither side,
// and yet one that is another can be told: it is "<secret, changed>". Both texts
// must be TOML.
func Compare(old, now, oldName, newName string) (string, error) {
	numbers := map[string]int{}
	number := func(written string) string {
		if _, known := numbers[written]; !known {
			numbers[written] = len(numbers)
		}
		return fmt.Sprintf("<secret\x00%d>", numbers[written])
	}
	was, err := conceal(old, number)
	if err != nil {
		return "", fmt.Errorf("%s: %w", oldName, err)
	}
	is, err := conceal(now, number)
	if err != nil {
		return "", fmt.Errorf("%s: %w", newName, err)
	}
	t := diff.Texts{Old: diff.Split(was), New: diff.Split(is), OldName: oldName, NewName: newName}
	marks := numbered{regexp.MustCompile("<secret\x00[0-9]+>")}
	return t.Unified(diff.Blocks(t.Old, t.New), marks.bare, func(old, now []string) (was, is []string) {
		return marks.against(old, now), marks.against(now, old)
	}), nil
}

// numbered finds the secrets that stand in a text as numbers. A text of TOML has
// no byte of zero.
type numbered struct{ *regexp.Regexp }

// bare is a line without the numbers.
func (n numbered) bare(line string) string { return n.ReplaceAllString(line, concealed) }

// against returns lines without the numbers: a secret is marked as changed where
// the other lines have one that is the same but for its secrets.
func (n numbered) against(lines, others []string) []string {
	like := map[string]string{}
	for _, o := range others {
		like[n.bare(o)] = o
	}
	out := make([]string, len(lines))
	for i, l := range lines {
		other, known := like[n.bare(l)]
		theirs := n.FindAllString(other, -1)
		at := 0
		out[i] = n.ReplaceAllStringFunc(l, func(mine string) string {
			at++
			// A line may say <secret> in plain words.
			if known && (at > len(theirs) || mine != theirs[at-1]) {
				return strings.Replace(concealed, ">", ", changed>", 1)
			}
			return concealed
		})
	}
	return out
}
