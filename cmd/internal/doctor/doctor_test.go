package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"
	"time"

	"spigate/cmd/internal/control"
)

// patient is a router in which all is well, until a test changes something.
type patient struct {
	status  control.Status
	meters  control.Metered
	drops   []control.Drop
	vlans   []control.VLAN
	routes  []control.Route
	arp     []control.Neighbor
	pools   []control.LSNPool
	logs    []control.LSNLogStat
	peers   []control.NetIPsecPeer
	chips   []control.Switch
	history []control.ConfigRevision
	host    Host
}

func (p *patient) Status() control.Status                { return p.status }
func (p *patient) Meters() control.Metered               { return p.meters }
func (p *patient) Drops() []control.Drop                 { return p.drops }
func (p *patient) VLANs() []control.VLAN                 { return p.vlans }
func (p *patient) Routes() []control.Route               { return p.routes }
func (p *patient) ARP() []control.Neighbor               { return p.arp }
func (p *patient) LSNPools() []control.LSNPool           { return p.pools }
func (p *patient) LSNLogStats() []control.LSNLogStat     { return p.logs }
func (p *patient) NetIPsecPeers() []control.NetIPsecPeer { return p.peers }
func (p *patient) Switches() []control.Switch            { return p.chips }
func (p *patient) IPsecStat(string) (control.IPsecStat, error) {
	return control.IPsecStat{IKESessions: 1, ESPSessions: 2}, nil
}
func (p *patient) ConfigHistory() ([]control.ConfigRevision, error) { return p.history, nil }

func text(s string) *string { return &s }

func wellPatient() *patient {
	yes := true
	return &patient{
		status: control.Status{Ready: true, Uptime: 60, PID: 7, Config: "c.toml", Flows: 10, FlowCapacity: 100, Ports: []control.PortStatus{
			{Port: "lan", Interface: "a", Up: true}, {Port: "lan", Interface: "b", Up: true}, {Port: "wan", Interface: "c", Up: true, Offload: "native"}}},
		meters: control.Metered{
			NAT:    []control.NATMeter{{Protocols: []control.NATProtocolMeter{{Protocol: "UDP", Sessions: 10}, {Protocol: "TCP", Sessions: 20}}, Connections: 1}},
			Limits: control.LimitMeter{LSNSessions: 100, IKESessions: 100, ESPSessions: 100, Connections: 100}},
		drops:  []control.Drop{{Reason: "no_free_port", Count: 7, Do: "add addresses"}, {Reason: "ah", Count: 9, Rate: 4}},
		vlans:  []control.VLAN{{Name: "a", Addresses: control.Words{"192.0.2.1/24"}}},
		routes: []control.Route{{Destination: "0.0.0.0/0", Type: "static", Via: text("198.51.100.254"), Out: "c"}, {Destination: "10.0.0.0/8", Via: text("198.51.100.254"), Out: "c"}, {Destination: "192.0.2.0/24", Out: "a"}},
		arp:    []control.Neighbor{{Address: "198.51.100.254", MAC: text("02:00:00:00:00:01"), VLAN: "c", State: "stale"}},
		pools:  []control.LSNPool{{Name: "P", Ports: 1000, UsedUDP: 10, Blocks: 100, UsedBlocks: 20}},
		logs:   []control.LSNLogStat{{Name: "collector", Address: "192.0.2.5:514", Up: true, Sent: 5}},
		peers:  []control.NetIPsecPeer{{Name: "gw2", State: control.StateUp}, {Name: "off", State: control.StateDisabled}},
		chips:  []control.Switch{{Name: "sw0", Chip: "QCA8337", State: control.SwitchKept}},
		host:   Host{Now: time.Unix(1800000000, 0), Synced: &yes, Built: time.Unix(1700000000, 0), Memory: 10 << 20, MemoryLimit: 100 << 20, KeptIn: "/etc/c.toml"},
	}
}

