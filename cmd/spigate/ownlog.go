package main

import (
	"context"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"spigate/cmd/internal/control"
	"spigate/cmd/internal/logs"
	"spigate/configs"
)

// logFlags are what the command line says of the daemon's log; it wins over the
// configuration.
type logFlags struct{ format, level string }

func (f *logFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.format, "log-format", "", "log lines as `text` or json; default: [log] format")
	cmd.Flags().StringVar(&f.level, "log-level", "", "log from this `LEVEL` on: debug, info, warn or error; default: [log] level")
}

// ownLog is the daemon's log, from before its configuration is read to after
// the router's end.
type ownLog struct {
	flags  logFlags
	root   *logs.Root
	plain  *logs.Root // stderr alone: what the syslog sink has to say of itself
	syslog *logs.Syslog
}

func newOwnLog(stderr io.Writer, f logFlags) (*ownLog, error) {
	l := &ownLog{flags: f, root: logs.New(stderr, logs.Options{}), plain: logs.New(stderr, logs.Options{})}
	if _, ok := configs.ParseLogText(f.format); f.format != "" && !ok {
		return nil, usagef("--log-format %s: want text or json", f.format)
	}
	if _, ok := configs.ParseLogLevel(f.level); f.level != "" && !ok {
		return nil, usagef("--log-level %s: want debug, info, warn or error", f.level)
	}
	o := l.options(&configs.Log{})
	l.root.Use(o, nil)
	l.plain.Use(o, nil)
	return l, nil
}

// options are what the flags say, and otherwise the configuration.
func (l *ownLog) options(c *configs.Log) logs.Options {
	format, level := c.Format, c.Level
	if f, ok := configs.ParseLogText(l.flags.format); ok {
		format = f
	}
	if v, ok := configs.ParseLogLevel(l.flags.level); ok {
		level = v
	}
	return logs.Options{JSON: format == configs.LogJSON, Level: level}
}

func (l *ownLog) logger() *slog.Logger { return l.root.Logger() }

// use logs as the configuration says. stop sends what the collector has not had
// yet, for a moment.
func (l *ownLog) use(c *configs.Log) (stop func()) {
	o := l.options(c)
	l.plain.Use(o, nil)
	if c.Syslog == nil {
		l.root.Use(o, nil)
		return func() {}
	}
	told := l.plain.Logger().With("target", c.Syslog.Network+" "+c.Syslog.Address)
	l.syslog = logs.NewSyslog(logs.SyslogConfig{
		Network: c.Syslog.Network, Address: c.Syslog.Address, Facility: c.Syslog.Facility, App: c.Syslog.App, Host: c.Syslog.Host,
		Told: changes(told),
	})
	l.root.Use(o, l.syslog)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		l.syslog.Run(ctx)
	}()
	return func() {
		cancel()
		<-ended
	}
}

// changes tells when a collector is lost, and when it is back. It is called by
// one goroutine.
func changes(log *slog.Logger) func(error) {
	lost := false
	return func(err error) {
		switch {
		case err != nil && !lost:
			log.Warn("the log's collector cannot be reached; messages wait, then the oldest are lost", "reason", err)
		case err == nil && lost:
			log.Info("the log's collector is back")
		}
		lost = err != nil
	}
}

// meter is what monitoring is told of the log.
func (l *ownLog) meter() control.LogMeter {
	m := control.LogMeter{Suppressed: l.root.Suppressed()}
	if l.syslog != nil {
		st := l.syslog.Stats()
		m.Sent, m.Lost = st.Sent, st.Lost
	}
	return m
}
