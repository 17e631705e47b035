package wire

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"spigate/cmd/internal/task"
	"spigate/configs"
	"spigate/netstack"
	"spigate/netstack/natlog"
)

// newNATLog makes the log of [log.nat]. Without targets there is none: nil.
func newNATLog(c *configs.Config, log *slog.Logger) (*natlog.Log, error) {
	if len(c.Log.NAT) == 0 {
		return nil, nil
	}
	out := natlog.Config{Now: time.Now, Log: log}
	for _, t := range c.Log.NAT {
		out.Targets = append(out.Targets, logTarget(t))
	}
	l, err := natlog.New(out)
	if err != nil {
		return nil, fmt.Errorf("nat log: %w", err)
	}
	return l, nil
}

func logTarget(t *configs.LogTarget) natlog.Target {
	out := natlog.Target{
		Name: t.Name, Network: t.Transport.String(), Address: t.Address.String(), Queue: t.Queue, MessageSize: t.MessageSize,
		Facility: t.Facility, Host: t.Host, Enterprise: t.Enterprise, TemplateInterval: t.TemplateInterval,
	}
	if t.Kind == configs.LogIPFIX {
		out.Protocol = natlog.IPFIX
	}
	if t.Detail == configs.LogSessions {
		out.Detail = natlog.SessionDetail
	}
	switch t.Format {
	case configs.LogFormatNetScaler:
		out.Format = natlog.FormatNetScaler
	case configs.LogFormatCompact:
		out.Format = natlog.FormatCompact
	}
	if t.Framing == configs.LogRFC5424 {
		out.Framing = natlog.RFC5424
	}
	if t.Numbering == configs.LogNumberingJunos {
		out.Numbering = natlog.Junos
	}
	return out
}

// natLog says which groups of a traffic domain are logged.
func natLog(c *configs.Config, domain uint16) netstack.NATLog {
	out := netstack.NATLog{Groups: map[string]netstack.LoggedGroup{}}
	for _, g := range c.LSN.Groups {
		if g.Client.Domain != domain || !g.Logging {
			continue
		}
		logged := netstack.LoggedGroup{Sessions: g.SessionLogging}
		if p := g.LogProfile; p != nil {
			logged.Profile = &natlog.Profile{
				Compact: p.Compact, SubscriberInfo: p.SubscriberInfo, IPFIX: p.IPFIX, SessionDeletion: p.SessionDeletion,
			}
		}
		out.Groups[g.Name] = logged
	}
	return out
}

// natLogTask sends the log's records.
func natLogTask(l *natlog.Log) task.Task {
	return task.Func("nat log", func(ctx context.Context) error {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		return l.Run(ctx, tick.C)
	})
}
