package netns

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// python is Debian's own, which has Debian's modules.
const python = "/usr/bin/python3"

// tools installs the programs that FTP and TFTP are tested with, where they are
// missing. None of the packages starts a server by itself.
func tools(t *testing.T) {
	t.Helper()
	missing := func() (out []string) {
		for _, program := range []string{"curl", "dnsmasq", "tftp"} {
			if _, err := exec.LookPath(program); err != nil {
				out = append(out, program)
			}
		}
		if exec.Command(python, "-c", "import pyftpdlib").Run() != nil {
			out = append(out, "pyftpdlib")
		}
		return out
	}
	if len(missing()) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	packages := []string{"install", "-y", "-q", "--no-install-recommends", "curl", "dnsmasq-base", "tftp-hpa", "python3-pyftpdlib"}
	for _, args := range [][]string{{"update", "-q"}, packages} {
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		cmd.Env = append(cmd.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Logf("apt-get %v: %v\n%s", args, err, out)
		}
	}
	if left := missing(); len(left) > 0 {
		t.Fatalf("FTP and TFTP are tested with real programs; these are missing and could not be installed: %s", strings.Join(left, ", "))
	}
}

// variant starts spigate on the example with more text at its end, that is to
// say in its last table: the group.
func variant(t *testing.T, s *Site, more string) *Daemon {
	t.Helper()
	return variantAt(t, s, "", more)
}

// variantAt is variant with web pages at an address.
func variantAt(t *testing.T, s *Site, http, more string) *Daemon {
	t.Helper()
	text, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []*Namespace{s.Client1, s.Client2, s.Gateway} {
		if err := n.NoSegmentation("eth0"); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	template := filepath.Join(dir, "template.toml")
	if err := os.WriteFile(template, append(text, "\n"+more...), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := s.StartSpigate(deadline(t), DaemonConfig{Binary: spigate(t), Template: template, Dir: dir, HTTP: http, OneAddress: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(strings.Join(d.Output(), "\n"))
		}
	})
	return d
}

// file makes a file of n random bytes in a directory that everybody may use.
func file(t *testing.T, dir, name string, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(n)})
	_, _ = r.Read(b)
	if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
		t.Fatal(err)
	}
	return b
}

// ready starts a server and waits for the line that says it is.
func ready(t *testing.T, n *Namespace, line, path string, args ...string) {
	t.Helper()
	p, err := n.Start(Command{Path: path, Args: args})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.WaitLine(deadline(t), func(s string) bool { return strings.Contains(s, line) }); err != nil {
		t.Fatalf("%v\n%s", err, strings.Join(p.Output(), "\n"))
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(strings.Join(p.Output(), "\n"))
		}
	})
}

// ftpd serves a directory at an address.
func ftpd(t *testing.T, n *Namespace, address, dir string) {
	t.Helper()
	ready(t, n, "starting FTP server", python, "-W", "ignore", "-m", "pyftpdlib", "-V", "-w", "-i", address, "-p", "21", "-d", dir)
}

// fetch reads a file with curl and compares it.
func fetch(t *testing.T, ctx context.Context, n *Namespace, url string, want []byte, args ...string) {
	t.Helper()
	to := filepath.Join(t.TempDir(), "got")
	args = append([]string{"-sS", "--max-time", "30", "-o", to}, args...)
	if _, err := n.Run(ctx, "", "curl", append(args, url)...); err != nil {
		t.Error(err)
		return
	}
	if got, err := os.ReadFile(to); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%v: %d bytes of %d arrived, or others", err, len(got), len(want))
	}
}