// sound reports what a tree must be whatever it says.
func sound(t *testing.T, rows []control.Check) {
	t.Helper()
	worst := map[string]string{}
	for _, c := range rows {
		if (c.State == control.CheckOK) == (c.Do != nil) && c.Name != nil {
			t.Errorf("%s %s is %s: what to do is %v", c.Part, *c.Name, c.State, c.Do)
		}
		if c.Name != nil && rank(c.State) > rank(worst[c.Part]) {
			worst[c.Part] = c.State
		}
	}
	for _, c := range rows {
		if c.Name == nil && rank(c.State) != rank(worst[c.Part]) {
			t.Errorf("part %s is %s, the worst in it %q", c.Part, c.State, worst[c.Part])
		}
	}
}

func TestInAHealthyRouterAllIsWell(t *testing.T) {
	p := wellPatient()
	rows := Examine(p, p.host)
	sound(t, rows)
	parts := ""
	for _, c := range rows {
		if c.State != control.CheckOK {
			t.Errorf("%+v", c)
		}
		if c.Name == nil {
			parts += c.Part + " "
		}
	}
	const want = "daemon ports addresses gateways pools tables nat log flash clock configuration tunnels switches "
	if parts != want || Worst(rows) != control.CheckOK {
		t.Errorf("the parts are %s, the worst is %s", parts, Worst(rows))
	}
}

func TestWhatIsNotWellIsToldInItsPlace(t *testing.T) {
	no, left := false, control.Seconds(41.2)
	for _, c := range []struct {
		name   string
		change func(*patient)
		want   string // STATE PART NAME: a piece of what was found
	}{
		{"the router is stuck", func(p *patient) { p.host.Alive = errors.New("not swept for 9s") }, "fail daemon alive: not swept"},
		{"it is starting", func(p *patient) { p.status.Ready = false }, "warn daemon ready: starting"},
		{"memory is nearly at its limit", func(p *patient) { p.host.Memory = 95 << 20 }, "warn daemon memory: 95 MB of the 100 MB"},
		{"a link is down", func(p *patient) { p.status.Ports[2].Up = false }, "fail ports wan: down"},
		{"the kernel does not offload", func(p *patient) { p.status.Ports[2].Offload, p.status.Ports[2].OffloadWhy = "off", "no BPF" }, "warn ports wan: no BPF"},
		{"a VLAN has no address", func(p *patient) { p.vlans[0].Addresses = nil }, "warn addresses a: no address"},
		{"nobody needed the gateway yet", func(p *patient) { p.arp = nil }, "warn gateways 198.51.100.254: nothing was sent"},
		{"the gateway does not answer", func(p *patient) { p.arp[0].MAC, p.arp[0].State = nil, "incomplete" }, "fail gateways 198.51.100.254: does not answer ARP on c"},
		{"another domain's neighbour is no gateway of ours", func(p *patient) { p.arp[0].TD = 7 }, "warn gateways 198.51.100.254: nothing was sent"},
		{"a pool fills", func(p *patient) { p.pools[0].UsedTCP = 860 }, "warn pools P: 86 % of its TCP ports"},
		{"a pool is full", func(p *patient) { p.pools[0].UsedICMP = 1000 }, "fail pools P: 100 % of its ICMP ports"},
		{"all blocks have a subscriber", func(p *patient) { p.pools[0].UsedBlocks = 100 }, "fail pools P: 100 % of its port blocks"},
		{"packets find no port", func(p *patient) { p.drops[0].Rate = 2 }, "fail pools no_free_port: 2.0 packets a second"},
		{"the flow table fills", func(p *patient) { p.status.Flows = 90 }, "warn tables flows: 90 of 100"},
		{"one domain's sessions fill its table", func(p *patient) { p.meters.NAT[0].Protocols[0].Sessions = 79 }, "fail tables lsn_sessions: 99 of 100"},
		{"a collector is away", func(p *patient) { p.logs[0].Up, p.logs[0].Queued = false, 3 }, "fail nat log collector: cannot be reached; 3 records wait"},
		{"records were lost", func(p *patient) { p.logs[0].Lost = 2 }, "warn nat log collector: 2 records are lost"},
		{"flash is full", func(p *patient) { p.host.Keeps = errors.New("no space left") }, "fail flash configuration: no space left"},
		{"the clock begins in 1970", func(p *patient) { p.host.Now = time.Unix(100, 0) }, "fail clock time: built later"},
		{"nobody keeps the clock", func(p *patient) { p.host.Synced = &no }, "warn clock time: nobody keeps it"},
		{"a configuration waits", func(p *patient) { p.status.Confirm = &left }, "warn configuration confirm: rolled back in 42s"},
		{"a slot is damaged", func(p *patient) { p.history = []control.ConfigRevision{{State: control.RevisionDamaged, Why: "cut"}} }, "warn configuration revision: cut"},
		{"the last apply did not run", func(p *patient) { p.history = []control.ConfigRevision{{State: control.RevisionCandidate}} }, "warn configuration revision: did not come to run"},
		{"a tunnel has failed", func(p *patient) {
			p.peers[0].State, p.peers[0].LastError = control.StateDown, &control.NetIPsecLastError{Reason: "AUTHENTICATION_FAILED", Remedy: "compare the keys"}
		}, "fail tunnels gw2: AUTHENTICATION_FAILED"},
		{"a tunnel was not needed yet", func(p *patient) { p.peers[0].State = control.StateDown }, "warn tunnels gw2: nothing has failed"},
		{"a chip does not answer", func(p *patient) { p.chips[0].State, p.chips[0].Error = control.SwitchFailed, text("MDIO timeout") }, "fail switches sw0: MDIO timeout"},
	} {
		p := wellPatient()
		c.change(p)
		rows := Examine(p, p.host)
		sound(t, rows)
		if got := notWell(rows); len(got) != 1 || !matches(got[0], c.want) {
			t.Errorf("%s: it says %q, want %s alone", c.name, got, c.want)
		}
	}
}

