package commands

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestEachCommandHasAScenario: docs/commands has a page for each command of the
// tree (a test of cmd/spigate holds that); each has a scenario of that name here,
// which runs it and compares what it prints.
func TestEachCommandHasAScenario(t *testing.T) {
	pages, err := filepath.Glob("../../docs/commands/*.md")
	if err != nil || len(pages) < 50 {
		t.Fatalf("%d pages: %v", len(pages), err)
	}
	for _, page := range pages {
		name := strings.TrimSuffix(filepath.Base(page), ".md")
		if name == "README" {
			continue
		}
		if why := unplayed(name, page); why != "" {
			t.Errorf("testdata/%s.txtar %s", name, why)
		}
	}
}

// unplayed says what a scenario lacks.
func unplayed(name, page string) string {
	text, err := os.ReadFile(page)
	if err != nil {
		return err.Error()
	}
	title, _, _ := strings.Cut(string(text), "\n")
	words, ok := strings.CutPrefix(title, "# spigate ")
	if !ok {
		return "belongs to a page without a command: " + title
	}
	scenario, err := os.ReadFile(filepath.Join("testdata", name+".txtar"))
	if err != nil {
		return "is missing: a command needs a scenario"
	}
	script, _, _ := strings.Cut(string(scenario), "\n-- ")
	switch {
	case words == "run":
		words = "run --config"
	case !strings.HasPrefix(script, "# "):
		return "does not begin with a comment that says what it is about"
	case !regexp.MustCompile(`(?m)^(cmp|stdout|holds) `).MatchString(script):
		return "compares nothing"
	}
	if !regexp.MustCompile(`(?m)^(! )?(?:spigate|during \S+ \S+) ` + regexp.QuoteMeta(words) + `( |$)`).MatchString(script) {
		return "does not run spigate " + words
	}
	return ""
}
