package commands

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"

	"spigate/configs"
)

// daemon is the real one, with its ports in our hands.
type daemon struct {
	cmd    *exec.Cmd
	socket string
	log    lockedBuffer
	ended  chan error
	notify *net.UnixConn // on which it says that it is ready
	pipes  []*os.File
	site   *site
}

// lockedBuffer takes what the daemon writes while it may be read.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// start reads "daemon NAME FILE … [slots]": daemons on files, or with slots on
// state directories whose factory default they are. Commands then ask the last.
// A FILE below configs/ is a shipped one, whose kernel ports become pipes. Of
// several at once none is waited for before all have been started: a cable
// between two of them works when both have opened it.
func (s *scene) start(args []string) error {
	slots := len(args)%2 == 1 && args[len(args)-1] == "slots"
	if len(args) < 2 || len(args)%2 == 1 && !slots {
		return errors.New("usage: daemon NAME FILE … [slots]")
	}
	var all []*daemon
	for k := 0; k+1 < len(args); k += 2 {
		if err := s.startOne(args[k], args[k+1], slots); err != nil {
			return err
		}
		all = append(all, s.current)
	}
	for _, d := range all {
		if err := d.heard("READY=1"); err != nil {
			return err
		}
		if err := d.site.acquaint(); err != nil {
			return err
		}
	}
	return nil
}

func (s *scene) startOne(name, from string, slots bool) error {
	file := filepath.Join(s.dir, name+".toml")
	d := &daemon{socket: filepath.Join(s.dir, name+".sock"), ended: make(chan error, 1)}
	s.daemons[name], s.current = d, d
	text, err := s.configuration(from, d.socket)
	if err == nil {
		err = os.WriteFile(file, text, 0o600)
	}
	if err != nil {
		return err
	}
	if err := d.plug(s.dir, file, text); err != nil {
		return err
	}
	run := []string{"run", "--config", name + ".toml"}
	if slots {
		run = []string{"run", "--state-dir=" + filepath.Join(s.dir, name+".slots"), "--factory", name + ".toml"}
	}
	return d.launch(s, name, run)
}

// configuration reads a file, puts the socket in and makes pipes of kernel ports.
func (s *scene) configuration(file, socket string) ([]byte, error) {
	path := filepath.Join(s.dir, file)
	if strings.HasPrefix(file, "configs/") {
		path = filepath.Join("..", "..", file)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	text = kernelPort.ReplaceAll(text, []byte("[port.$1]\ndriver = \"pcap\"\ndevice = \"$1.in\"\nsink = \"$1.out\"\nmac = \"02:00:5e:00:00:$1\""))
	for k, port := range []string{"lan", "wan"} {
		text = bytes.ReplaceAll(text, []byte("00:00:"+port), fmt.Appendf(nil, "00:00:%02d", k+1))
	}
	head := fmt.Sprintf("[control]\nsocket = %q\n", socket)
	if bytes.Contains(text, []byte("[control]\n")) {
		return bytes.Replace(text, []byte("[control]\n"), []byte(head), 1), nil
	}
	return append(text, head...), nil
}

var kernelPort = regexp.MustCompile(`\[port\.(lan|wan)\]\ndriver = "raw"\ndevice = "\w+"`)

// plug makes the pipes of the daemon's ports, and stations at their far ends but
// for pipes that are called cable: those lead to another daemon.
func (d *daemon) plug(dir, file string, text []byte) error {
	c, _, err := configs.Load(file)
	if err != nil {
		return fmt.Errorf("%w\n%s", err, text)
	}
	d.site = &site{config: c, lines: map[string]*line{}}
	for _, p := range c.Ports {
		in, err := d.pipe(dir, p.Device)
		if err != nil {
			return err
		}
		out, err := d.pipe(dir, p.Sink)
		if err != nil {
			return err
		}
		if strings.HasPrefix(p.Device, "cable") {
			continue
		}
		l, err := newLine(d.site, p, in, out)
		if err != nil {
			return err
		}
		d.site.lines[p.Name] = l
	}
	return nil
}

// pipe opens a named pipe for both directions: that way nobody waits for
// anybody to open the other end.
func (d *daemon) pipe(dir, name string) (*os.File, error) {
	path := filepath.Join(dir, name)
	if err := syscall.Mkfifo(path, 0o600); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("pipe %s: %w", name, err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err == nil {
		d.pipes = append(d.pipes, f)
	}
	return f, err
}

// launch starts the daemon.
func (d *daemon) launch(s *scene, name string, args []string) error {
	path := filepath.Join(s.dir, name+".notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return err
	}
	d.notify = conn
	d.cmd = exec.Command(s.binary, args...)
	d.cmd.Dir, d.cmd.Stderr = s.dir, &d.log
	d.cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+path)
	if err := d.cmd.Start(); err != nil {
		return err
	}
	go func() {
		d.ended <- d.cmd.Wait()
		conn.Close() // wakes who waits to hear from it
	}()
	return nil
}

// heard waits until the daemon has said a word to its supervisor.
func (d *daemon) heard(word string) error {
	if err := d.notify.SetReadDeadline(time.Now().Add(patience / 2)); err != nil {
		return fmt.Errorf("the daemon has ended:\n%s", d.log.String())
	}
	b := make([]byte, 4096)
	for {
		n, err := d.notify.Read(b)
		if err != nil {
			return fmt.Errorf("the daemon does not say %s: %w\n%s", word, err, d.log.String())
		}
		if strings.HasPrefix(string(b[:n]), word) {
			return nil
		}
	}
}

// reload sends SIGHUP and waits for its end.
func (d *daemon) reload() error {
	if err := d.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		return err
	}
	return d.heard("READY=1")
}

// stop ends the daemon as a supervisor does, and wants it to end well.
func (d *daemon) stop() error {
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case err := <-d.ended:
		d.ended <- nil
		return err
	case <-time.After(patience):
		return fmt.Errorf("the daemon does not end:\n%s", d.log.String())
	}
}

// end cleans up, whatever has become of the daemon.
func (d *daemon) end() {
	if d.cmd != nil && d.cmd.Process != nil {
		d.cmd.Process.Signal(syscall.SIGTERM)
		late := time.AfterFunc(patience, func() { d.cmd.Process.Kill() })
		<-d.ended
		late.Stop()
	}
	for _, f := range d.pipes {
		f.Close()
	}
	if d.site != nil {
		d.site.wait()
	}
}