// notWell is the rows of objects that are not ok, each as STATE PART NAME: FOUND.
func notWell(rows []control.Check) (out []string) {
	for _, c := range rows {
		if c.Name != nil && c.State != control.CheckOK {
			out = append(out, fmt.Sprintf("%s %s %s: %s", c.State, c.Part, *c.Name, c.Found))
		}
	}
	return out
}

func matches(got, want string) bool {
	head, piece, _ := strings.Cut(want, ": ")
	return strings.HasPrefix(got, head+": ") && strings.Contains(got, piece)
}

func TestARouterWithNothingButPortsIsWell(t *testing.T) {
	p := &patient{status: control.Status{Ready: true}, host: Host{Now: time.Unix(1, 0)}}
	rows := Examine(p, p.host)
	sound(t, rows)
	if Worst(rows) != control.CheckOK {
		t.Errorf("%q", notWell(rows))
	}
}

func TestADeadDaemonIsToldByWhyItDidNotAnswer(t *testing.T) {
	for _, c := range []struct {
		why  error
		want string
	}{
		{syscall.ENOENT, "systemctl start"},
		{fmt.Errorf("dial: %w", syscall.ECONNREFUSED), "it has died"},
		{&fs.PathError{Op: "open", Path: "s", Err: syscall.EACCES}, "as root"},
		{errors.New("timeout"), "it hangs"},
	} {
		rows := Outside(Absent{Socket: "/run/s", Why: c.why, User: 1000, StateDirs: []StateDir{{Path: "/d"}}})
		sound(t, rows)
		if rows[1].Do == nil || !strings.Contains(*rows[1].Do, c.want) || Worst(rows) != control.CheckFail {
			t.Errorf("%v: %+v", c.why, rows[1])
		}
	}
	rows := Outside(Absent{Why: syscall.ENOENT, Files: []File{{Path: "good"}, {Path: "gone", Err: fs.ErrNotExist}}, StateDirs: []StateDir{{Path: "/d", Slots: SlotFiles([]string{"running.toml", "x", "confirmed.toml"})}}})
	sound(t, rows)
	if got := notWell(rows); len(got) != 3 || !strings.HasPrefix(got[2], "fail start gone: ") {
		t.Errorf("%q", got)
	}
}
