package main

import "spigate/cmd/internal/control"

func (h *house) LSNLogStats() []control.LSNLogStat {
	if h.empty {
		return nil
	}
	return []control.LSNLogStat{
		{Name: "archive", Kind: "syslog", Address: "192.0.2.250:514", Up: true, Queued: 2, Sent: 1200, Messages: 300, Bytes: 96000},
		{Name: "collector", Kind: "ipfix", Address: "192.0.2.251:4739", Queued: 8192, Sent: 10, Lost: 77, Messages: 3, Bytes: 900, Failures: 4},
	}
}

func (h *house) LSNHelperStats() []control.LSNHelperStat {
	if h.empty {
		return nil
	}
	return []control.LSNHelperStat{
		{Name: "ftp", Counters: map[string]uint64{"live": 1, "watched": 12, "opened": 9}},
		{Name: "tftp", Counters: map[string]uint64{"opened": 3, "strange": 1}},
		{Name: "expected", TD: 7, Counters: map[string]uint64{"opened": 12, "used": 11, "waiting": 1}},
	}
}
