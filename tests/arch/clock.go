package arch

import (
	"go/ast"
	"strings"
)

// ClockOwner is the one file outside cmd that may read the time.
const ClockOwner = "netstack/clock.go"

// readsClock lists what reads the machine's clock or waits for it.
func readsClock(name string) bool {
	switch name {
	case "Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker":
		return true
	}
	return false
}

// CheckClock: time is an argument. Only cmd, the clock's owner and the programs
// below tests read the clock. No test sleeps, except programs that play real
// machines or measure.
func CheckClock(t *Tree) []Finding {
	var out []Finding
	for _, f := range t.Files {
		t.calls(f, "time", func(sel *ast.SelectorExpr) {
			name := sel.Sel.Name
			switch {
			case !readsClock(name):
			case name == "Sleep" && (f.Test || within(f.Dir, "tests")):
				if f.Test || !playsMachines(f.Dir) {
					out = append(out, t.at(f, sel, "a test sleeps"))
				}
			case within(f.Dir, "cmd"), within(f.Dir, "tests"), f.Path == ClockOwner:
			default:
				out = append(out, t.at(f, sel, "uses time.%s: take the time as an argument", name))
			}
		})
	}
	return out
}

func playsMachines(dir string) bool { return within(dir, "tests/netns") || within(dir, "tests/bench") }

// CheckSkip: no test is skipped: what cannot run here would never be missed.
func CheckSkip(t *Tree) []Finding {
	var out []Finding
	for _, f := range t.Files {
		ast.Inspect(f.AST, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || !f.Test {
				return true
			}
			if id, ok := sel.X.(*ast.Ident); ok && len(id.Name) <= 2 && strings.HasPrefix(sel.Sel.Name, "Skip") {
				out = append(out, t.at(f, call, "a test is skipped"))
			}
			return true
		})
	}
	return out
}
