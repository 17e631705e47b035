package wire

import "spigate/cmd/internal/control"

// LSNLogStats implements control.LSNWorks.
func (v *views) LSNLogStats() (out []control.LSNLogStat) {
	if v.natLog == nil {
		return nil
	}
	for _, t := range v.natLog.Stats() {
		out = append(out, control.LSNLogStat{
			Name: t.Name, Kind: t.Protocol.String(), Address: t.Address, Up: t.Up, Queued: uint64(t.Queued),
			Sent: t.Sent, Lost: t.Lost, Messages: t.Messages, Bytes: t.Bytes, Failures: t.Failures,
		})
	}
	return out
}

// LSNHelperStats implements control.LSNWorks.
func (v *views) LSNHelperStats() (out []control.LSNHelperStat) {
	for _, r := range v.chassis.Routers() {
		f, t, e := r.FTP(), r.TFTP(), r.LSN().Expectations()
		out = append(out,
			control.LSNHelperStat{Name: "ftp", TD: r.Domain(), Counters: map[string]uint64{
				"live": uint64(f.Live), "watched": f.Watched, "unwatched": f.Unwatched, "opened": f.Opened, "foreign": f.Foreign,
				"well_known": f.WellKnown, "refused": f.Refused, "gaps": f.Gaps, "backlog": f.Backlog, "malformed": f.Malformed,
			}},
			control.LSNHelperStat{Name: "tftp", TD: r.Domain(), Counters: map[string]uint64{
				"opened": t.Opened, "strange": t.Strange, "refused": t.Refused,
			}},
			control.LSNHelperStat{Name: "expected", TD: r.Domain(), Counters: map[string]uint64{
				"opened": e.Opened, "used": e.Used, "waiting": uint64(e.Waiting),
			}},
		)
	}
	return out
}
