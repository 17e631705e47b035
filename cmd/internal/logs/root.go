package logs

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// Options say how lines look and which there are.
type Options struct {
	JSON  bool
	Level slog.Level // and above
}

// Root is the place where all records of a program come together. It is safe for
// concurrent use.
type Root struct {
	stderr  io.Writer
	now     atomic.Pointer[outputs]
	limiter limiter
}

// outputs are where records go at present.
type outputs struct {
	level  slog.Level
	stderr slog.Handler
	syslog *Syslog // nil: none
}

// New returns a Root that writes to stderr.
func New(stderr io.Writer, o Options) *Root {
	r := &Root{stderr: stderr}
	r.Use(o, nil)
	return r
}

// Logger returns a logger of the Root.
func (r *Root) Logger() *slog.Logger { return slog.New(&handler{root: r}) }

// Use changes how lines look, and says where they go besides; s may be nil.
func (r *Root) Use(o Options, s *Syslog) {
	options := &slog.HandlerOptions{Level: o.Level}
	out := &outputs{level: o.Level, stderr: slog.NewTextHandler(r.stderr, options), syslog: s}
	if o.JSON {
		out.stderr = slog.NewJSONHandler(r.stderr, options)
	}
	r.now.Store(out)
}

// Suppressed is how many records were not written because there were too many of
// their kind.
func (r *Root) Suppressed() uint64 { return r.limiter.suppressed.Load() }

// handler is a logger's: it remembers what the logger was given, and asks the
// Root at each record where that goes.
type handler struct {
	root  *Root
	given []given
}

// given is what WithAttrs or WithGroup added.
type given struct {
	attrs []slog.Attr
	group string
}

// Enabled implements slog.Handler.
func (h *handler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.root.now.Load().level }

// WithAttrs implements slog.Handler.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler { return h.with(given{attrs: attrs}) }

// WithGroup implements slog.Handler.
func (h *handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	return h.with(given{group: name})
}

func (h *handler) with(g given) slog.Handler {
	return &handler{h.root, append(h.given[:len(h.given):len(h.given)], g)}
}

// Handle implements slog.Handler.
func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	pass, missed := h.root.limiter.ask(r.Message, r.Time)
	if !pass {
		return nil
	}
	if missed > 0 {
		r = r.Clone()
		r.AddAttrs(slog.Uint64("suppressed", missed))
	}
	out := h.root.now.Load()
	to := out.stderr
	for _, g := range h.given {
		if g.group != "" {
			to = to.WithGroup(g.group)
		} else {
			to = to.WithAttrs(g.attrs)
		}
	}
	err := to.Handle(ctx, r)
	if out.syslog != nil {
		out.syslog.offer(&r, h.given)
	}
	return err
}

// Bounds of the limiter: so many records of one message in so long, and so many
// messages that it knows apart.
const (
	limitBurst    = 100
	limitInterval = 10 * time.Second
	limitKeys     = 512
)

// limiter keeps one message, which a stranger may cause, from being the whole
// log. Its clock is the records' own.
type limiter struct {
	suppressed atomic.Uint64

	mu   sync.Mutex
	keys map[string]*window
}

// window counts one message since begun.
type window struct {
	begun        time.Time
	said, missed uint64
}

// ask reports whether a record may pass, and how many before it did not.
func (l *limiter) ask(message string, at time.Time) (pass bool, missed uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.keys[message]
	switch {
	case w == nil:
		if l.keys == nil || len(l.keys) >= limitKeys {
			l.keys = make(map[string]*window) // more kinds than anybody has written: all begin anew
		}
		w = &window{begun: at}
		l.keys[message] = w
	case at.Sub(w.begun) >= limitInterval || at.Before(w.begun):
		missed = w.missed
		*w = window{begun: at}
	}
	if w.said >= limitBurst {
		w.missed++
		l.suppressed.Add(1)
		return false, 0
	}
	w.said++
	return true, missed
}
