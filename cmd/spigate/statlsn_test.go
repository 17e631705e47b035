package main

import (
	"strings"
	"testing"

	"spigate/cmd/internal/control"
)

func (h *house) LSNStat(control.Filter) control.LSNStat {
	return control.LSNStat{Subscribers: 2, Protocols: []control.LSNProtocol{
		{Protocol: "TCP", Sessions: 12, RxPackets: 1200, RxBytes: 1_500_000, TxPackets: 900, TxBytes: 60_000, Dropped: 3},
		{Protocol: "UDP", Sessions: 3, RxPackets: 30, RxBytes: 4000, TxPackets: 30, TxBytes: 2000},
		{Protocol: "ICMP", Dropped: 1},
	}}
}

func (h *house) ClearLSNStat(f control.Filter) control.LSNStat {
	h.flushed = append(h.flushed, "stat lsn")
	return h.LSNStat(f)
}

func (h *house) LSNGroupStats() []control.LSNStat {
	if h.empty {
		return nil
	}
	rows := []control.LSNStat{h.LSNStat(control.Filter{}), {Protocols: []control.LSNProtocol{{Protocol: "TCP"}, {Protocol: "UDP"}, {Protocol: "ICMP"}}}}
	names, domains := []string{"LSN-GROUP-1", "LSN-GROUP-2"}, []uint16{0, 7}
	for i := range rows {
		rows[i].Group, rows[i].TD = &names[i], &domains[i]
	}
	return rows
}

func (h *house) LSNPoolStats() []control.LSNPoolStat {
	if h.empty {
		return nil
	}
	return []control.LSNPoolStat{{Name: "LSN-POOL-1", Addresses: 8, Allocated: 3, TCP: 12.345, NonTCP: 0.05}}
}

func (h *house) LSNStatics() []control.LSNStatic {
	if h.empty {
		return nil
	}
	inside, out := uint16(80), uint16(8080)
	return []control.LSNStatic{
		{Name: "web", Protocol: "TCP", SubscriberIP: ip(clientA), SubscriberPort: &inside, NATIP: ip(outside), NATPort: &out,
			DestIP: control.Addr{Addr: ip("198.51.100.7")}, Status: control.StatusActive, Group: "LSN-GROUP-1"},
		{Name: "all", Protocol: "ALL", SubscriberIP: ip(clientB), SubscriberTD: 7, NATIP: ip("203.0.113.99"), Status: control.StatusInactive, Group: "LSN-GROUP-2"},
	}
}

func TestStatLSNClearsWhatItHasPrinted(t *testing.T) {
	h := &house{}
	socket, _ := daemon(t, h)
	code, stdout, stderr := spigate(t, "stat", "lsn", "--clear-stats", "basic", "--socket", socket)
	if code != exitOK || stderr != "" || len(h.flushed) != 1 {
		t.Errorf("exit %d, %q, %q", code, stderr, h.flushed)
	}
	golden(t, "lsn-stat.txt", stdout)
	for _, args := range []string{"stat lsn --clear-stats half", "stat lsn --clear-stats full --watch 2s"} {
		if code, _, _ := spigate(t, append(strings.Fields(args), "--socket", socket)...); code != exitUsage || len(h.flushed) != 1 {
			t.Errorf("%s: exit %d", args, code)
		}
	}
	if code, _, _ := spigate(t, "stat", "lsn", "group", "X", "--socket", socket); code != exitNotFound {
		t.Errorf("a group that there is not: exit %d", code)
	}
}
