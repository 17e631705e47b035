package control

import (
	"context"
	"fmt"
	"iter"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"go.uber.org/goleak"
)

// childSocket makes this test binary a daemon of its own, to be killed.
const childSocket = "CONTROL_TEST_CHILD_SOCKET"

func TestMain(m *testing.M) {
	if socket := os.Getenv(childSocket); socket != "" {
		childDaemon(socket)
	}
	goleak.VerifyTestMain(m)
}

// childDaemon listens, says so on stdout, and serves until it is killed.
func childDaemon(socket string) {
	s := New(&fake{}, nil)
	if err := s.Listen(socket); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("listening")
	s.Run(context.Background())
	os.Exit(1)
}

// fake is a daemon's insides, made of lists.
type fake struct {
	sessions []IPsecSession
	gates    []IPsecGate
	lsn      iter.Seq[LSNSession]
	flows    []Flow
	drops    []Drop
	status   Status
	asked    Filter
	computed []LSNDeterministic
	blocks   []LSNBlock
	owners   []Who
	applied  []ConfigNew
	refuses  error  // what an apply is told
	gone     ending // of a capture
	settings
}

// settings is a configuration, made of lists, and what was flushed.
type settings struct {
	stat     IPsecStat
	profiles []IPsecProfile
	clients  []LSNClient
	pools    []LSNPool
	groups   []LSNGroup
	apps     []LSNAppsProfile
	flushed  []string // one entry for each flush
}

func (b *fake) known(f Filter) error {
	b.asked = f
	if f.Client != "" && f.Client != "LSN-CLIENT-1" {
		return NotFound("lsn client", f.Client)
	}
	return nil
}

func (b *fake) IPsecSessions(f Filter) (iter.Seq[IPsecSession], error) {
	return slices.Values(b.sessions), b.known(f)
}

func (b *fake) IPsecGates(f Filter) (iter.Seq[IPsecGate], error) {
	return slices.Values(b.gates), b.known(f)
}

func (b *fake) LSNSessions(f Filter) (iter.Seq[LSNSession], error) {
	if b.lsn == nil {
		return slices.Values([]LSNSession(nil)), b.known(f)
	}
	return b.lsn, b.known(f)
}

func (b *fake) Flows(f Filter) (iter.Seq[Flow], error) { return slices.Values(b.flows), b.known(f) }

func (b *fake) LSNDeterministic(f Filter) (iter.Seq[LSNDeterministic], error) {
	return slices.Values(b.computed), b.known(f)
}

func (b *fake) LSNBlocks(f Filter) (iter.Seq[LSNBlock], error) {
	return slices.Values(b.blocks), b.known(f)
}

func (b *fake) Who(f Filter) (iter.Seq[Who], error) { return slices.Values(b.owners), b.known(f) }

func (b *fake) FlushIPsec(f Filter) (IPsecFlushed, error) {
	b.flushed = append(b.flushed, "ipsecalg "+f.Values().Encode())
	return IPsecFlushed{ESPSessions: 2, IKESessions: 1, HeldMessages: 3}, nil
}

func (b *fake) FlushLSN(f Filter) (LSNFlushed, error) {
	if err := b.known(f); err != nil {
		return LSNFlushed{}, err
	}
	b.flushed = append(b.flushed, "lsn "+f.Values().Encode())
	return LSNFlushed{Sessions: 5, Mappings: 4}, nil
}

func (b *fake) ClearIPsecStat(profile string, level ClearLevel) (IPsecStat, error) {
	was, err := b.IPsecStat(profile)
	if err == nil {
		b.flushed = append(b.flushed, fmt.Sprintf("stat %s level %d", profile, level))
	}
	return was, err
}

func (s *settings) IPsecStat(profile string) (IPsecStat, error) {
	out := s.stat
	if profile != "" {
		out.Profile = &profile
	}
	if profile == "X" {
		return out, NotFound("ipsecalg profile", profile)
	}
	return out, nil
}

func (s *settings) IPsecProfiles() []IPsecProfile     { return s.profiles }
func (s *settings) LSNClients() []LSNClient           { return s.clients }
func (s *settings) LSNPools() []LSNPool               { return s.pools }
func (s *settings) LSNGroups() []LSNGroup             { return s.groups }
func (s *settings) LSNAppsProfiles() []LSNAppsProfile { return s.apps }

func (b *fake) Drops() []Drop { return b.drops }

func (b *fake) Version() Version { return Version{Version: "v1"} }

func (b *fake) Status() Status { return b.status }

// newSocket returns a path short enough for a socket, which that of a test's
// own folder is not when the test's name is a sentence.
func newSocket(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ctl")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

// serve runs a server over b and returns its client. The end of the test
// checks that it ends without an error.
func serve(t *testing.T, b Backend) (*Client, string) {
	t.Helper()
	socket := newSocket(t)
	runServer(t, New(b, nil), socket)
	return NewClient(socket), socket
}

func runServer(t *testing.T, s *Server, socket string) {
	t.Helper()
	if err := s.Listen(socket); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	<-s.Ready()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the server ended with: %v", err)
		}
	})
}

// collect takes all rows of an answer.
func collect[T any](t *testing.T, rows iter.Seq2[T, error]) []T {
	t.Helper()
	var out []T
	for row, err := range rows {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, row)
	}
	return out
}

// failure returns the error of an answer that must have one.
func failure[T any](t *testing.T, rows iter.Seq2[T, error]) error {
	t.Helper()
	for _, err := range rows {
		if err != nil {
			return err
		}
	}
	t.Fatal("no error")
	return nil
}

func ip(text string) netip.Addr { return netip.MustParseAddr(text) }

func number16(n uint16) *uint16 { return &n }
