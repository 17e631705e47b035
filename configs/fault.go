package configs

import (
	"cmp"
	"errors"
	"fmt"
	"sort"
)

// Fault is one thing that is wrong with a configuration.
type Fault struct {
	File string
	Line int    // from 1
	Col  int    // in bytes, from 1
	Path string // the key, dotted: lsn.group.G1.pools[0]; "" for the file as a whole
	Text string
}

// Error returns "file:line:col: path: text".
func (f Fault) Error() string {
	if f.Path == "" {
		return fmt.Sprintf("%s:%d:%d: %s", f.File, f.Line, f.Col, f.Text)
	}
	return fmt.Sprintf("%s:%d:%d: %s: %s", f.File, f.Line, f.Col, f.Path, f.Text)
}

// Warning is something that works, but perhaps not as its author thinks.
type Warning Fault

// String returns "file:line:col: path: warning: text".
func (w Warning) String() string {
	w.Text = "warning: " + w.Text
	return Fault(w).Error()
}

// Faults takes the error of Parse or Load apart, in the file's order. It
// returns nil for an error of another kind, such as a file that is not there.
func Faults(err error) []Fault {
	var one Fault
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		var out []Fault
		for _, e := range many.Unwrap() {
			out = append(out, Faults(e)...)
		}
		return out
	}
	if errors.As(err, &one) {
		return []Fault{one}
	}
	return nil
}

// join sorts faults as a reader meets them, so that the same text gives the
// same error although TOML tables come in no order.
func join(faults []Fault) error {
	sort.Slice(faults, func(i, j int) bool { return byPlace(faults[i], faults[j]) < 0 })
	errs := make([]error, len(faults))
	for i, f := range faults {
		errs[i] = f
	}
	return errors.Join(errs...)
}

func byPlace(a, b Fault) int {
	return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col),
		cmp.Compare(a.Path, b.Path), cmp.Compare(a.Text, b.Text))
}
