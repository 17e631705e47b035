package configs

import "strings"

// didYouMean returns `; did you mean "x"?` for the candidate nearest to s, or
// "" if all are further away than two edits.
func didYouMean(s string, candidates []string) string {
	best, least := "", 3
	for _, c := range candidates {
		if d := distance(strings.ToLower(s), strings.ToLower(c), least); d < least {
			best, least = c, d
		}
	}
	// A two-letter word is two edits away from every other one.
	if best == "" || least >= len(s) {
		return ""
	}
	return `; did you mean "` + best + `"?`
}

// distance counts the insertions, deletions, replacements and swaps of
// neighbours that make b of a. It returns limit when there are at least as many.
func distance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	last := make([]int, len(b)+1)
	row := make([]int, len(b)+1)
	next := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		next[0] = i
		for j := 1; j <= len(b); j++ {
			next[j] = min(row[j]+1, next[j-1]+1, row[j-1]+differ(a[i-1], b[j-1]))
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				next[j] = min(next[j], last[j-2]+1)
			}
		}
		last, row, next = row, next, last
	}
	return min(row[len(b)], limit)
}

func differ(a, b byte) int {
	if a == b {
		return 0
	}
	return 1
}

// DidYouMean is what is added to a message about a name that is not there: the
// nearest of those that are, or "".
func DidYouMean(name string, known []string) string { return didYouMean(name, known) }
