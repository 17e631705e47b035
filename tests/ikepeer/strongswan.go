package ikepeer

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"spigate/tests/netns"
)

// packages are strongSwan's of Debian. They are unpacked, not installed.
func packages() []string {
	return []string{"strongswan-charon", "strongswan-swanctl", "libstrongswan", "strongswan-libcharon", "libstrongswan-standard-plugins",
		"libstrongswan-extra-plugins", "libcharon-extra-plugins"}
}

// StrongSwan is a charon with ESP in user space (kernel-libipsec).
type StrongSwan struct {
	ns      *netns.Namespace
	root    string // the unpacked packages
	dir     string // configuration, log, control socket
	process *netns.Process
}

// Unpack downloads and unpacks the packages below dir, once.
func Unpack(ctx context.Context, dir string) (root string, err error) {
	root = filepath.Join(dir, "root")
	if _, err := os.Stat(filepath.Join(root, "usr/lib/ipsec/charon")); err == nil {
		return root, nil
	}
	if err := os.MkdirAll(root, 0o755); err != nil {
		return "", err
	}
	script := "cd " + dir + " && apt-get download " + strings.Join(packages(), " ") + " && for d in *.deb; do dpkg-deb -x $d root; done"
	if out, err := exec.CommandContext(ctx, "sh", "-c", script).CombinedOutput(); err != nil {
		return "", fmt.Errorf("download strongSwan: %w\n%s", err, out)
	}
	return root, nil
}

// inside is a shell command that sees the unpacked libraries at their place,
// in a mount namespace of its own.
func (s *StrongSwan) inside(command string) []string {
	mount := fmt.Sprintf("mount --make-rprivate / && mount -t overlay overlay -o lowerdir=%s/usr/lib:/usr/lib /usr/lib && mount -t tmpfs none /var/run/ && ", s.root)
	env := "export LD_LIBRARY_PATH=/usr/lib/ipsec STRONGSWAN_CONF=" + s.dir + "/strongswan.conf; "
	return []string{"-m", "sh", "-c", mount + env + command}
}

func (s *StrongSwan) conf() string {
	return `charon {
	load = random nonce openssl kdf pem x509 pubkey pkcs1 pkcs8 constraints curve25519 kernel-libipsec kernel-netlink socket-default vici
	filelog { log { path = ` + s.dir + `/charon.log
		default = 1
		ike = 2
		cfg = 2
		flush_line = yes } }
	plugins { vici { socket = unix://` + s.dir + `/charon.vici }
		kernel-libipsec { allow_peer_ts = yes } }
	delete_rekeyed_delay = 1
}
swanctl { load = random openssl pem x509 pkcs1 pkcs8 pubkey }
`
}

// StartStrongSwan runs charon in a namespace with a swanctl.conf; files are
// put beside it, by path.
func StartStrongSwan(ctx context.Context, ns *netns.Namespace, root, dir, swanctl string, files map[string][]byte) (*StrongSwan, error) {
	s := &StrongSwan{ns: ns, root: root, dir: dir}
	all := map[string][]byte{"strongswan.conf": []byte(s.conf()), "swanctl.conf": []byte(swanctl)}
	for name, b := range files {
		all[name] = b
	}
	for name, b := range all {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return nil, err
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			return nil, err
		}
	}
	p, err := ns.Start(netns.Command{Path: "/usr/bin/unshare", Args: s.inside("exec /usr/lib/ipsec/charon")})
	if err != nil {
		return nil, err
	}
	s.process = p
	err = netns.Poll(ctx, 50*time.Millisecond, func() bool {
		_, err := os.Stat(filepath.Join(dir, "charon.vici"))
		return err == nil
	})
	if err != nil {
		return nil, fmt.Errorf("charon does not start: %w\n%s", err, strings.Join(p.Output(), "\n"))
	}
	_, err = s.Ctl(ctx, "--load-all --file "+dir+"/swanctl.conf")
	return s, err
}

// Ctl runs swanctl.
func (s *StrongSwan) Ctl(ctx context.Context, args string) (string, error) {
	return s.ns.Run(ctx, "", "/usr/bin/unshare", s.inside("exec "+s.root+"/usr/sbin/swanctl "+args+" --uri unix://"+s.dir+"/charon.vici")...)
}

// Log returns charon's log.
func (s *StrongSwan) Log() string {
	b, err := os.ReadFile(filepath.Join(s.dir, "charon.log"))
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// Stop ends charon.
func (s *StrongSwan) Stop() error { return s.process.Stop() }
