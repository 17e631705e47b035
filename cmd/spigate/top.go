package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"spigate/cmd/internal/control"
)

// topFlags are what "top" is told.
type topFlags struct {
	socket, sort string
	every        time.Duration
	count        uint
	once         bool
}

func (a *app) newTop() *cobra.Command {
	flags := topFlags{every: time.Second}
	cmd := &cobra.Command{
		Use: "top [flows|subscribers|drops|ports]", Short: "Who is busiest, live",
		Long: "Shows the busiest flows or subscribers, drops or ports, and draws them again\n" +
			"every second. Keys: f, s, d and o change to flows, subscribers, drops and ports,\n" +
			"b, p, c, r and l sort by bits, packets, count, rate and what was lost, q ends.\n\n" +
			"Rates of flows and subscribers are what the fast path carried in the newest\n" +
			"second, and the daemon keeps the hundred busiest of that: a million sessions\n" +
			"cost it no more. What only the slow path sees is not among them. Rates of drops\n" +
			"and ports are since the picture before.\n\n" +
			"Where stdout is no terminal it prints one picture, or as many as --count says.\n" +
			"With --json each picture is a line, and they come until --count or Ctrl-C.",
		Example: exampleText("top", "top subscribers --sort packets", "top drops --once", "top ports --count 3 --json"),
		Args:    cobra.MaximumNArgs(1), ValidArgs: []string{"flows", "subscribers", "drops", "ports"},
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := a.top(flags, args)
			if err != nil {
				return err
			}
			return t.run(cmd.Context())
		},
	}
	addSocket(cmd, &flags.socket)
	cmd.Flags().StringVar(&flags.sort, "sort", "", "the `KEY` to sort by: bits or packets; rate or count for drops; lost for ports too")
	cmd.Flags().Var((*interval)(&flags.every), "interval", "draw again every so often, as `2s`")
	cmd.Flags().UintVar(&flags.count, "count", 0, "end after `N` pictures")
	cmd.Flags().BoolVar(&flags.once, "once", false, "one picture")
	return cmd
}

// topper draws a live view.
type topper struct {
	*app
	topFlags
	client *control.Client
	scenes []scene
	scene  *scene
	term   *terminal // nil: stdout is none
	last   frame     // drawn again when the size changes
	drawn  uint
}

func (a *app) top(flags topFlags, args []string) (*topper, error) {
	t := &topper{app: a, topFlags: flags, client: control.NewClient(flags.socket), scenes: scenes(time.Now)}
	t.scene = &t.scenes[0]
	if len(args) > 0 {
		i := slices.IndexFunc(t.scenes, func(s scene) bool { return s.name == args[0] })
		if i < 0 {
			return nil, usagef("unknown word %q after \"spigate top\", want flows, subscribers, drops or ports", args[0])
		}
		t.scene = &t.scenes[i]
	}
	switch {
	case t.sort == "":
		t.sort = t.scene.sorts[0]
	case !slices.Contains(t.scene.sorts, t.sort):
		return nil, usagef("--sort %s: %s can be sorted by %s", t.sort, t.scene.name, strings.Join(t.scene.sorts, ", "))
	}
	if t.every < leastWatch {
		return nil, usagef("--interval %s: at least %s", t.every, leastWatch)
	}
	if t.once {
		t.count = 1
	}
	return t, nil
}

// run draws until it is told to end.
func (t *topper) run(ctx context.Context) error {
	var keys chan byte
	var resized, suspended chan os.Signal
	if t.bold() && !t.json && t.count == 0 {
		if term, ok := openTerminal(ctx, t.out.w); ok {
			defer term.close()
			t.term, keys, resized, suspended = term, term.keys, term.resized, term.suspended
		}
	}
	if t.term == nil && t.count == 0 && !t.json {
		t.count = 1
	}
	tick := time.NewTicker(t.every)
	defer tick.Stop()
	for again := true; ; {
		if again {
			if done, err := t.show(ctx); done || err != nil {
				return err
			}
		}
		again = true
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-resized:
			again = false
			t.draw()
		case <-suspended:
			if err := t.term.suspend(ctx); err != nil {
				return err
			}
		case key := <-keys:
			if key == 'q' || key == 'Q' {
				return nil
			}
			again = t.key(key)
		}
	}
}

// show takes a picture and draws it. A daemon that is being restarted is waited
// for, once it has answered.
func (t *topper) show(ctx context.Context) (done bool, err error) {
	f, ready, err := t.scene.take(ctx, t.client, t.sort)
	switch {
	case ctx.Err() != nil:
		return true, nil
	case err != nil && (t.drawn == 0 || t.term == nil):
		return true, err
	case err != nil:
		f, ready = frame{header: []string{strings.ReplaceAll(err.Error(), "\n", " ")}}, true
	}
	if !ready {
		return false, nil
	}
	t.last = f
	t.drawn++
	err = t.draw()
	return t.out.broken || t.count > 0 && t.drawn == t.count, err
}

// key does what a key asks for, and reports whether there is something else to
// show.
func (t *topper) key(key byte) bool {
	for i := range t.scenes {
		if s := &t.scenes[i]; s.key == key && s != t.scene {
			t.scene, t.sort = s, s.sorts[0]
			return true
		}
	}
	for _, sort := range t.scene.sorts {
		if sort[0] == key && sort != t.sort {
			t.sort = sort
			return true
		}
	}
	return false
}

// draw writes the last picture: over the one before on a terminal, below it
// elsewhere.
func (t *topper) draw() error {
	switch {
	case t.json:
		line, err := t.last.line()
		_, werr := t.out.Write(line)
		return errors.Join(err, werr)
	case t.term == nil:
		if t.drawn > 1 {
			io.WriteString(t.out, "\n")
		}
		return t.table(t.out, len(t.last.rows), false)
	}
	var picture bytes.Buffer
	fmt.Fprintf(&picture, "\x1b[Hspigate top %s  by %s  every %s  %s\n", t.scene.name, t.sort, t.every, time.Now().UTC().Format(time.RFC3339))
	picture.WriteString("f flows  s subscribers  d drops  o ports   sort: " + strings.Join(t.scene.sorts, ", ") + "   q quit\n\n")
	const above = 4 // lines, the header among them
	err := t.table(&picture, min(len(t.last.rows), max(0, t.term.height()-above-1)), true)
	text := bytes.ReplaceAll(picture.Bytes(), []byte("\n"), []byte("\x1b[K\n"))
	_, werr := t.out.Write(append(text, "\x1b[J"...))
	return errors.Join(err, werr)
}

// table prints the first rows of the last picture.
func (t *topper) table(w io.Writer, rows int, bold bool) error {
	out := newTable(w, bold, t.last.header...)
	for _, cells := range t.last.rows[:rows] {
		out.row(cells...)
	}
	return out.end()
}
