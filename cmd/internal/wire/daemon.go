package wire

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"spigate/cmd/internal/control"
	"spigate/cmd/internal/metrics"
	"spigate/cmd/internal/task"
	"spigate/cmd/internal/web"
	"spigate/configs"
	"spigate/netstack"
	"spigate/netstack/drop"
	"spigate/netstack/natlog"
)

// Daemon is one running configuration: ports, router and control socket.
type Daemon struct {
	config   *configs.Config
	log      *slog.Logger
	switches switches
	ports    ports
	offload  offload
	chassis  *netstack.Chassis
	server   *control.Server
	web      *web.Server // nil: [control] http is off
	views    *views
	monitors map[string]http.Handler // by their paths
	group    *task.Group
	keeper   Keeper

	starting sync.Mutex // held while Started runs; taken before changing
	changing sync.Mutex // held while the configuration changes; guards what follows
	ended    bool       // Run is giving back what the daemon has
	time     Timepiece

	window atomic.Pointer[window] // what waits for its confirmation; changed with changing held
}

// portsDir is where the former state of kernel ports is kept: on a file system
// that a reboot empties, as it does the kernel's settings. It does not depend
// on the configuration: the next daemon must find what a killed one has left,
// whatever its file says, and two daemons must find each other's locks.
const portsDir = "/run/spigate/ports"

// stateDir is portsDir's folder of our network namespace: a port's name means
// nothing in another. Names of namespaces may come back in a boot; whether a
// file is about the very same port, the file itself says.
func stateDir() string {
	namespace, err := os.Readlink("/proc/self/ns/net") // net:[4026531840]
	if err != nil {
		return portsDir
	}
	return filepath.Join(portsDir, strings.Trim(strings.Replace(namespace, ":[", "-", 1), "]"))
}

// NewDaemon takes the ports and builds everything; nothing moves before Run.
// The control socket comes first: a second daemon must fail before it has
// touched a port.
func NewDaemon(c *configs.Config, log *slog.Logger) (*Daemon, error) {
	d := &Daemon{config: c, log: log, time: wallClock()}
	d.ports = ports{log: log, drops: &drop.Counters{}}
	d.switches = newSwitches(log)
	d.views = newViews(c)
	d.views.switches = &d.switches
	d.server = control.New(d.views, log)
	if err := d.server.Listen(c.Control.Socket); err != nil {
		return nil, err
	}
	if err := d.build(); err != nil {
		d.server.Close()
		d.closeWeb()
		return nil, errors.Join(err, d.offload.close(), d.ports.close(), d.switches.close())
	}
	return d, nil
}

func (d *Daemon) build() error {
	// A switch may make the device that a port is.
	if err := d.switches.open(d.config); err != nil {
		return err
	}
	d.ports.switches = &d.switches
	if err := d.ports.take(d.config, stateDir()); err != nil {
		return err
	}
	d.offload = openOffload(d.config, d.ports.open, d.log)
	d.views.offload = &d.offload
	shared, routers := chassisConfig(d.config, d.ports.open)
	d.offload.into(&shared, d.config.Offload.After)
	shared.Log, shared.Drops = d.log, d.ports.drops
	natLog, err := newNATLog(d.config, d.log)
	if err != nil {
		return err
	}
	if natLog != nil {
		// A daemon that was killed has told nobody what ended with it.
		natLog.Emit(natlog.Record{Kind: natlog.Started})
		for i := range routers {
			routers[i].NATLog.Emit = natLog.Emit
		}
	}
	withPages(d.config, routers)
	chassis, err := netstack.NewChassis(shared, routers)
	if err != nil {
		return fmt.Errorf("router: %w", err)
	}
	d.chassis = chassis
	makeRoom(d.ports.open)
	d.views.start(chassis)
	d.views.natLog = natLog
	d.monitors = metrics.New(metrics.Config{Backend: d.views, Alive: d.Alive})
	d.server.Mount(d.monitors)
	tasks := []task.Task{task.Func("router", chassis.Run), task.Func("rates", d.views.observe), d.server}
	tasks = append(tasks, d.switches.tasks()...)
	if err := d.openWeb(); err != nil {
		return err
	}
	if d.web != nil {
		tasks = append(tasks, d.web)
	}
	if d.offload.xdp != nil {
		tasks = append(tasks, task.Func("offload", func(ctx context.Context) error { return d.offload.watch(ctx, chassis.Now) }))
	}
	if natLog != nil {
		tasks = append(tasks, natLogTask(natLog))
	}
	d.group = task.NewGroup("spigate", tasks...)
	d.views.ready = d.group.Ready()
	return nil
}

// Ready is closed when every part of the daemon runs.
func (d *Daemon) Ready() <-chan struct{} { return d.group.Ready() }

// Run moves packets until ctx ends, then gives the ports back. It returns the
// first failure of a part, or nil.
func (d *Daemon) Run(ctx context.Context) error {
	err := d.group.Run(ctx)
	d.end()
	return errors.Join(err, d.offload.close(), d.ports.close(), d.switches.close())
}

// end waits for a reload that is under way and lets none come after it: it would
// tell switches something that are being given back.
func (d *Daemon) end() {
	d.changing.Lock()
	defer d.changing.Unlock()
	d.ended = true
	d.endWindow()
}

// mostStill is how long the tables may go without a sweep, which comes once a
// second, before the router is taken for stuck.
const mostStill = 5 * time.Second

// Alive says what is wrong if the router does not work any more, in whatever
// part: its tables are gone through every second. A port that is down is no such
// thing.
func (d *Daemon) Alive() error {
	if still := time.Duration(d.chassis.Now() - d.chassis.Swept()); still > mostStill {
		return fmt.Errorf("the tables have not been swept for %s", still.Round(time.Second))
	}
	return nil
}
