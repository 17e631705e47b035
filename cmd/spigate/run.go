package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"spigate/board/flash"
	"spigate/cmd/internal/control"
	"spigate/cmd/internal/wire"
	"spigate/configs"
)

// defaultStateDir is where configuration slots are on a router's flash.
const defaultStateDir = "/overlay/spigate"

// runFlags say where the configuration is.
type runFlags struct {
	file, stateDir string
	factory        wire.Factory
	log            logFlags
}

func newRunCommand() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run {--config FILE | --state-dir [DIR]}",
		Short: "The router, in the foreground",
		Long: `Runs the router in the foreground, as root. It logs to stderr, and to the
collector of [log.syslog]; tells systemd when it is ready and that it is well
(NOTIFY_SOCKET, WATCHDOG_USEC); and ends cleanly on SIGTERM: kernel ports are
given back as they were.

With --config it runs on that file. With --state-dir it runs on the slots of a
directory on flash, which survive a power cut at any moment: it boots the
confirmed one; if that is damaged, or this build refuses it, the running one,
then the candidate, then the file of --factory. The log says which, and why.
Files that a configuration names are relative to its own directory. What was
before is kept in the same directory, or with --config in FILE.history beside it.

SIGHUP reads the file, or the running slot, again. What can change without a
restart takes effect at once: sessions whose NAT address, group or profile is
gone end, all others go on; the log says how many. While a configuration waits
for "spigate config confirm", it is that which is read again. If anything else
has changed, or is wrong, the log says what, and nothing changes. "spigate
config apply" does it with an answer.`,
		Example: exampleText("run --config /etc/spigate/spigate.toml", "run --state-dir /overlay/spigate --factory /etc/spigate/spigate.toml"),
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			keeper, err := f.keeper(cmd.Flags().Changed("state-dir"), args)
			if err != nil {
				return err
			}
			log, err := newOwnLog(cmd.ErrOrStderr(), f.log)
			if err != nil {
				return err
			}
			return run(cmd.Context(), keeper, log)
		},
	}
	f.log.add(cmd)
	cmd.Flags().StringVar(&f.file, "config", "", "run on this configuration `FILE`")
	cmd.Flags().StringVar(&f.stateDir, "state-dir", "", "run on the configuration slots in this `DIR`")
	// Without a value it is the usual one; a value behind a space is then an
	// argument to pflag, and not to those who type it.
	cmd.Flags().Lookup("state-dir").NoOptDefVal = defaultStateDir
	cmd.Flags().StringVar(&f.factory.File, "factory", "", "with --state-dir: run on this `FILE` if no slot can be booted")
	cmd.Flags().BoolVar(&f.factory.Use, "use-factory", false, "with --factory: run on its file whatever the slots have; config apply writes the slots")
	for _, flag := range []string{"config", "factory"} {
		_ = cmd.MarkFlagFilename(flag, "toml") // an error is that there is no such flag
	}
	_ = cmd.MarkFlagDirname("state-dir")
	return cmd
}

// keeper is where the configuration of this run is.
func (f *runFlags) keeper(slots bool, args []string) (wire.Keeper, error) {
	switch {
	case slots && f.file != "":
		return nil, usagef("--config and --state-dir: one of them")
	case !slots && f.factory.File != "":
		return nil, usagef("--factory goes with --state-dir")
	case f.factory.Use && f.factory.File == "":
		return nil, usagef("--use-factory goes with --factory")
	case slots && len(args) == 1 && f.stateDir == defaultStateDir:
		f.stateDir = args[0]
	case len(args) > 0:
		return nil, usagef("unknown word %q", args[0])
	}
	if slots {
		keeper, err := wire.KeepSlots(f.stateDir, f.factory, flash.OS{})
		if err != nil {
			return nil, usagef("%w", err)
		}
		return keeper, nil
	}
	if f.file == "" {
		return nil, usagef("want --config FILE, or --state-dir DIR for the slots in DIR (usually %s)", defaultStateDir)
	}
	return wire.KeepFile(f.file), nil
}

func run(ctx context.Context, keeper wire.Keeper, lines *ownLog) error {
	log := lines.logger()
	c, warnings, err := keeper.Boot(time.Now(), log)
	if err != nil {
		return err
	}
	defer lines.use(&c.Log)()
	warn(log, warnings)
	wire.UseMemoryOf(c, log)
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP) // first: its default would end us with ports half taken
	defer signal.Stop(hup)
	d, err := wire.NewDaemon(c, log)
	if err != nil {
		return err
	}
	d.KeepIn(keeper)
	d.CountLog(lines.meter)
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	return attend(ctx, attended{keeper, d, newSupervisor(log), log, c, hup, done})
}

// attended is a daemon that runs, and what can happen to it.
type attended struct {
	keeper wire.Keeper
	daemon *wire.Daemon
	super  *supervisor
	log    *slog.Logger
	booted *configs.Config
	hup    <-chan os.Signal
	done   <-chan error
}

// attend does what is to be done beside the daemon, until it has ended. What
// reads or writes flash, which may take long, is done aside, one after the other:
// a supervisor that waits to hear that we are alive does not wait for that.
func attend(ctx context.Context, a attended) error {
	ticks, stop := a.super.ticks()
	defer stop()
	ready, ending := a.daemon.Ready(), ctx.Done()
	var hup <-chan os.Signal // nil until it is ready: who reloads tells then that it is
	var busy chan struct{}   // closed when what is done aside is; SIGHUP waits for it
	aside := func(do func()) {
		busy, hup = make(chan struct{}), nil
		go func(over chan<- struct{}) {
			defer close(over)
			do()
		}(busy)
	}
	for {
		select {
		case <-ready:
			ready = nil
			a.log.Info("ready", "config", a.booted.File, "socket", a.booted.Control.Socket)
			a.super.ready(a.booted.Control.Socket)
			aside(a.daemon.Started)
		case <-hup:
			aside(a.reload)
		case <-busy:
			busy, hup = nil, a.hup
		case <-ticks:
			a.super.alive(a.daemon.Alive())
		case <-ending:
			ending = nil
			a.super.stopping()
		case err := <-a.done:
			if busy != nil {
				<-busy
			}
			a.log.Info("ended")
			return err
		}
	}
}

// reload answers SIGHUP.
func (a *attended) reload() {
	a.super.reloading()
	defer a.super.ready(a.booted.Control.Socket)
	reload(a.log, a.keeper.Path(), a.daemon.Reread)
}

// reload reads the configuration again.
func reload(log *slog.Logger, path string, reread func(now time.Time) ([]configs.Warning, control.ConfigSessions, error)) {
	warnings, n, err := reread(time.Now())
	if err != nil {
		log.Error("still running the old configuration", "config", path, "reason", strings.ReplaceAll(err.Error(), "\n", "; "))
		return
	}
	warn(log, warnings)
	log.Info("reloaded", "config", path, "sessions_kept", n.Kept, "sessions_cleared", n.Cleared, "sessions_refused", n.Refused)
}

// warn says what is odd about a configuration that runs.
func warn(log *slog.Logger, warnings []configs.Warning) {
	for _, w := range warnings {
		log.Warn("configuration", "warning", w)
	}
}
