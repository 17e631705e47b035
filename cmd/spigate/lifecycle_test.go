package main

import (
	"fmt"

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
