//go:build !noweb

package web

import (
	"slices"
	"time"

	"spigate/cmd/internal/control"
)

// overview is the first page: is it well, how much goes through, what dies.
type overview struct {
	Status      control.Status
	Unhealthy   string
	Version     control.Version
	Plots       []plot
	Sessions    uint64
	Subscribers uint64
	ESP, Gates  uint64
	Blocked     uint64
	Drops       []control.Drop // those that happen now
}

func (p *site) overviewPage() page {
	return page{path: "/", title: "Overview", menu: "Now", template: "overview", get: p.overview,
		refresh: 10, live: "/overview/live", every: sampleEvery}
}

// mostDrops is how many reasons the overview shows.
const mostDrops = 5

func (p *site) overview(r *request) (any, error) {
	stat, err := r.backend.IPsecStat("")
	if err != nil {
		return nil, err
	}
	st := r.backend.Status()
	out := overview{
		Status: st, Unhealthy: st.Unhealthy(), Version: r.backend.Version(), Plots: p.plots(), Sessions: sessionsNow(r.backend),
		Subscribers: r.backend.LSNStat(control.Filter{}).Subscribers, ESP: stat.ESPSessions, Blocked: stat.Blocked,
	}
	for _, d := range r.backend.Drops() {
		if d.Rate > 0 {
			out.Drops = append(out.Drops, d)
		}
	}
	slices.SortStableFunc(out.Drops, func(a, b control.Drop) int {
		switch {
		case a.Rate > b.Rate:
			return -1
		case a.Rate < b.Rate:
			return 1
		}
		return 0
	})
	out.Drops = out.Drops[:min(len(out.Drops), mostDrops)]
	return out, nil
}

// plots draws the last hour.
func (p *site) plots() []plot {
	all := p.samples.all()
	var times []time.Time
	var sessions []float64
	for i := range all {
		if i > 0 {
			times = append(times, all[i].at)
			sessions = append(sessions, float64(all[i].sessions))
		}
	}
	count := func(class, name string, of func(*sample) uint64) curve { return curve{class, name, rates(all, of)} }
	bits := count("c1", "received", func(s *sample) uint64 { return 8 * s.bytes })
	return []plot{
		draw("Packets", "packets/s", times,
			count("c1", "fast path", func(s *sample) uint64 { return s.fast }),
			count("c2", "slow path", func(s *sample) uint64 { return s.slow }),
			count("c3", "offloaded", func(s *sample) uint64 { return s.offload })),
		draw("Throughput", "bit/s", times, bits),
		draw("Sessions", "sessions", times, curve{"c1", "now", sessions}),
		draw("Drops", "packets/s", times, count("c4", "dropped", func(s *sample) uint64 { return s.drop })),
	}
}
