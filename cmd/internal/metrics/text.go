package metrics

import (
	"math"
	"strconv"
)

// contentType is that of the text format.
const contentType = "text/plain; version=0.0.4; charset=utf-8"

// Kinds of families.
const (
	counter = "counter"
	gauge   = "gauge"
)

// text is an answer that is being written.
type text struct{ b []byte }

// family is one metric with all its label values. Its head is written before
// its first sample: one that has none is not there at all.
type family struct {
	to               *text
	name, kind, help string
	begun            bool
}

// family begins one. Every sample of it must come before the next family's.
func (t *text) family(name, kind, help string) *family {
	return &family{to: t, name: "spigate_" + name, kind: kind, help: help}
}

// counter and gauge begin a family and write its only sample.
func (t *text) counter(name, help string, n uint64) { t.family(name, counter, help).add(n) }
func (t *text) gauge(name, help string, n uint64)   { t.family(name, gauge, help).add(n) }

// seconds is gauge for what has a fraction.
func (t *text) seconds(name, help string, s float64) { t.family(name, gauge, help).float(s) }

// add writes a sample; labels are names and values in turn.
func (f *family) add(n uint64, labels ...string) {
	f.sample(labels)
	f.to.b = append(strconv.AppendUint(f.to.b, n, 10), '\n')
}

// float is add for what is no whole number.
func (f *family) float(n float64, labels ...string) {
	f.sample(labels)
	switch {
	case math.IsInf(n, 1):
		f.to.b = append(f.to.b, "+Inf\n"...)
	default:
		f.to.b = append(strconv.AppendFloat(f.to.b, n, 'g', -1, 64), '\n')
	}
}

// is writes 1 or 0.
func (f *family) is(yes bool, labels ...string) {
	var n uint64
	if yes {
		n = 1
	}
	f.add(n, labels...)
}

// sample writes all of a line but its value.
func (f *family) sample(labels []string) {
	b := f.to.b
	if !f.begun {
		f.begun = true
		b = append(append(append(append(b, "# HELP "...), f.name...), ' '), f.help...)
		b = append(append(append(append(b, "\n# TYPE "...), f.name...), ' '), f.kind...)
		b = append(b, '\n')
	}
	b = append(b, f.name...)
	for i := 0; i+1 < len(labels); i += 2 {
		sep := byte(',')
		if i == 0 {
			sep = '{'
		}
		b = append(append(append(b, sep), labels[i]...), `="`...)
		b = append(escape(b, labels[i+1]), '"')
	}
	if len(labels) > 0 {
		b = append(b, '}')
	}
	f.to.b = append(b, ' ')
}

// escape writes a label's value: names in a configuration may have any letter.
func escape(b []byte, value string) []byte {
	for i := range len(value) {
		switch c := value[i]; c {
		case '\\', '"':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, `\n`...)
		default:
			b = append(b, c)
		}
	}
	return b
}
