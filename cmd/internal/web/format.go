//go:build !noweb

package web

import (
	"crypto/sha256"
	"fmt"
	"html/template"
	"io/fs"
	"math"
	"strconv"
	"strings"
	"time"

	"spigate/cmd/internal/control"
)

// functions are what the templates call.
func functions() template.FuncMap {
	return template.FuncMap{
		"num":   grouped,
		"short": func(n uint64) string { return short(float64(n)) },
		"rate":  short,
		"asset": asset,
		"join":  func(w control.Words) string { return strings.Join(w, ", ") },
		"or0":   func(n *uint64) string { return optional(n) },
		"port":  optionalPort,
		"ms":    milliseconds,
		"share": share,
		"lower": strings.ToLower,
		"spell": spell,
		"diff":  diffLines,
	}
}

// grouped prints a number with its digits in threes.
func grouped(n uint64) string {
	text := strconv.FormatUint(n, 10)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "\u202f" + text[i:] // a narrow space that breaks no line
	}
	return text
}

// short prints a number as BIG-IP does: three digits and a letter.
func short(v float64) string {
	if math.IsNaN(v) {
		return "-"
	}
	letters := []string{"", "K", "M", "G", "T", "P"}
	i := 0
	for v >= 999.5 && i < len(letters)-1 {
		v /= 1000
		i++
	}
	text := strconv.FormatFloat(v, 'f', 1, 64)
	if v >= 100 || i == 0 && v >= 10 {
		text = strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strings.TrimSuffix(text, ".0") + letters[i]
}

func optional(n *uint64) string {
	if n == nil {
		return "-"
	}
	return grouped(*n)
}

func optionalPort(n *uint16) string {
	if n == nil {
		return ""
	}
	return ":" + strconv.Itoa(int(*n))
}

func milliseconds(n uint64) string { return (time.Duration(n) * time.Millisecond).String() }

// share is part of whole in percent, for a meter.
func share(part, whole uint64) string {
	if whole == 0 {
		return "0"
	}
	return strconv.FormatFloat(100*float64(part)/float64(whole), 'f', 1, 64)
}

// diffLine is a line of a difference with the class that colours it.
type diffLine struct{ Class, Text string }

// diffLines takes a unified difference apart.
func diffLines(text string) (out []diffLine) {
	for line := range strings.Lines(text) {
		d := diffLine{"", strings.TrimSuffix(line, "\n")}
		switch {
		case strings.HasPrefix(line, "+++"), strings.HasPrefix(line, "---"), strings.HasPrefix(line, "@@"):
			d.Class = "at"
		case strings.HasPrefix(line, "+"):
			d.Class = "plus"
		case strings.HasPrefix(line, "-"):
			d.Class = "minus"
		}
		out = append(out, d)
	}
	return out
}

// spell prints a word of an enumeration for people.
func spell(word string) string { return strings.ReplaceAll(word, "_", " ") }

// asset is the address of a file of ours, which another build has another of.
func asset(name string) (string, error) {
	text, err := fs.ReadFile(assetFiles, "assets/"+name)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return fmt.Sprintf("/assets/%s?v=%x", name, sum[:4]), nil
}
