package main

import (
	"os"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The page about imports shows texts, each with the TOML that it becomes and
// with what is told; and commands, which the command line takes.
func TestThePageAboutImportsSaysWhatHappens(t *testing.T) {
	page, err := os.ReadFile("../../docs/import.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := 0
	var dialect, text, stdout, stderr string
	for _, block := range regexp.MustCompile("(?ms)^```(\\w*)(?: [^\n]+)?\n(.*?)^```$").FindAllStringSubmatch(string(page), -1) {
		switch kind := block[1]; kind {
		case "netscaler", "tmsh":
			dialect, text = kind, block[2]
			_, stdout, stderr = spigate(t, "import", dialect, pasted(t, text))
		case "toml":
			if diff := cmp.Diff(block[2], stdout); diff != "" {
				t.Errorf("%s (-page +stdout):\n%s", dialect, diff)
			}
			shown++
		case "text":
			if diff := cmp.Diff(block[2], stderr); diff != "" {
				t.Errorf("%s (-page +stderr):\n%s", dialect, diff)
			}
			shown++
		default:
			for _, line := range regexp.MustCompile(`(?m)^spigate .*$`).FindAllString(block[2], -1) {
				tryExample(t, tree(), "  "+line)
				shown++
			}
		}
	}
	if shown != 11 {
		t.Errorf("%d blocks and commands of the page were looked at", shown)
	}
}
