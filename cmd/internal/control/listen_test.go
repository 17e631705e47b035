package control

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func TestASecondServerOnTheSameSocketIsTurnedAwayWithThePID(t *testing.T) {
	client, socket := serve(t, &fake{})
	second := New(&fake{}, nil)
	err := second.Listen(socket)
	want := fmt.Sprintf("control socket %s: another spigate answers there (pid %d)", socket, os.Getpid())
	if err == nil || err.Error() != want {
		t.Fatalf("got  %v\nwant %s", err, want)
	}
	second.Close()
	if v, err := client.Version(t.Context()); err != nil || v.Version != "v1" {
		t.Errorf("the first server is disturbed: %v, %v", v, err)
	}
}

func TestTheSocketOfAKilledDaemonIsReplaced(t *testing.T) {
	socket := newSocket(t)
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childSocket+"="+socket)
	stdout, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil || line != "listening\n" {
		t.Fatalf("child: %q, %v", line, err)
	}

	s := New(&fake{}, nil)
	defer s.Close()
	if err := s.Listen(socket); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("(pid %d)", child.Process.Pid)) {
		t.Errorf("while it lives: %v, want its pid %d", err, child.Process.Pid)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	child.Wait()
	if _, err := os.Lstat(socket); err != nil {
		t.Fatalf("the killed daemon's socket should still be there: %v", err)
	}
	if err := s.Listen(socket); err != nil {
		t.Errorf("after it was killed: %v", err)
	}
}

func TestASocketThatAnswersWithoutTheLockIsLeftAlone(t *testing.T) {
	socket := newSocket(t)
	stranger, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	err = New(&fake{}, nil).Listen(socket)
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("another spigate answers there (pid %d)", os.Getpid())) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Lstat(socket); err != nil {
		t.Errorf("the stranger's socket is gone: %v", err)
	}
	if _, err := os.Lstat(socket + lockSuffix); err == nil {
		t.Error("the lock file is left behind")
	}
}

func TestAPathThatCannotBeASocketIsRefused(t *testing.T) {
	file := newSocket(t)
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ path, want string }{
		"a file":          {file, "a file of another kind is there"},
		"below a file":    {file + "/sock", "not a directory"},
		"a path too long": {"/tmp/" + strings.Repeat("x", 120), "longer than"},
	} {
		err := New(&fake{}, nil).Listen(c.path)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.path) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "precious" {
		t.Errorf("the file was touched: %q, %v", text, err)
	}
}

func TestTheSocketHasItsFolderAndItsModeAndLeavesNothingBehind(t *testing.T) {
	socket := filepath.Join(newSocket(t), "deeper", "sock")
	s := New(&fake{}, nil)
	if err := s.Listen(socket); err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(socket)
	if err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("mode %v, %v, want 0660", info.Mode(), err)
	}
	if err := s.Listen(socket + "2"); err == nil {
		t.Error("one server listens twice")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Run(ctx); err != nil {
		t.Error(err)
	}
	left, err := os.ReadDir(filepath.Dir(socket))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestRunBeforeListenIsAnError(t *testing.T) {
	if err := New(&fake{}, nil).Run(t.Context()); err == nil {
		t.Error("no error")
	}
}

func TestOfManyDaemonsThatStartAtOnceOneGetsTheSocket(t *testing.T) {
	socket := newSocket(t)
	for round := range 20 {
		const daemons = 8
		var won atomic.Int32
		var all, tried sync.WaitGroup
		tried.Add(daemons)
		for range daemons {
			all.Go(func() {
				s := New(&fake{}, nil)
				if err := s.Listen(socket); err == nil {
					won.Add(1)
				}
				// The winner holds the socket until all have tried.
				tried.Done()
				tried.Wait()
				s.Close()
			})
		}
		all.Wait()
		if won.Load() != 1 {
			t.Fatalf("round %d: %d daemons got the socket", round, won.Load())
		}
	}
}

func TestDaemonsThatComeAndGoNeverShareTheSocket(t *testing.T) {
	socket := newSocket(t)
	var holders, turns atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 100 {
				s := New(&fake{}, nil)
				if s.Listen(socket) != nil {
					continue
				}
				turns.Add(1)
				if n := holders.Add(1); n != 1 {
					t.Errorf("%d hold the socket", n)
				}
				if !same(s.endpoint.lock, socket+lockSuffix) {
					t.Error("the lock is on a file that somebody has removed")
				}
				holders.Add(-1)
				s.Close()
			}
		})
	}
	all.Wait()
	if turns.Load() == 0 {
		t.Error("nobody ever got it")
	}
}
