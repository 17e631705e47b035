package web

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"spigate/cmd/internal/control"
	"spigate/configs"
)

// Bounds of the server.
const (
	readTimeout  = 10 * time.Second // a request with its body
	headTimeout  = 5 * time.Second
	writeTimeout = 30 * time.Second // an answer; a stream has as long for each event
	idleTimeout  = 60 * time.Second
	closeTimeout = time.Second
	maxHeader    = 16 << 10
	maxBody      = control.MaxConfig + 64<<10 // a configuration in a form, with what stands beside it
	maxForm      = 4 << 10                    // what whoever is not logged in may send, in bytes: the form of the log-in
	maxRequests  = 16                         // at a time
)

// Config is what a Server is made of.
type Config struct {
	Address  string          // ADDRESS:PORT, as [control] http
	Backend  control.Backend // what the pages show
	Editor   control.Editor  // of the configuration
	Web      configs.Web
	StateDir string // where the router's own certificate is
	Hostname string // for titles and the certificate
	// Extra are handlers beside the pages, by path. Beyond loopback they want a
	// user's password by HTTP's basic authentication, but for /healthz and /readyz.
	Extra map[string]http.Handler
	// Open listens at Address; nil: the kernel does, net.Listen.
	Open func(address string) (net.Listener, error)
	Log  *slog.Logger     // nil: none
	Now  func() time.Time // nil: time.Now
	Rand io.Reader        // nil: crypto/rand
}

// Server serves the pages. Make it with New, then Listen, then Run.
type Server struct {
	config   Config
	log      *slog.Logger
	loopback bool // only this machine reaches it
	users    *users
	site     *site
	slots    chan struct{} // one for each request that is being answered
	ready    chan struct{}
	running  sync.WaitGroup // handlers

	mu       sync.Mutex
	listener net.Listener
}

// New makes a server of a checked configuration.
func New(c Config) (*Server, error) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	if c.Open == nil {
		c.Open = func(address string) (net.Listener, error) { return net.Listen("tcp", address) }
	}
	host, _, err := net.SplitHostPort(c.Address)
	if err != nil {
		return nil, fmt.Errorf("web pages at %q: %w", c.Address, err)
	}
	s := &Server{
		config: c, log: c.Log, loopback: isLoopback(host),
		slots: make(chan struct{}, maxRequests), ready: make(chan struct{}),
	}
	if s.users, err = newUsers(c.Rand, c.Now); err != nil {
		return nil, fmt.Errorf("web pages: %w", err)
	}
	s.users.set(c.Web.Users)
	if s.site, err = newSite(s); err != nil {
		return nil, fmt.Errorf("web pages: %w", err)
	}
	return s, nil
}

func isLoopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// SetWeb takes users and timeouts of another configuration. A session whose user
// is gone, or has another password or role, ends.
func (s *Server) SetWeb(w configs.Web) {
	s.users.set(w.Users)
	s.site.set(w)
}

// String names the server for messages.
func (s *Server) String() string { return "web" }

// Ready is closed when Run takes requests.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// Addr is the address that it listens at, nil before Listen.
func (s *Server) Addr() net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener == nil {
		return nil
	}
	return s.listener.Addr()
}

// Listen opens the address, and makes the certificate if there is none.
func (s *Server) Listen() error {
	listener, err := s.config.Open(s.config.Address)
	if err != nil {
		return fmt.Errorf("web pages: %w", err)
	}
	listener = limitConnections(listener)
	if s.config.Web.TLS {
		c, err := s.certificates()
		if err != nil {
			listener.Close()
			return fmt.Errorf("web pages: %w", err)
		}
		// Those that the browsers of the last ten years have.
		listener = tls.NewListener(listener, &tls.Config{
			MinVersion: tls.VersionTLS12, GetCertificate: c.get, NextProtos: []string{"http/1.1"},
		})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listener = listener
	return nil
}

// Close gives the address up without Run having been called.
func (s *Server) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener != nil {
		s.listener.Close()
		s.listener = nil
	}
}

// Run serves until ctx ends, and returns when the last handler has.
func (s *Server) Run(ctx context.Context) error {
	s.mu.Lock()
	listener := s.listener
	s.mu.Unlock()
	if listener == nil {
		return errors.New("web: Run before Listen")
	}
	defer s.Close()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.site.run(ctx) })
	group.Go(func() error { return s.serve(ctx, listener) })
	return group.Wait()
}

func (s *Server) serve(ctx context.Context, listener net.Listener) error {
	server := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: headTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(quiet{s.log.Handler()}, slog.LevelDebug),
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		end, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		if server.Shutdown(end) != nil {
			server.Close()
		}
	})
	close(s.ready)
	err := server.Serve(listener)
	if stop() {
		server.Close()
	} else {
		<-stopped
	}
	s.running.Wait()
	if err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("web pages at %s: %w", s.config.Address, err)
	}
	return nil
}

// quiet has what net/http says of connections that fail, which is what anybody
// on the network can make it say as often as they like, at the level debug alone.
type quiet struct{ slog.Handler }
