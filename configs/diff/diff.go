// Package diff compares two texts line by line and writes what differs as a
// unified diff, as diff -u does.
//
// It is Myers's algorithm ("An O(ND) Difference Algorithm and Its Variations",
// Algorithmica 1986) between what the texts begin and end with in common. Its
// time and memory are bounded: texts that differ in more than some thousand
// lines are told as one block that goes and one that comes, which is right,
// though not the shortest.
//
// It does not know what the lines mean.
package diff

import (
	"fmt"
	"strings"
)

// Block is a place where two texts differ: lines From…To of the old one stand
// where those of the new one do, counted from 0, To not included.
type Block struct{ OldFrom, OldTo, NewFrom, NewTo int }

// maxEdits bounds the work: memory grows with its square, 4 bytes each.
const maxEdits = 1500

// Split cuts a text into lines. What is behind the last newline is a line, too,
// unless it is empty.
func Split(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

// Blocks returns the places where two texts differ, in their order; at least one
// line that both have is between two of them.
func Blocks(old, now []string) (out []Block) {
	head := 0
	for head < len(old) && head < len(now) && old[head] == now[head] {
		head++
	}
	tail := 0
	for tail < len(old)-head && tail < len(now)-head && old[len(old)-1-tail] == now[len(now)-1-tail] {
		tail++
	}
	at := Block{head, head, head, head}
	for _, s := range edits(old[head:len(old)-tail], now[head:len(now)-tail]) {
		switch s.kind {
		case removed:
			at.OldTo += s.n
		case added:
			at.NewTo += s.n
		default:
			out = at.appendTo(out)
			at = Block{at.OldTo + s.n, at.OldTo + s.n, at.NewTo + s.n, at.NewTo + s.n}
		}
	}
	return at.appendTo(out)
}

func (b Block) appendTo(list []Block) []Block {
	if b.OldFrom == b.OldTo && b.NewFrom == b.NewTo {
		return list
	}
	return append(list, b)
}

// kind says what became of lines.
type kind uint8

const (
	same kind = iota
	removed
	added
)

// step is a number of lines of one kind.
type step struct {
	kind kind
	n    int
}

// edits is the shortest way from old to now, or the plainest if that is too long.
func edits(old, now []string) []step {
	whole := []step{{removed, len(old)}, {added, len(now)}}
	if len(old) == 0 || len(now) == 0 {
		return whole
	}
	// reach[k] is how far into old the furthest way on diagonal k gets; trail has
	// it for each number of edits.
	most := min(maxEdits, len(old)+len(now))
	reach := make([]int32, 2*most+3)
	at := func(k int) *int32 { return &reach[k+most+1] }
	var trail [][]int32
	for d := 0; d <= most; d++ {
		for k := -d; k <= d; k += 2 {
			x := *at(k - 1) + 1
			if k == -d || k != d && *at(k - 1) < *at(k + 1) {
				x = *at(k + 1)
			}
			for int(x) < len(old) && int(x)-k < len(now) && int(x)-k >= 0 && old[x] == now[int(x)-k] {
				x++
			}
			*at(k) = x
			if int(x) >= len(old) && int(x)-k >= len(now) {
				return back(trail, d, k, int(x))
			}
		}
		trail = append(trail, append([]int32(nil), reach[most+1-d:most+2+d]...))
	}
	return whole
}

// back follows the trail from the end to the beginning.
func back(trail [][]int32, d, k, x int) []step {
	var reversed []step
	add := func(kind kind, n int) {
		if n > 0 {
			reversed = append(reversed, step{kind, n})
		}
	}
	for ; d > 0; d-- {
		before := trail[d-1] // of diagonals -(d-1) … d-1
		reach := func(k int) int {
			if i := k + d - 1; i >= 0 && i < len(before) {
				return int(before[i])
			}
			return -1
		}
		down := k == -d || k != d && reach(k-1) < reach(k+1)
		if down {
			from := reach(k + 1)
			add(same, x-from)
			add(added, 1)
			k, x = k+1, from
			continue
		}
		from := reach(k - 1)
		add(same, x-from-1)
		add(removed, 1)
		k, x = k-1, from
	}
	add(same, x)
	out := make([]step, 0, len(reversed))
	for i := len(reversed) - 1; i >= 0; i-- {
		out = append(out, reversed[i])
	}
	return out
}

// context is how many lines stand around what differs.
const context = 3

// Texts are two texts in lines, as they are to be printed.
type Texts struct {
	Old, New         []string
	OldName, NewName string
}

// Unified writes the blocks with the lines around them, "" if there are none.
// Same prints a line that both have, in the old text's words; Changed those of a
// block.
func (t *Texts) Unified(blocks []Block, same func(string) string, changed func(old, now []string) (was, is []string)) string {
	var out strings.Builder
	for len(blocks) > 0 {
		n := 1
		for n < len(blocks) && blocks[n].OldFrom-blocks[n-1].OldTo <= 2*context {
			n++
		}
		if out.Len() == 0 {
			fmt.Fprintf(&out, "--- %s\n+++ %s\n", t.OldName, t.NewName)
		}
		t.hunk(&out, blocks[:n], same, changed)
		blocks = blocks[n:]
	}
	return out.String()
}

// hunk writes blocks that share the lines between them.
func (t *Texts) hunk(out *strings.Builder, blocks []Block, same func(string) string, changed func(old, now []string) (was, is []string)) {
	first, last := blocks[0], blocks[len(blocks)-1]
	before := min(context, first.OldFrom)
	after := min(context, len(t.Old)-last.OldTo)
	fmt.Fprintf(out, "@@ -%s +%s @@\n", span(first.OldFrom-before, last.OldTo+after), span(first.NewFrom-before, last.NewTo+after))
	write := func(mark string, lines []string) {
		for _, l := range lines {
			out.WriteString(mark + l + "\n")
		}
	}
	at := first.OldFrom - before
	between := func(to int) {
		for ; at < to; at++ {
			out.WriteString(" " + same(t.Old[at]) + "\n")
		}
	}
	for _, b := range blocks {
		between(b.OldFrom)
		was, is := changed(t.Old[b.OldFrom:b.OldTo], t.New[b.NewFrom:b.NewTo])
		write("-", was)
		write("+", is)
		at = b.OldTo
	}
	between(last.OldTo + after)
}

// span is a place of a hunk: of no lines it is the line before.
func span(from, to int) string {
	switch to - from {
	case 0:
		return fmt.Sprintf("%d,0", from)
	case 1:
		return fmt.Sprint(to)
	}
	return fmt.Sprintf("%d,%d", from+1, to-from)
}
