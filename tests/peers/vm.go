package peers

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"spigate/tests/netns"
	"spigate/tests/peers/wire"
)

// Card is a network card of the guest: the host in the guest that owns it, the
// TAP device outside, and its hardware address.
type Card struct {
	Host, TAP string
	Address   net.HardwareAddr
}

// MachineConfig says what to start.
type MachineConfig struct {
	Image *Image
	In    *netns.Namespace // where the TAP devices are
	Cards []Card
	Dir   string // for sockets
}

// VM is a running guest. Its methods are safe for concurrent use.
type VM struct {
	process *netns.Process
	conn    net.Conn

	mu      sync.Mutex
	nextID  int
	waiting map[int]chan wire.Answer
	gone    error // set when the connection has ended
}

// Start boots a guest and waits until its agent answers. The guest ends with
// Close, at the latest when the lab closes.
func Start(ctx context.Context, c MachineConfig) (*VM, error) {
	socket := filepath.Join(c.Dir, "agent.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return nil, fmt.Errorf("guest: %w", err)
	}
	defer listener.Close()
	v := &VM{waiting: map[int]chan wire.Answer{}}
	v.process, err = c.In.Start(c.Image.Machine.launch(c, socket))
	if err != nil {
		return nil, fmt.Errorf("guest: %w", err)
	}
	ctx, cancel := v.process.While(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { listener.Close() })
	defer stop()
	if v.conn, err = listener.Accept(); err == nil {
		err = v.awaitReady(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("guest did not start: %w\n%s", errors.Join(err, context.Cause(ctx), v.Close()), v.Console())
	}
	return v, nil
}

// awaitReady reads the agent's first line and leaves a goroutine that reads
// the answers.
func (v *VM) awaitReady(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { v.conn.Close() })
	defer stop()
	in := bufio.NewReader(v.conn)
	line, err := in.ReadBytes('\n')
	if err != nil {
		return err
	}
	var a wire.Answer
	if err := json.Unmarshal(line, &a); err != nil || a.Output != wire.Ready {
		return fmt.Errorf("the agent said %q: %w", line, err)
	}
	go v.read(in)
	return nil
}

func (v *VM) read(in *bufio.Reader) {
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			v.end(err)
			return
		}
		var a wire.Answer
		if err := json.Unmarshal(line, &a); err != nil {
			v.end(fmt.Errorf("the agent's answer: %w", err))
			return
		}
		v.mu.Lock()
		c := v.waiting[a.ID]
		delete(v.waiting, a.ID)
		v.mu.Unlock()
		if c != nil {
			c <- a
		}
	}
}

// end lets everybody who waits know that there will be no answer.
func (v *VM) end(err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.gone = fmt.Errorf("the guest is gone: %w", err)
	for id, c := range v.waiting {
		close(c)
		delete(v.waiting, id)
	}
}

// ExitError is a command in the guest that did not end with status 0.
type ExitError struct {
	Command, Output string
	Status          int
}

// Error gives the command and the end of its output.
func (e *ExitError) Error() string {
	return fmt.Sprintf("%q ended with status %d: %s", e.Command, e.Status, tail(e.Output, 2000))
}

// commandLimit ends a command in the guest that hangs.
const commandLimit = 90 * time.Second

// Exec runs a shell command as the named host of the guest, or as the guest
// itself, and returns what it printed. Another status than 0 is an ExitError.
func (v *VM) Exec(ctx context.Context, host, command string) (string, error) {
	limit := commandLimit
	if end, ok := ctx.Deadline(); ok {
		limit = max(time.Second, min(limit, time.Until(end)))
	}
	a, err := v.ask(ctx, wire.Request{NS: host, Command: command, Timeout: limit})
	if err != nil {
		return "", fmt.Errorf("%s: %w", host, err)
	}
	if a.Status != 0 {
		return a.Output, fmt.Errorf("%s: %w", host, &ExitError{command, a.Output, a.Status})
	}
	return a.Output, nil
}

// WriteFile writes a file in the guest; a host's /run/X is /run/ns-HOST/X.
func (v *VM) WriteFile(ctx context.Context, path, data string) error {
	a, err := v.ask(ctx, wire.Request{Path: path, Data: data})
	if err == nil && a.Status != 0 {
		err = errors.New(a.Output)
	}
	if err != nil {
		return fmt.Errorf("guest: write %s: %w", path, err)
	}
	return nil
}

func (v *VM) ask(ctx context.Context, r wire.Request) (wire.Answer, error) {
	answer := make(chan wire.Answer, 1)
	v.mu.Lock()
	v.nextID++
	r.ID = v.nextID
	line, err := json.Marshal(r)
	if err == nil {
		err = v.gone
	}
	if err == nil {
		v.waiting[r.ID] = answer
		_, err = v.conn.Write(append(line, '\n'))
	}
	v.mu.Unlock()
	if err != nil {
		return wire.Answer{}, err
	}
	select {
	case a, ok := <-answer:
		if !ok {
			v.mu.Lock()
			defer v.mu.Unlock()
			return a, v.gone
		}
		return a, nil
	case <-ctx.Done():
		v.mu.Lock()
		delete(v.waiting, r.ID)
		v.mu.Unlock()
		return wire.Answer{}, ctx.Err()
	}
}

// Console returns what the guest's kernel and the emulator have said.
func (v *VM) Console() string { return strings.Join(v.process.Output(), "\n") }

// Close ends the guest.
func (v *VM) Close() error {
	err := v.process.Stop()
	if v.conn != nil {
		v.conn.Close()
	}
	return err
}
