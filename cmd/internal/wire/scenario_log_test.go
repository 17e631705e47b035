package wire

import (
	"context"
	"log/slog"
	"strings"
	"sync"
)

// logLines is a log handler that keeps lines as "EVENT key=value …" for the
// ALG's events and "message key=value …" for everything else.
type logLines struct {
	mu    sync.Mutex
	lines []string
}

var _ slog.Handler = (*logLines)(nil)

// Enabled implements slog.Handler.
func (*logLines) Enabled(context.Context, slog.Level) bool { return true }

// Handle implements slog.Handler.
func (l *logLines) Handle(_ context.Context, r slog.Record) error {
	words := []string{r.Message}
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "event" {
			words[0] = a.Value.String()
			return true
		}
		words = append(words, a.Key+"="+a.Value.String())
		return true
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, strings.Join(words, " "))
	return nil
}

// WithAttrs implements slog.Handler; nobody uses it here.
func (l *logLines) WithAttrs([]slog.Attr) slog.Handler { return l }

// WithGroup implements slog.Handler; nobody uses it here.
func (l *logLines) WithGroup(string) slog.Handler { return l }

func (l *logLines) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines[:len(l.lines):len(l.lines)]
}

func (l *logLines) text() string { return strings.Join(l.all(), "\n") + "\n" }
