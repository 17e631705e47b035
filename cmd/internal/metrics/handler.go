package metrics

import (
	"io"
	"net/http"
	"runtime/metrics"
	"sync"
	"time"

	"spigate/cmd/internal/control"
)

// The paths of the handlers.
const (
	PathMetrics = "/metrics"
	PathHealth  = "/healthz"
	PathReady   = "/readyz"
)

// fresh is how long an answer of /metrics is given again without reading the
// counters anew. The fast path reports once a second too.
const fresh = time.Second

// Config says what is told.
type Config struct {
	Backend control.Backend
	// Alive says what is wrong if the router does not work any more.
	Alive func() error
	// Now is the clock; nil: time.Now.
	Now func() time.Time
	// Process reads the daemon's own memory; nil: ReadProcess.
	Process func() Process
}

// Process is what the runtime says of the daemon.
type Process struct {
	Heap, Memory, Goroutines, Collections uint64
}

// New returns the handlers by their paths. They answer GET and HEAD, safely from
// many goroutines at once.
func New(c Config) map[string]http.Handler {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Process == nil {
		c.Process = ReadProcess
	}
	s := &scraper{Config: c}
	return map[string]http.Handler{
		PathMetrics: readOnly(s.metrics),
		PathHealth:  readOnly(s.health),
		PathReady:   readOnly(s.ready),
	}
}

// scraper gives one reading to all who ask within a second.
type scraper struct {
	Config

	mu   sync.Mutex // held while the counters are read: whoever comes then waits for the same reading
	at   time.Time
	text []byte // never changed once it is here
}

func (s *scraper) metrics(w http.ResponseWriter) {
	w.Header().Set("Content-Type", contentType)
	w.Write(s.read())
}

func (s *scraper) read() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.Now(); s.text == nil || now.Sub(s.at) >= fresh || now.Before(s.at) {
		s.text, s.at = gather(s.Backend, s.Process()), now
	}
	return s.text
}

// health says whether the daemon works at all: what does not should be started
// anew.
func (s *scraper) health(w http.ResponseWriter) { verdict(w, s.Alive() == nil) }

// ready says whether traffic should be sent here. Why not is not told to whoever
// asks: "spigate doctor" says it.
func (s *scraper) ready(w http.ResponseWriter) {
	if s.Alive() != nil {
		verdict(w, false)
		return
	}
	st := s.Backend.Status()
	verdict(w, st.Unhealthy() == "")
}

func verdict(w http.ResponseWriter, well bool) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	word := "ok\n"
	if !well {
		w.WriteHeader(http.StatusServiceUnavailable)
		word = "unavailable\n"
	}
	io.WriteString(w, word)
}

// readOnly refuses what would change something, and lets nobody keep an answer.
func readOnly(answer func(http.ResponseWriter)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "only GET", http.StatusMethodNotAllowed)
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		answer(w)
	})
}

// ReadProcess reads what the runtime counts anyway; nothing stops for it.
func ReadProcess() Process {
	samples := []metrics.Sample{
		{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/total:bytes"},
		{Name: "/memory/classes/heap/released:bytes"}, {Name: "/sched/goroutines:goroutines"}, {Name: "/gc/cycles/total:gc-cycles"},
	}
	metrics.Read(samples)
	n := make([]uint64, len(samples))
	for i := range samples {
		if samples[i].Value.Kind() == metrics.KindUint64 {
			n[i] = samples[i].Value.Uint64()
		}
	}
	return Process{Heap: n[0], Memory: n[1] - min(n[1], n[2]), Goroutines: n[3], Collections: n[4]}
}
