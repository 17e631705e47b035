package vserver

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"spigate/netstack/frame"
)

// flowModel is what is expected of a connection of UDP.
type flowModel struct {
	server       string
	opened, last int64
}

// model is the table as a map, with a limit on each server and 20 s idle time.
type model struct {
	flows map[Key]*flowModel
	want  map[string]*Stats
	sum   map[string]int64 // durations
}

const (
	modelIdle  = 20 * second
	modelLimit = 4
)

func (m *model) end(k Key, at int64, expired bool) {
	f := m.flows[k]
	delete(m.flows, k)
	s := m.want[f.server]
	s.Current--
	s.Closed++
	if expired {
		s.Expired++
	}
	d := at - f.opened
	if s.Closed == 1 || d < int64(s.MinDuration) {
		s.MinDuration = time.Duration(d)
	}
	s.MaxDuration = max(s.MaxDuration, time.Duration(d))
	m.sum[f.server] += d
	s.MeanDuration = time.Duration(m.sum[f.server] / int64(s.Closed))
}

func (m *model) open(k Key, server string, length int, now int64) Verdict {
	s := m.want[server]
	if s.Current >= modelLimit {
		s.Limited++
		return Limited
	}
	if f := m.flows[k]; f != nil && now < f.last+modelIdle {
		return TupleBusy
	} else if f != nil {
		m.end(k, now, false)
		// The old one held its place while the new one was let in.
	}
	m.flows[k] = &flowModel{server, now, now}
	s.Current++
	s.Total++
	s.PacketsIn++
	s.BytesIn += uint64(length)
	return Admit
}

func TestConnectionsAndCountersAreThoseOfAModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := vs("a", "10.1.1.0/24", "any", 0, 0), vs("b", "10.1.2.0/24", "any", 0, 0)
		a.ConnectionLimit, b.ConnectionLimit = modelLimit, modelLimit
		a.Profile, b.Profile = "p", "p"
		l, err := New(Config{Servers: []Server{a, b}, Profiles: []FastL4{{Name: "p", IdleTimeout: time.Duration(modelIdle)}}})
		if err != nil {
			t.Fatal(err)
		}
		tab, now := NewTable(TableConfig{Listeners: l}), 77*second
		m := &model{map[Key]*flowModel{}, map[string]*Stats{"a": {}, "b": {}}, map[string]int64{}}
		key := func() (Key, string) {
			port := uint16(rapid.IntRange(1, 8).Draw(t, "port"))
			if rapid.Bool().Draw(t, "a") {
				return udpKey("10.2.1.1", port, "10.1.1.1", 53), "a"
			}
			return udpKey("10.2.1.1", port, "10.1.2.1", 53), "b"
		}
		t.Repeat(map[string]func(*rapid.T){
			"open": func(t *rapid.T) {
				k, server := key()
				n := rapid.IntRange(20, 1500).Draw(t, "length")
				want := m.open(k, server, n, now)
				r := l.Match(Attempt{In: lan, Proto: frame.ProtoUDP, Src: k.Src, Dst: k.Dst, Port: 53})
				if _, v := tab.Open(r, k, k.Reversed(), Segment{Length: n}, lan, now); v != want {
					t.Fatalf("%v: %v, want %v", k, v, want)
				}
			},
			"packet": func(t *rapid.T) {
				k, server := key()
				n, back := rapid.IntRange(20, 1500).Draw(t, "length"), rapid.Bool().Draw(t, "back")
				f := m.flows[k]
				alive := f != nil && now < f.last+modelIdle
				at := k
				if back {
					at = k.Reversed()
				}
				h, ok := tab.Find(at, Segment{}, now)
				if ok != alive {
					t.Fatalf("%v: found is %v", at, ok)
				}
				if !ok {
					return
				}
				tab.Touch(h, Segment{Length: n}, lan, now)
				f.last = now
				if s := m.want[server]; back {
					s.PacketsOut++
					s.BytesOut += uint64(n)
				} else {
					s.PacketsIn++
					s.BytesIn += uint64(n)
				}
			},
			"time": func(t *rapid.T) { now += rapid.Int64Range(1, 25*second).Draw(t, "time") },
			"sweep": func(t *rapid.T) {
				tab.Sweep(now, nil)
				for k, f := range m.flows {
					if now >= f.last+modelIdle {
						m.end(k, now, true)
					}
				}
			},
			"": func(t *rapid.T) {
				for name, want := range m.want {
					want.Maximum = max(want.Maximum, want.Current)
					got := l.Find(KindServer, name).Counters().Stats()
					if got != *want {
						t.Fatalf("%s: %+v\nwant %+v", name, got, *want)
					}
				}
				if tab.Len() != len(m.flows) {
					t.Fatalf("%d connections, want %d", tab.Len(), len(m.flows))
				}
			},
		})
	})
}
