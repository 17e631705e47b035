// Package report turns what was measured into what people and programs read:
// medians with their spread, the goals and whether they are met, a Markdown
// file, a plot, and a JSON file for comparison between versions.
package report
