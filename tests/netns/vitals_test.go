package netns

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// vitals are what a daemon takes of the machine.
type vitals struct {
	resident, peak int64 // bytes; peak is since forgetPeak
	files          int   // open descriptors
}

func vitalsOf(t *testing.T, d *Daemon) (v vitals) {
	t.Helper()
	at := filepath.Join("/proc", strconv.Itoa(d.Pid()))
	text, err := os.ReadFile(filepath.Join(at, "status"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		for name, to := range map[string]*int64{"VmRSS:": &v.resident, "VmHWM:": &v.peak} {
			if f := strings.Fields(line); len(f) == 3 && f[0] == name {
				kB, err := strconv.ParseInt(f[1], 10, 64)
				if err != nil {
					t.Fatal(err)
				}
				*to = kB << 10
			}
		}
	}
	files, err := os.ReadDir(filepath.Join(at, "fd"))
	if err != nil {
		t.Fatal(err)
	}
	v.files = len(files)
	return v
}

// forgetPeak has the kernel count the peak of a daemon's memory from now on.
func forgetPeak(t *testing.T, d *Daemon) {
	t.Helper()
	at := filepath.Join("/proc", strconv.Itoa(d.Pid()), "clear_refs")
	if err := os.WriteFile(at, []byte("5"), 0); err != nil {
		t.Fatal(err)
	}
}

// asker asks a daemon at its control socket as any HTTP client does.
func asker(d *Daemon) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", d.Socket)
		},
		DisableKeepAlives: true,
	}}
}

// askControl returns the answer at a path of the control socket.
func askControl(ctx context.Context, d *Daemon, path string) (string, error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://spigate"+path, nil)
	if err != nil {
		return "", err
	}
	r, err := asker(d).Do(q)
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err == nil && r.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", path, r.Status, text)
	}
	return string(text), err
}

// measured is a number of /metrics.
func measured(t *testing.T, d *Daemon, name string) int64 {
	t.Helper()
	text, err := askControl(deadline(t), d, "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == name {
			n, err := strconv.ParseFloat(f[1], 64)
			if err != nil {
				t.Fatal(err)
			}
			return int64(n)
		}
	}
	t.Fatalf("/metrics has no %s", name)
	return 0
}

// mega is bytes for messages.
func mega(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }

// runWith runs a command with something to read, and returns what it prints.
func runWith(in io.Reader, path string, args ...string) (string, error) {
	cmd := exec.Command(path, args...)
	cmd.Stdin = in
	out, err := cmd.Output()
	return string(out), err
}
