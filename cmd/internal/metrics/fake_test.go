package metrics

import (
	"net/netip"
	"testing"

	"go.uber.org/goleak"

	"spigate/cmd/internal/control"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// house is a router with one of everything. Of the backend it has what a scrape
// may ask: a view that walks over sessions is a nil pointer.
type house struct {
	control.Backend
	status control.Status
	scans  int // how often it was read
}

func newHouse() *house {
	left := control.Seconds(240.5)
	return &house{status: control.Status{
		Confirm: &left,
		Ready:   true, Uptime: 61.5, FastHits: 900, SlowHits: 41, Flows: 4, FlowCapacity: 65536,
		Offload: control.Offload{Flows: 1, Capacity: 8192, Packets: 70000, Refused: 2, Left: []control.OffloadLeft{{Reason: "miss", Frames: 8041}}},
		Ports: []control.PortStatus{
			{Port: "lan", Interface: "inside", Up: true, RxFrames: 5000, RxBytes: 640000, TxFrames: 4000, TxBytes: 512000, Lost: 7},
			{Port: "wan", Interface: "external", RxFrames: 4001, RxBytes: 512100, TxFrames: 4999, TxBytes: 639000},
			{Port: "lan", Interface: `guests "2"\`, Up: true, RxFrames: 1, RxBytes: 60, Lost: 7},
		},
	}}
}

func (h *house) Status() control.Status { h.scans++; return h.status }

func (h *house) Version() control.Version {
	return control.Version{Version: "v1.2.3", Revision: "abc", Go: "go1.26", OS: "linux", Arch: "arm"}
}

func (h *house) Drops() []control.Drop {
	return []control.Drop{{Reason: "no_free_port", Count: 12, Rate: 3}, {Reason: "ah"}}
}

func (h *house) Meters() control.Metered {
	return control.Metered{
		Flow: control.FlowMeter{Hits: 900, Misses: 30, Punts: 11, Expired: 5, Refused: 1, Stale: 2},
		NAT: []control.NATMeter{{Protocols: []control.NATProtocolMeter{
			{Protocol: "TCP", Sessions: 3, Mappings: 2, Created: 30, Dropped: 1}, {Protocol: "UDP", Sessions: 7, Mappings: 6, Created: 70}, {Protocol: "ICMP"},
		}, Gates: 2, Connections: 9}},
		Limits:   control.LimitMeter{LSNSessions: 65536, IKESessions: 4096, ESPSessions: 8192, Connections: 16384},
		Config:   control.ConfigMeter{Applied: 3, Refused: 1, Last: 1700000000},
		Log:      control.LogMeter{Sent: 70, Lost: 2, Suppressed: 900},
		Switches: []control.SwitchMeter{{Name: "sw0", Kept: true, Repairs: 1}, {Name: "sw1", Silent: 4}},
	}
}

func (h *house) LSNPools() []control.LSNPool {
	return []control.LSNPool{
		{Name: "POOL-1", AddressCount: 7, Ports: 451584, UsedTCP: 2, UsedUDP: 6, Held: 3},
		{Name: "BLOCKS", AddressCount: 1, Ports: 64512, UsedTCP: 60000, Blocks: 126, UsedBlocks: 120},
	}
}

func (h *house) LSNGroupStats() []control.LSNStat {
	group, td := "GROUP-1", uint16(0)
	return []control.LSNStat{{Group: &group, TD: &td, Subscribers: 2, Protocols: []control.LSNProtocol{
		{Protocol: "UDP", Sessions: 7, RxPackets: 10, RxBytes: 1000, TxPackets: 11, TxBytes: 1100},
	}}}
}

func (h *house) LSNHelperStats() []control.LSNHelperStat {
	return []control.LSNHelperStat{{Name: "ftp", Counters: map[string]uint64{"opened": 3, "refused": 1}}}
}

func (h *house) LSNLogStats() []control.LSNLogStat {
	return []control.LSNLogStat{{Name: "collector", Address: "192.0.2.5:514", Up: true, Queued: 4, Sent: 100, Lost: 2, Failures: 1}}
}

func (h *house) IPsecStat(string) (control.IPsecStat, error) {
	return control.IPsecStat{Total: 20, Active: 3, Blocked: 1, RxPackets: 500, TxPackets: 400, ESPSessions: 5, IKESessions: 4, IKEHalfOpen: 1,
		GateTimeout: 6, GateFail: 2, LateBind: 1, P2Held: 8, ESPNoGateIn: 12, StaleSPI: 1}, nil
}

func (h *house) LTMVirtuals() []control.LTMVirtual {
	return []control.LTMVirtual{{Name: "ipsec-0", Destination: "10.1.1.0:any", Limited: 1, RateLimited: 2, LTMTraffic: control.LTMTraffic{
		BitsIn: 8000, BitsOut: 1600, PacketsIn: 10, PacketsOut: 2, Current: 1, Total: 3}}}
}

func (h *house) LTMNATs() []control.LTMNAT {
	return []control.LTMNAT{{Name: "NAT-1", Originating: "192.168.15.2", LTMTraffic: control.LTMTraffic{Current: 1, Total: 1}}}
}

func (h *house) LTMSNATs() []control.LTMSNAT { return []control.LTMSNAT{{Name: "S1"}} }

func (h *house) NetIPsecStats() []control.NetIPsecStat {
	return []control.NetIPsecStat{{SAs: 2, Out: map[string]uint64{"sealed": 9, "no_sa": 1}, In: map[string]uint64{"opened": 8, "replay": 2},
		Clear: map[string]uint64{"bypassed": 1}, IKE: map[string]uint64{"ike_ups": 1, "failures": 3}}}
}

func (h *house) NetIPsecPeers() []control.NetIPsecPeer {
	remote := control.Addr{Addr: netip.MustParseAddr("198.51.100.200")}
	return []control.NetIPsecPeer{
		{Name: "gw2/198.51.100.1", State: control.StateUp, RemoteIP: remote}, {Name: "gw2/198.51.100.2", State: control.StateUp, RemoteIP: remote},
		{Name: "gw3", State: control.StateDown},
	}
}
