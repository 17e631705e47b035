//go:build !noweb

package web

import (
	"sync"
	"time"

	"spigate/cmd/internal/control"
)

// The overview looks back for an hour, in steps of ten seconds.
const (
	sampleEvery = 10 * time.Second
	sampleSpan  = time.Hour
	maxSamples  = int(sampleSpan/sampleEvery) + 1
)

// sample is what the router had counted at one time.
type sample struct {
	at                               time.Time
	fast, slow, offload, bytes, drop uint64 // since the start
	sessions                         uint64 // at that time
}

// samples is a ring of them. The zero value is ready.
type samples struct {
	mu   sync.Mutex
	ring [maxSamples]sample
	n    int // so far
}

// add puts a sample in, in place of the oldest when the ring is full.
func (s *samples) add(x sample) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ring[s.n%maxSamples] = x
	s.n++
}

// all returns the samples, the oldest first.
func (s *samples) all() []sample {
	s.mu.Lock()
	defer s.mu.Unlock()
	count := min(s.n, maxSamples)
	out := make([]sample, 0, count)
	for i := s.n - count; i < s.n; i++ {
		out = append(out, s.ring[i%maxSamples])
	}
	return out
}

// sample reads the counters.
func (p *site) sample() {
	b := p.server.config.Backend
	st := b.Status()
	x := sample{at: p.server.config.Now(), fast: st.FastHits, slow: st.SlowHits, offload: st.Offload.Packets}
	for _, port := range st.Ports {
		x.bytes += port.RxBytes
	}
	for _, d := range b.Drops() {
		x.drop += d.Count
	}
	x.sessions = sessionsNow(b)
	p.samples.add(x)
}

// sessionsNow counts the sessions of the NAT and the connections of virtual
// servers, NATs and SNATs.
func sessionsNow(b control.Backend) (n uint64) {
	for _, proto := range b.LSNStat(control.Filter{}).Protocols {
		n += proto.Sessions
	}
	for _, v := range b.LTMVirtuals() {
		n += v.Current
	}
	for _, v := range b.LTMNATs() {
		n += v.Current
	}
	for _, v := range b.LTMSNATs() {
		n += v.Current
	}
	return n
}
