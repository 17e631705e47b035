package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"spigate/cmd/internal/control"
)

func (h *house) ConfirmConfig(by string) (control.ConfigConfirmed, error) {
	h.flushed = append(h.flushed, "confirm")
	eight := uint64(8)
	return control.ConfigConfirmed{Path: "/overlay/spigate/running.toml", Sequence: &eight, Comment: "second office", Left: 120}, h.refuses
}

func (h *house) RollbackConfig(n int, by string) (control.ConfigApplied, error) {
	h.flushed = append(h.flushed, fmt.Sprint("rollback ", n))
	nine := uint64(9)
	a := control.ConfigApplied{Applied: control.AppliedLive, Written: true, Path: "/overlay/spigate/running.toml", Sequence: &nine}
	a.Sessions.Add(control.ConfigSessionsKind{Kind: "lsn_session", Kept: 40, Cleared: 2})
	return a, h.refuses
}

func (h *house) ConfigHistory() ([]control.ConfigRevision, error) {
	zero, one, at, eight, seven := 0, 1, "2026-03-01T13:05:06Z", uint64(8), uint64(7)
	sum := "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
	return []control.ConfigRevision{
		{Sequence: &eight, Time: &at, By: "root", Comment: "second office", Size: 812, SHA256: sum, State: control.RevisionPending},
		{Number: &zero, Sequence: &seven, Time: &at, By: "uid 1000", Size: 799, SHA256: sum, State: control.RevisionConfirmed},
		{Number: &one, State: control.RevisionDamaged, Why: "the file is empty"},
	}, h.refuses
}

func (h *house) DiffConfig(text []byte, against string) (control.ConfigDiff, error) {
	if text == nil {
		return control.ConfigDiff{Same: true}, h.refuses
	}
	return control.ConfigDiff{Text: "--- " + against + "\n+++ new\n@@ -1 +1 @@\n-a = 1\n+a = 2\n"}, h.refuses
}

func TestWhatBecomesOfAConfigurationIsToldAsThisSays(t *testing.T) {
	h := &house{}
	socket, _ := daemon(t, h)
	good := filepath.Join(files(t), "good.toml")
	for words, want := range map[string]struct {
		code   int
		golden string
	}{
		"config confirm":                       {exitOK, "config-confirm"},
		"config rollback":                      {exitOK, "config-rollback"},
		"config rollback 3":                    {exitOK, "config-rollback"},
		"config history":                       {exitOK, "config-history"},
		"config diff":                          {exitOK, "config-diff-same"},
		"config diff " + good + " --against 3": {exitFailed, "config-diff"},
	} {
		code, text, stderr := spigate(t, append(strings.Fields(words), "--socket", socket)...)
		if code != want.code || stderr != "" {
			t.Errorf("%s: exit %d, %s", words, code, stderr)
		}
		golden(t, want.golden+".txt", text)
		code, text, _ = spigate(t, append(strings.Fields(words), "--json", "--socket", socket)...)
		if code != want.code {
			t.Errorf("%s --json: exit %d", words, code)
		}
		golden(t, want.golden+".json", text)
	}
	if got := strings.Join(h.flushed, ","); strings.Count(got, "rollback -1") != 2 || strings.Count(got, "rollback 3") != 2 || strings.Count(got, "confirm") != 2 {
		t.Errorf("asked %s", got)
	}
}

func TestATimeToConfirmIsToldWithTheApply(t *testing.T) {
	h := &house{}
	socket, _ := daemon(t, h)
	plain := filepath.Join(t.TempDir(), "plain.toml")
	if err := os.WriteFile(plain, []byte("version = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, text, stderr := spigate(t, "config", "apply", plain, "--confirm", "5m", "--socket", socket)
	if want := "applied: live for 5m; confirm it with: spigate config confirm\nsessions: 40 kept, 2 cleared, 1 refused (lsn_session 40, 2, 1)\n"; code != exitOK || text != want || stderr != "" {
		t.Errorf("exit %d, %q, %q", code, text, stderr)
	}
	left := control.Seconds(250)
	h.status = healthy()
	h.status.Confirm = &left
	if _, text, _ := spigate(t, "show", "status", "--socket", socket); !strings.Contains(text, "rolled back in 4m10s unless it is confirmed") {
		t.Errorf("the status is\n%s", text)
	}
}

func TestWhatALifeCannotTakeIsRefusedWithWords(t *testing.T) {
	h := &house{}
	socket, _ := daemon(t, h)
	plain := filepath.Join(t.TempDir(), "plain.toml")
	if err := os.WriteFile(plain, []byte("version = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for words, want := range map[string]struct {
		code int
		says string
	}{
		"config apply FILE --confirm 0":        {exitUsage, "want a time from 1s to 24h, as 5m"},
		"config apply FILE --confirm 0s":       {exitUsage, "want a time from"},
		"config apply FILE --confirm=-5m":      {exitUsage, "want a time from"},
		"config apply FILE --confirm 8760h":    {exitUsage, "want a time from"},
		"config apply FILE --confirm 5":        {exitUsage, "want a time from"},
		"config apply FILE --confirm":          {exitUsage, "flag needs an argument"},
		"config confirm now":                   {exitUsage, "unknown"},
		"config rollback -- -1":                {exitUsage, "want a number of"},
		"config rollback last":                 {exitUsage, "want a number of"},
		"config rollback 99999999999999999999": {exitUsage, "want a number of"},
		"config rollback 1 2":                  {exitUsage, "at most 1 arg"},
		"config history 1":                     {exitUsage, "unknown"},
		"config diff FILE FILE":                {exitUsage, "at most 1 arg"},
		"config diff /nowhere/at/all":          {exitUsage, "no such file"},
		"config diff --against":                {exitUsage, "flag needs an argument"},
	} {
		args := strings.Fields(strings.ReplaceAll(words, "FILE", plain))
		args = append(args[:2:2], append([]string{"--socket", socket}, args[2:]...)...)
		if code, _, stderr := spigate(t, args...); code != want.code || !strings.Contains(stderr, want.says) {
			t.Errorf("%s: exit %d, %s", words, code, stderr)
		}
	}
	h.refuses = &control.Error{Message: "nothing waits for its confirmation", Code: control.CodeNothingPending}
	if code, _, stderr := spigate(t, "config", "confirm", "--socket", socket); code != exitFailed || !strings.Contains(stderr, "nothing waits") {
		t.Errorf("exit %d, %s", code, stderr)
	}
	if code, _, stderr := spigate(t, "config", "diff", "--socket", socket); code != exitUsage || !strings.Contains(stderr, "nothing waits") {
		t.Errorf("a comparison that fails looks like a difference: exit %d, %s", code, stderr)
	}
}
