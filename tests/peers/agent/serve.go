package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"spigate/tests/peers/wire"
)

// maxOutput bounds what is sent back of a command's output.
const maxOutput = 1 << 20

// serve carries out requests until the port fails.
func serve() error {
	port, err := openPort()
	if err != nil {
		return err
	}
	var mu sync.Mutex
	answer := func(a wire.Answer) {
		line, err := json.Marshal(a)
		if err != nil {
			return // cannot be: it has only numbers and text
		}
		mu.Lock()
		defer mu.Unlock()
		if _, err := port.Write(append(line, '\n')); err != nil {
			fmt.Println("agent: answer:", err)
		}
	}
	answer(wire.Answer{Output: wire.Ready})
	lines := bufio.NewReader(port)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return err
		}
		var r wire.Request
		if err := json.Unmarshal(line, &r); err != nil {
			answer(wire.Answer{ID: r.ID, Status: 255, Output: err.Error()})
			continue
		}
		go func() { answer(carryOut(r)) }()
	}
}

// openPort opens the line to the test: the serial line that the kernel's
// command line names, "peers.port=/dev/ttyS0", or else the port with the
// agent's name.
func openPort() (*os.File, error) {
	line, err := argument("peers.port")
	if err != nil {
		return nil, err
	}
	if line != "" {
		return openLine(line)
	}
	return openNamed()
}

// openLine opens a serial line and lets it carry bytes as they are.
func openLine(path string) (*os.File, error) {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	raw := unix.Termios{Cflag: unix.CS8 | unix.CREAD | unix.CLOCAL | unix.B38400}
	raw.Cc[unix.VMIN] = 1
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &raw); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return os.NewFile(uintptr(fd), path), nil
}

// openNamed opens the port with the agent's name. Names stand in sysfs, since
// nothing here makes the links that udev would.
func openNamed() (*os.File, error) {
	var last error
	for range 500 {
		names, err := filepath.Glob("/sys/class/virtio-ports/*/name")
		if err != nil {
			return nil, err
		}
		for _, n := range names {
			text, err := os.ReadFile(n)
			if err != nil || strings.TrimSpace(string(text)) != wire.PortName {
				continue
			}
			// Blocking: the port's driver waits for the other side.
			fd, err := syscall.Open("/dev/"+filepath.Base(filepath.Dir(n)), syscall.O_RDWR|syscall.O_CLOEXEC, 0)
			if err == nil {
				return os.NewFile(uintptr(fd), wire.PortName), nil
			}
			last = err
		}
		<-time.After(20 * time.Millisecond)
	}
	return nil, errors.Join(errors.New("no serial port with the agent's name"), last)
}

func carryOut(r wire.Request) wire.Answer {
	if r.Path != "" {
		err := errors.Join(os.MkdirAll(filepath.Dir(r.Path), 0o755), os.WriteFile(r.Path, []byte(r.Data), 0o600))
		if err != nil {
			return wire.Answer{ID: r.ID, Status: 255, Output: err.Error()}
		}
		return wire.Answer{ID: r.ID}
	}
	status, out := shell(r)
	if len(out) > maxOutput {
		out = out[len(out)-maxOutput:]
	}
	return wire.Answer{ID: r.ID, Status: status, Output: string(out)}
}

// shell runs a command. A host sees its own /run, so that any number of
// daemons of one kind live side by side.
func shell(r wire.Request) (int, []byte) {
	timeout := r.Timeout
	if timeout <= 0 {
		timeout = time.Minute
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	args := []string{"/bin/sh", "-c", r.Command}
	if r.NS != "" {
		own := "mount --bind /run/ns-" + r.NS + ` /run && exec /bin/sh -c "$0"`
		args = []string{"/bin/ip", "netns", "exec", r.NS, "/bin/sh", "-c", own, r.Command}
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second // a daemon may have kept the output open
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay):
		return 0, out.Bytes()
	case ctx.Err() == nil && errors.As(err, &exit) && exit.ExitCode() >= 0:
		return exit.ExitCode(), out.Bytes()
	}
	return 255, append(out.Bytes(), []byte(err.Error())...)
}
