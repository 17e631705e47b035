package doctor

import (
	"fmt"

	"spigate/cmd/internal/control"
)

// report is the tree while it grows.
type report struct {
	rows []control.Check
	part int // the row of the part that is being looked at
}

// begin starts a part. Its row stays as it is if nothing is added behind it.
func (r *report) begin(part, found string) {
	r.part = len(r.rows)
	r.rows = append(r.rows, control.Check{Part: part, State: control.CheckOK, Found: found})
}

// end makes the part's row sum up those behind it.
func (r *report) end() {
	all := r.rows[r.part+1:]
	well := 0
	worst := control.CheckOK
	for _, c := range all {
		if c.State == control.CheckOK {
			well++
		}
		if rank(c.State) > rank(worst) {
			worst = c.State
		}
	}
	row := &r.rows[r.part]
	row.State = worst
	if len(all) > 0 && row.Found == "" {
		row.Found = fmt.Sprintf("%d of %d are well", well, len(all))
	}
}

func rank(state string) int {
	return map[string]int{control.CheckOK: 0, control.CheckWarn: 1, control.CheckFail: 2}[state]
}

func (r *report) ok(name, format string, args ...any) {
	r.add(control.CheckOK, name, "", format, args...)
}

func (r *report) warn(name, do, format string, args ...any) {
	r.add(control.CheckWarn, name, do, format, args...)
}

func (r *report) fail(name, do, format string, args ...any) {
	r.add(control.CheckFail, name, do, format, args...)
}

func (r *report) add(state, name, do, format string, args ...any) {
	c := control.Check{Part: r.rows[r.part].Part, Name: &name, State: state, Found: fmt.Sprintf(format, args...)}
	if do != "" {
		c.Do = &do
	}
	r.rows = append(r.rows, c)
}

// Worst is the state of the worst row.
func Worst(rows []control.Check) string {
	worst := control.CheckOK
	for _, c := range rows {
		if rank(c.State) > rank(worst) {
			worst = c.State
		}
	}
	return worst
}
