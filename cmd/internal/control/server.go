package control

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Bounds of the server. Requests are a line and a few headers; what takes
// long is reading a large answer, and that is bounded by progress.
const (
	readTimeout  = 5 * time.Second
	stallTimeout = 60 * time.Second // a reader that takes nothing for this long is cut off
	shortTimeout = 2 * time.Second  // of an answer in one piece: it fits into the socket, unless whoever asks lets many wait there
	idleTimeout  = 30 * time.Second
	closeTimeout = time.Second
	maxHeader    = 16 << 10
	maxBody      = 64 << 10
	maxRequests  = 16 // at a time; more are told to come again
	maxLong      = 8  // of them, of more than one piece: they last as long as their reader likes
)

// Server answers for a daemon. Make it with New, then Listen, then Run.
type Server struct {
	backend Backend
	log     *slog.Logger
	stall   time.Duration
	slots   chan struct{} // one for each request that is being answered
	long    chan struct{} // and for each of those with a long answer
	ready   chan struct{}
	mounted map[string]http.Handler // see Mount

	mu       sync.Mutex
	endpoint *endpoint
}

// New returns a server that shows backend. log may be nil.
func New(backend Backend, log *slog.Logger) *Server {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Server{
		backend: backend, log: log, stall: stallTimeout,
		slots: make(chan struct{}, maxRequests), long: make(chan struct{}, maxLong), ready: make(chan struct{}),
	}
}

// String names the server for messages.
func (s *Server) String() string { return "control" }

// Ready is closed when Run takes requests.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// Listen opens the socket, with its folder, readable and writable for owner
// and group. A socket that a killed daemon left is replaced. If another
// daemon answers there, the error says which: call Listen before ports are
// taken.
func (s *Server) Listen(socket string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.endpoint != nil {
		return fmt.Errorf("control socket %s: this server listens at %s already", socket, s.endpoint.path)
	}
	e, err := openEndpoint(socket)
	if err != nil {
		return err
	}
	s.endpoint = e
	return nil
}

// Close gives the socket up without Run having been called, when a daemon
// fails between the two. After Run there is nothing left to close.
func (s *Server) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.endpoint != nil {
		s.endpoint.close()
		s.endpoint = nil
	}
}

// Run takes requests until ctx ends, then removes the socket and returns nil
// when the last handler has. It can be called once after Listen.
func (s *Server) Run(ctx context.Context) error {
	s.mu.Lock()
	e := s.endpoint
	s.mu.Unlock()
	if e == nil {
		return errors.New("control: Run before Listen")
	}
	defer s.Close()
	server := &http.Server{
		Handler:           s.handler(),
		ReadHeaderTimeout: readTimeout,
		ReadTimeout:       readTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ConnContext:       withPeer,
	}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		shutDown(server)
	})
	close(s.ready)
	err := server.Serve(bound(e.listener))
	if stop() {
		server.Close()
	} else {
		<-stopped
	}
	s.drain()
	if err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("control socket %s: %w", e.path, err)
	}
	return nil
}

// drain waits for the handlers by taking all their slots. They are not given
// back: a request that comes now is refused.
func (s *Server) drain() {
	for range maxRequests {
		s.slots <- struct{}{}
	}
}

// shutDown lets the answers that are nearly done finish, and cuts the rest:
// the daemon's end does not wait for a reader that is stuck in a pager.
func shutDown(server *http.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	if server.Shutdown(ctx) != nil {
		server.Close()
	}
}

// handler is the whole tree of paths.
func (s *Server) handler() http.Handler {
	b := s.backend
	mux := http.NewServeMux()
	mux.Handle(pathIPsecSessions, view(s, FiltersOfIPsec(), b.IPsecSessions))
	mux.Handle(pathIPsecGates, view(s, FiltersOfIPsec(), b.IPsecGates))
	mux.Handle(pathLSNSessions, view(s, FiltersOfLSN(), b.LSNSessions))
	mux.Handle(pathLSNDeterministic, view(s, FiltersOfDeterministic(), b.LSNDeterministic))
	mux.Handle(pathLSNBlocks, view(s, FiltersOfBlocks(), b.LSNBlocks))
	mux.Handle(pathWho, view(s, FiltersOfWho(), who(b)))
	mux.Handle(pathExplain, view(s, FiltersOfExplain(), explain(b)))
	mux.Handle(pathFlows, view(s, FiltersOfFlow(), b.Flows))
	mux.Handle(pathDrops, view(s, nil, plain(func() []Drop { return b.Drops() })))
	mux.Handle(pathVersion, view(s, nil, plain(func() []Version { return []Version{b.Version()} })))
	mux.Handle(pathStatus, view(s, nil, plain(func() []Status { return []Status{b.Status()} })))
	mux.Handle(pathIPsecStat, view(s, []string{ByName}, func(f Filter) (iter.Seq[IPsecStat], error) {
		stat, err := b.IPsecStat(f.Name)
		return slices.Values([]IPsecStat{stat}), err
	}))
	mux.Handle(pathIPsecProfiles, setting(s, "ipsecalg profile", b.IPsecProfiles))
	mux.Handle(pathLSNClients, setting(s, "lsn client", b.LSNClients, FiltersOfObjects()...))
	mux.Handle(pathLSNPools, setting(s, "lsn pool", b.LSNPools, FiltersOfObjects()...))
	mux.Handle(pathLSNGroups, setting(s, "lsn group", b.LSNGroups, FiltersOfObjects()...))
	mux.Handle(pathLSNApps, setting(s, "lsn appsprofile", b.LSNAppsProfiles))
	s.lsnStats(mux)
	s.lsnWorks(mux)
	s.ltm(mux)
	s.netScaler(mux)
	s.netIPsec(mux)
	s.config(mux)
	s.lifecycle(mux)
	s.switches(mux)
	s.paths(mux)
	s.mount(mux)
	s.doctor(mux)
	s.top(mux)
	s.traces(mux)
	s.captures(mux)
	mux.Handle(pathIPsecClearBasic, s.clearing(pathIPsecClearBasic, ClearBasic))
	mux.Handle(pathIPsecClearFull, s.clearing(pathIPsecClearFull, ClearFull))
	mux.Handle(pathIPsecFlush, operation(s, pathIPsecFlush, FiltersOfIPsecFlush(), b.FlushIPsec))
	mux.Handle(pathLSNFlush, operation(s, pathLSNFlush, FiltersOfLSNFlush(), b.FlushLSN))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		refuse(w, http.StatusNotFound, &Error{"no such view: " + r.URL.Path, CodeUnknownPath})
	})
	return s.guard(mux)
}

// guard is what holds for every request: the bounds.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case s.slots <- struct{}{}:
			defer func() { <-s.slots }()
		default:
			refuse(w, http.StatusServiceUnavailable, &Error{"too many requests at a time", CodeBusy})
			return
		}
		limit := bodyLimit(r.URL.Path)
		if r.ContentLength > limit {
			refuse(w, http.StatusRequestEntityTooLarge, &Error{"the request is too large", CodeTooLarge})
			return
		}
		if r.ContentLength < 0 { // then it would be collected in pieces that grow
			refuse(w, http.StatusLengthRequired, &Error{"the request does not say how long it is (Content-Length)", CodeBadRequest})
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, limit)
		next.ServeHTTP(w, r)
	})
}
