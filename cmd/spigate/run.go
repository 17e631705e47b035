package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"spigate/cmd/internal/wire"
	"spigate/configs"
)

func newRunCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "run --config FILE",
		Short: "The router, in the foreground",
		Long: `Runs the router on one configuration file, in the foreground, as root.
It logs to stderr, tells systemd when it is ready (NOTIFY_SOCKET), and ends
cleanly on SIGTERM: kernel ports are given back as they were.
SIGHUP reads the file again. Changes in [lsn.…] and [ipsecalg.…] take effect at
once: sessions whose NAT address, group or profile is gone end, all others go
on. If anything else has changed, or is wrong, the log says what, and nothing
changes.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return run(cmd.Context(), file, cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVar(&file, "config", "", "the configuration file")
	if err := cmd.MarkFlagRequired("config"); err != nil {
		panic("spigate: " + err.Error())
	}
	return cmd
}

func run(ctx context.Context, file string, stderr io.Writer) error {
	log := slog.New(slog.NewTextHandler(stderr, nil))
	c, warnings, err := load(file)
	if err != nil {
		return err
	}
	warn(log, warnings)
	if b, err := boardOf(c); err == nil {
		wire.UseMemory(c, b, log)
	}
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP) // first: its default would end us with ports half taken
	defer signal.Stop(hup)
	d, err := wire.NewDaemon(c, log)
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	ready := d.Ready()
	for {
		select {
		case <-ready:
			ready = nil
			log.Info("ready", "config", file, "socket", c.Control.Socket)
			notify(log, "READY=1")
		case <-hup:
			reload(log, file, d.Reload)
		case err := <-done:
			log.Info("ended")
			return err
		}
	}
}

// reload answers SIGHUP.
func reload(log *slog.Logger, file string, apply func(*configs.Config) error) {
	c, warnings, err := load(file)
	if err == nil {
		err = apply(c)
	}
	if err != nil {
		log.Error("still running the old configuration", "config", file, "reason", strings.ReplaceAll(err.Error(), "\n", "; "))
		return
	}
	warn(log, warnings)
	log.Info("reloaded", "config", file)
}

// warn says what is odd about a configuration that runs.
func warn(log *slog.Logger, warnings []configs.Warning) {
	for _, w := range warnings {
		log.Warn("configuration", "warning", w)
	}
}

// notify tells systemd, if it is the one that started us (sd_notify(3)).
func notify(log *slog.Logger, state string) {
	name := os.Getenv("NOTIFY_SOCKET")
	if name == "" {
		return
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err == nil {
		_, err = fmt.Fprint(conn, state)
		conn.Close()
	}
	if err != nil {
		log.Warn("cannot tell systemd", "error", err)
	}
}
