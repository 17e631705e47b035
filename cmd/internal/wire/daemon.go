package wire

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"

	"spigate/cmd/internal/control"
	"spigate/cmd/internal/task"
	"spigate/configs"
	"spigate/netstack"
	"spigate/netstack/drop"
)

// Daemon is one running configuration: ports, router and control socket.
type Daemon struct {
	config *configs.Config
	log    *slog.Logger
	ports  ports
	router *netstack.Router
	server *control.Server
	views  *views
	group  *task.Group
}

// portsDir is where the former state of kernel ports is kept, beside the
// control socket: on a file system that a reboot empties, as it does the
// kernel's settings.
const portsDir = "spigate-ports"

// NewDaemon takes the ports and builds everything; nothing moves before Run.
// The control socket comes first: a second daemon must fail before it has
// touched a port.
func NewDaemon(c *configs.Config, log *slog.Logger) (*Daemon, error) {
	d := &Daemon{config: c, log: log}
	d.ports = ports{log: log, drops: &drop.Counters{}}
	d.views = &views{config: c}
	d.server = control.New(d.views, log)
	if err := d.server.Listen(c.Control.Socket); err != nil {
		return nil, err
	}
	if err := d.build(); err != nil {
		d.server.Close()
		return nil, errors.Join(err, d.ports.close())
	}
	return d, nil
}

func (d *Daemon) build() error {
	c := d.config
	stateDir := filepath.Join(filepath.Dir(c.Control.Socket), portsDir)
	if err := d.ports.take(c, stateDir); err != nil {
		return err
	}
	rc := routerConfig(c, d.ports.open)
	rc.Log, rc.Drops = d.log, d.ports.drops
	router, err := netstack.New(rc)
	if err != nil {
		return fmt.Errorf("router: %w", err)
	}
	d.router = router
	d.views.start(router)
	d.group = task.NewGroup("spigate",
		task.Func("router", router.Run),
		task.Func("rates", d.views.observe),
		d.server,
	)
	return nil
}

// Ready is closed when every part of the daemon runs.
func (d *Daemon) Ready() <-chan struct{} { return d.group.Ready() }

// Run moves packets until ctx ends, then gives the ports back. It returns the
// first failure of a part, or nil.
func (d *Daemon) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	context.AfterFunc(d.readyContext(ctx), func() { d.views.ready.Store(true) })
	err := d.group.Run(ctx)
	return errors.Join(err, d.ports.close())
}

// readyContext ends when the daemon is ready, or with ctx.
func (d *Daemon) readyContext(ctx context.Context) context.Context {
	ready, done := context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		defer done()
		select {
		case <-d.Ready():
		case <-ctx.Done():
		}
	}()
	return ready
}
