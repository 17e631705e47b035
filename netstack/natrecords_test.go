package netstack

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"spigate/netstack/frame"
	"spigate/netstack/lsn"
	"spigate/netstack/natlog"
)

// logged has a NAT log for the test's group, and keeps what it is told.
func logged(out *[]natlog.Record, group LoggedGroup) option {
	return func(c *Config) {
		c.NATLog = NATLog{
			Emit:   func(r natlog.Record) { *out = append(*out, r) },
			Groups: map[string]LoggedGroup{"G": group},
		}
	}
}

func TestTheNATLogIsToldOfMappingsAndSessions(t *testing.T) {
	for _, c := range []struct {
		name    string
		options []option
		group   LoggedGroup
		kinds   []natlog.Kind
	}{
		{"both asked for", nil, LoggedGroup{Sessions: true},
			[]natlog.Kind{natlog.MappingCreated, natlog.SessionCreated, natlog.SessionDeleted, natlog.MappingDeleted}},
		{"no session_logging", nil, LoggedGroup{}, []natlog.Kind{natlog.MappingCreated, natlog.MappingDeleted}},
		{"no logging", []option{func(c *Config) { c.NATLog.Groups = nil }}, LoggedGroup{Sessions: true}, nil},
		{"no log", []option{func(c *Config) { c.NATLog.Emit = nil }}, LoggedGroup{Sessions: true}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []natlog.Record
			w := newWorld(t, append([]option{logged(&got, c.group)}, c.options...)...)
			nat := w.conversation(at(server, 53))
			w.advance(2 * time.Second) // the sweep learns what the flow table has passed
			w.r.FlushLSN(lsn.Filter{})
			var kinds []natlog.Kind
			for _, r := range got {
				kinds = append(kinds, r.Kind)
				if r.Inside != at(client1, 40000) || r.Outside != nat || r.Remote != at(server, 53) || r.Proto != frame.ProtoUDP ||
					r.Mode != natlog.APDM || r.Group != "G" {
					t.Errorf("%+v", r)
				}
				if r.Kind == natlog.SessionDeleted && r.Packets != [2]uint64{2, 1} {
					t.Errorf("the deleted session had %v packets, want 2 out and 1 in", r.Packets)
				}
			}
			if diff := cmp.Diff(c.kinds, kinds); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestAMappingForAllServersIsToldOnce(t *testing.T) {
	var got []natlog.Record
	profile := &natlog.Profile{Compact: true}
	w := newWorld(t, logged(&got, LoggedGroup{Profile: profile}), func(c *Config) {
		g := &c.LSN.Groups[0]
		g.Apps = append(g.Apps, lsn.AppProfile{Name: "A", Proto: frame.ProtoUDP, Mapping: lsn.EIM})
	})
	w.conversation(at(server, 53))
	w.fromLAN(udpTo(at(client1, 40000), at(server2, 53), "question"))
	w.one(w.atWAN())
	if len(got) != 1 || got[0].Kind != natlog.MappingCreated || got[0].Mode != natlog.EIM || got[0].Profile != profile {
		t.Errorf("%+v", got)
	}
}

func TestTheNATLogIsToldOfESPSessions(t *testing.T) {
	var got []natlog.Record
	w := newWorld(t, logged(&got, LoggedGroup{Sessions: true}))
	a := w.tunnel(client1, 0x1000)
	a.init()
	w.one(a.ask())
	a.reply()
	a.traffic()
	w.advance(3 * time.Hour)
	var esp []natlog.Record
	for _, r := range got {
		if r.Proto == frame.ProtoESP {
			esp = append(esp, r)
		}
	}
	want := natlog.Record{
		Kind: natlog.SessionCreated, Proto: frame.ProtoESP, Inside: frame.Endpoint{Addr: client1}, Outside: frame.Endpoint{Addr: natAddr},
		Remote: frame.Endpoint{Addr: server}, SPIIn: a.spiIn, SPIOut: a.spiOut, Group: "G",
	}
	end := want
	end.Kind = natlog.SessionDeleted
	end.Packets, end.Bytes = [2]uint64{1, 1}, [2]uint64{uint64(len(a.out())), uint64(len(a.in()))}
	if diff := cmp.Diff([]natlog.Record{want, end}, esp); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A HALF session was never told, so that its end is not either (R67).
func TestTheEndOfAHalfESPSessionIsNotTold(t *testing.T) {
	var got []natlog.Record
	w := newWorld(t, logged(&got, LoggedGroup{Sessions: true}))
	a := w.tunnel(client1, 0x1000)
	a.init()
	w.one(a.ask())
	a.reply()
	w.fromLAN(a.out())
	w.one(w.atWAN())
	w.advance(3 * time.Hour)
	if n := w.r.alg.Counters(); n.ESPSessions != 0 {
		t.Fatalf("%d sessions are left", n.ESPSessions)
	}
	for _, r := range got {
		if r.Proto == frame.ProtoESP {
			t.Errorf("told %+v", r)
		}
	}
}

// What is told of an event depends on the group alone.
func TestWhichEventsAreTold(t *testing.T) {
	plain := &lsn.Group{Name: "G"}
	blocks := &lsn.Group{Name: "G", BlockSize: 256}
	fixed := &lsn.Group{Name: "G", Type: lsn.Deterministic}
	low, high := frame.Endpoint{Addr: natAddr, Port: 500}, frame.Endpoint{Addr: natAddr, Port: 1024}
	for _, c := range []struct {
		name  string
		event lsn.Event
		want  natlog.Record
		told  bool
	}{
		{"a block", lsn.Event{Kind: lsn.BlockAllocated, Group: blocks, First: 1024, Last: 1279},
			natlog.Record{Kind: natlog.BlockAllocated, First: 1024, Last: 1279}, true},
		{"the end of a block", lsn.Event{Kind: lsn.BlockFreed, Group: blocks}, natlog.Record{Kind: natlog.BlockFreed}, true},
		{"a port of a block (R17)", lsn.Event{Kind: lsn.MappingCreated, Group: blocks, Outside: high, InBlock: true}, natlog.Record{}, false},
		{"a deterministic port (RFC 7422)", lsn.Event{Kind: lsn.MappingDeleted, Group: fixed, Outside: high, InBlock: true}, natlog.Record{}, false},
		{"port 500 of a subscriber with blocks (R39)", lsn.Event{Kind: lsn.MappingCreated, Group: blocks, Outside: low},
			natlog.Record{Kind: natlog.MappingCreated, Outside: low}, true},
		{"the end of a deterministic subscriber's port 500", lsn.Event{Kind: lsn.MappingDeleted, Group: fixed, Outside: low},
			natlog.Record{Kind: natlog.MappingDeleted, Outside: low}, true},
		{"a deterministic block", lsn.Event{Kind: lsn.BlockAllocated, Group: fixed}, natlog.Record{}, false},
		{"a deterministic session", lsn.Event{Kind: lsn.SessionCreated, Group: fixed}, natlog.Record{Kind: natlog.SessionCreated}, true},
		{"no address left", lsn.Event{Kind: lsn.AddressesExhausted, Pool: 3, Group: plain}, natlog.Record{Kind: natlog.AddressesExhausted, Pool: 3}, true},
		{"no port left", lsn.Event{Kind: lsn.PortsExhausted, Group: plain}, natlog.Record{Kind: natlog.PortsExhausted}, true},
		{"session quota", lsn.Event{Kind: lsn.QuotaExceeded, Group: plain, Proto: frame.ProtoUDP, Quota: lsn.SessionQuota, Limit: 20},
			natlog.Record{Kind: natlog.QuotaExceeded, Proto: frame.ProtoUDP, Quota: natlog.SubscriberSessions, Limit: 20}, true},
		{"port quota", lsn.Event{Kind: lsn.QuotaExceeded, Group: plain, Proto: frame.ProtoUDP, Quota: lsn.PortQuota, Limit: 10},
			natlog.Record{Kind: natlog.QuotaExceeded, Proto: frame.ProtoUDP, Quota: natlog.SubscriberPorts, Limit: 10}, true},
		{"group's limit", lsn.Event{Kind: lsn.QuotaExceeded, Group: plain, Proto: frame.ProtoUDP, Quota: lsn.GroupQuota, Limit: 3000},
			natlog.Record{Kind: natlog.QuotaExceeded, Proto: frame.ProtoUDP, Quota: natlog.GroupSessions, Limit: 3000}, true},
		{"a full session table", lsn.Event{Kind: lsn.QuotaExceeded, Group: plain, Proto: frame.ProtoUDP, Quota: lsn.TableQuota, Limit: 262144},
			natlog.Record{Kind: natlog.QuotaExceeded, Proto: frame.ProtoUDP, Quota: natlog.AllSessions, Limit: 262144}, true},
		{"a high port of an address without blocks", lsn.Event{Kind: lsn.MappingCreated, Group: blocks, Outside: high},
			natlog.Record{Kind: natlog.MappingCreated, Outside: high}, true},
		{"an ADM mapping", lsn.Event{Kind: lsn.MappingCreated, Group: plain, Profile: &lsn.AppProfile{Mapping: lsn.ADM}},
			natlog.Record{Kind: natlog.MappingCreated, Mode: natlog.ADM}, true},
		{"a static mapping of a subscriber with blocks (R27)", lsn.Event{Kind: lsn.MappingCreated, Group: blocks, Static: true, InBlock: true},
			natlog.Record{Kind: natlog.MappingCreated, Mode: natlog.Static}, true},
		{"another group", lsn.Event{Kind: lsn.SessionCreated, Group: &lsn.Group{Name: "H"}}, natlog.Record{}, false},
	} {
		var got []natlog.Record
		l := NATLog{
			Emit:   func(r natlog.Record) { got = append(got, r) },
			Groups: map[string]LoggedGroup{"G": {Sessions: true}},
		}
		l.lsnEvent(&c.event, 9)
		c.want.Domain, c.want.Group = 9, "G"
		switch {
		case !c.told && len(got) > 0:
			t.Errorf("%s: told %+v", c.name, got)
		case c.told && (len(got) != 1 || got[0] != c.want):
			t.Errorf("%s: told %+v, want %+v", c.name, got, c.want)
		}
	}
}

// A full table is nobody's quota.
func TestAFullSessionTableIsToldAsSuch(t *testing.T) {
	var got []natlog.Record
	w := newWorld(t, logged(&got, LoggedGroup{}), func(c *Config) { c.LSN.MaxSessions = 1 })
	w.fromLAN(udpTo(at(client1, 1), at(server, 53), "first"))
	w.fromLAN(udpTo(at(client1, 2), at(server, 53), "second"))
	last := got[len(got)-1]
	if last.Kind != natlog.QuotaExceeded || last.Quota != natlog.AllSessions || last.Limit != 1 {
		t.Errorf("%+v", last)
	}
}
