package peers

import "slices"

// EndCell is one row in one scenario.
type EndCell struct {
	Row      EndRow
	Scenario EndScenario
}

// EndCells returns what is played: every scenario with each kind of daemon or,
// where the daemon has no part in it, with one; or with soak the full cross
// product.
func EndCells(soak bool) []EndCell {
	var all []EndCell
	for _, sc := range EndScenarios() {
		for i, row := range EndRows() {
			if soak || slices.Contains(endSample(sc.Name), i) {
				all = append(all, EndCell{row, sc})
			}
		}
	}
	return all
}

// endSample names the rows, by index, in which a scenario is played when time
// is short.
func endSample(scenario string) []int {
	switch scenario {
	case "page":
		return []int{0, 1, 3, 4}
	case "rekey", "NAT-T":
		return []int{0, 3, 4}
	case "restart":
		return []int{1, 2, 5}
	case "faults":
		return []int{0, 2, 4}
	}
	return []int{0}
}