// A real client and a real server, in each way in which they can open the data
// connection; both clients at once, behind one address.
func TestRealFTPPassesInEveryMode(t *testing.T) {
	tools(t)
	s := site(t)
	d := variant(t, s, "")
	dir := t.TempDir()
	want := file(t, dir, "big", 3<<20)
	ftpd(t, s.Gateway, Remote.Addr().String(), dir)
	for _, tc := range []struct {
		name string
		args []string
	}{
		{"EPSV", nil},
		{"PASV", []string{"--disable-epsv"}},
		{"EPRT", []string{"--ftp-port", "-"}},
		{"PORT", []string{"--ftp-port", "-", "--disable-eprt"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ctx := deadline(t)
			var both sync.WaitGroup
			for _, client := range []*Namespace{s.Client1, s.Client2} {
				both.Go(func() { fetch(t, ctx, client, "ftp://203.0.113.254/big", want, tc.args...) })
			}
			both.Wait()
		})
	}
	t.Run("upload by PORT, twice over one control connection", func(t *testing.T) {
		ctx := deadline(t)
		sent := file(t, t.TempDir(), "x", 1<<20)
		from := filepath.Join(t.TempDir(), "sent")
		if err := os.WriteFile(from, sent, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := s.Client1.Run(ctx, "", "curl", "-sS", "--max-time", "30", "--ftp-port", "-", "--disable-eprt",
			"-T", from, "ftp://203.0.113.254/up1", "-T", from, "ftp://203.0.113.254/up2")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"up1", "up2"} {
			if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !bytes.Equal(got, sent) {
				t.Errorf("%s: %v: %d bytes of %d arrived, or others", name, err, len(got), len(sent))
			}
		}
	})
	var rows []DropRow
	if err := d.Show(deadline(t), &rows, "drops"); err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if r.Count > 0 && (strings.HasPrefix(r.Reason, "alg_") || strings.HasPrefix(r.Reason, "ftp_")) {
			t.Errorf("%d segments dropped: %s", r.Count, r.Reason)
		}
	}
}

func TestWithoutTheHelperRealActiveFTPFails(t *testing.T) {
	tools(t)
	s := site(t)
	variant(t, s, "ftp = false\n")
	dir := t.TempDir()
	want := file(t, dir, "small", 1000)
	ftpd(t, s.Gateway, Remote.Addr().String(), dir)
	ctx := deadline(t)
	if _, err := s.Client1.Run(ctx, "", "curl", "-sS", "--max-time", "10", "--ftp-port", "-", "ftp://203.0.113.254/small"); err == nil {
		t.Error("active mode passes: the tests with the helper prove nothing")
	}
	fetch(t, ctx, s.Client1, "ftp://203.0.113.254/small", want)
}

// A subscriber's server, reached by a static mapping, says where it listens in
// passive mode; the client outside goes there.
func TestARealFTPServerBehindAStaticMapping(t *testing.T) {
	tools(t)
	s := site(t)
	variant(t, s, "[lsn.static.ftp]\nprotocol = \"TCP\"\nsubscriber = \"192.0.2.11:21\"\nnat = \"203.0.113.3:21\"\n")
	dir := t.TempDir()
	want := file(t, dir, "big", 1<<20)
	ftpd(t, s.Client1, Client1.String(), dir)
	for name, args := range map[string][]string{
		"EPSV": nil, "PASV": {"--disable-epsv", "--no-ftp-skip-pasv-ip"}, "PORT": {"--ftp-port", "-"},
	} {
		t.Run(name, func(t *testing.T) { fetch(t, deadline(t), s.Gateway, "ftp://203.0.113.3/big", want, args...) })
	}
}

// A real TFTP server answers from another port than it was asked at; the
// profile for that port has NetScaler's default filtering, APDF.
func TestRealTFTPPasses(t *testing.T) {
	tools(t)
	serve := func(t *testing.T, more string) (*Site, []byte) {
		s := site(t)
		variant(t, s, more)
		dir := t.TempDir()
		want := file(t, dir, "boot", 300_000)
		for d := dir; len(d) > len(os.TempDir()); d = filepath.Dir(d) {
			if err := os.Chmod(d, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		ready(t, s.Gateway, "TFTP root is", "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--pid-file=", "--port=0",
			"--log-facility=-", "--user=root", "--listen-address="+Remote.Addr().String(), "--bind-interfaces", "--enable-tftp", "--tftp-root="+dir)
		return s, want
	}
	t.Run("on", func(t *testing.T) {
		s, want := serve(t, "")
		to := filepath.Join(t.TempDir(), "got")
		if _, err := s.Client1.Run(deadline(t), "", "tftp", "-m", "binary", Remote.Addr().String(), "-c", "get", "boot", to); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(to); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%v: %d bytes of %d arrived, or others", err, len(got), len(want))
		}
	})
	t.Run("off", func(t *testing.T) {
		s, _ := serve(t, "tftp = false\n")
		ctx, cancel := context.WithTimeout(deadline(t), 3*time.Second)
		defer cancel()
		to := filepath.Join(t.TempDir(), "got")
		_, _ = s.Client1.Run(ctx, "", "tftp", "-m", "binary", Remote.Addr().String(), "-c", "get", "boot", to)
		if got, _ := os.ReadFile(to); len(got) > 0 {
			t.Errorf("%d bytes arrived: the test with the helper proves nothing", len(got))
		}
	})
}
