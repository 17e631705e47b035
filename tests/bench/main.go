package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"

	"spigate/tests/bench/bed"
	"spigate/tests/bench/beside"
	"spigate/tests/bench/report"
	"spigate/tests/netns"
)

// options are the command line's.
type options struct {
	binary   string         // spigate; "" builds it
	template string         // configuration of what is measured as hosts use it
	results  string         // folder for the result; "" for none
	only     *regexp.Regexp // parts; nil: all
	ways     *regexp.Regexp // of packets; nil: all
	each     time.Duration  // how long packets are sent in one measurement
	rounds   int
	flows    int  // the most flows of a line
	carrier  bool // measure a carrier's million sessions, too
}

func main() {
	testing.Init() // testing.Benchmark reads its flags
	if err := flag.Set("test.benchtime", "300ms"); err != nil {
		panic(err) // only if the flag is gone
	}
	var o options
	flag.StringVar(&o.binary, "spigate", "", "the spigate binary; built from ./cmd/spigate if not given")
	flag.StringVar(&o.template, "config", "configs/examples/ipsec-passthrough.toml", "configuration to run spigate on where hosts use it")
	flag.StringVar(&o.results, "results", "tests/bench/results", "folder for the result; empty: none is written")
	flag.DurationVar(&o.each, "each", 500*time.Millisecond, "how long one measurement sends")
	flag.IntVar(&o.rounds, "rounds", 5, "rounds; the median counts")
	flag.IntVar(&o.flows, "flows", 1_000_000, "leave out what needs more flows at a time")
	flag.BoolVar(&o.carrier, "carrier", true, "measure a million sessions in this process, too; that takes a minute and a gigabyte")
	flag.Func("only", "measure only the parts in whose names this regular expression is found; -list prints them", pattern(&o.only))
	flag.Func("ways", "of the parts that compare ways of a packet, measure only ways with such a name", pattern(&o.ways))
	list := flag.Bool("list", false, "print the names of all parts")
	flag.Parse()
	if *list {
		for _, p := range parts() {
			fmt.Println(p.name)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// pattern reads a regular expression.
func pattern(to **regexp.Regexp) func(string) error {
	return func(s string) (err error) {
		*to, err = regexp.Compile(s)
		return err
	}
}

// job is what a part is given: where it finds files and where it puts what it
// has measured.
type job struct {
	options
	dir string
	doc *report.Document
	out io.Writer
}

// part is one of the things that are measured.
type part struct {
	name string
	run  func(ctx context.Context, j *job) error
}

func run(ctx context.Context, o options, out io.Writer) (err error) {
	if !netns.Root() {
		return errors.New("root is needed to make network namespaces")
	}
	dir, err := os.MkdirTemp("", "spigate-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if o.binary == "" {
		o.binary = filepath.Join(dir, "spigate")
		if err := build(ctx, o.binary); err != nil {
			return err
		}
	}
	restore, err := bed.Prefer()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, restore()) }()
	j := &job{o, dir, &report.Document{Machine: report.Machine(), Rounds: o.rounds, Each: o.each, Figures: report.Figures{}}, out}
	began := netns.Monotonic()
	for _, p := range parts() {
		if o.only != nil && !o.only.MatchString(p.name) {
			continue
		}
		fmt.Fprintf(out, "== %s, after %v\n", p.name, time.Duration(netns.Monotonic()-began).Round(time.Second))
		if err := p.run(ctx, j); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return j.finish()
}

// finish prints the goals and writes the result. What could not be measured is
// an error, after all the rest.
func (j *job) finish() error {
	goals := j.doc.GoalTable()
	goals.Print(j.out)
	var errs []error
	for _, m := range j.doc.Missing {
		errs = append(errs, errors.New(m))
	}
	if j.results != "" {
		errs = append(errs, j.doc.Write(j.results))
	}
	return errors.Join(errs...)
}

// build makes the binary as `make build` does.
func build(ctx context.Context, to string) error {
	cmd := exec.CommandContext(ctx, "sh", "cmd/spigate/build.sh", to)
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build spigate (run this from the top of the repository): %w\n%s", err, text)
	}
	return nil
}

// asHostsUseIt measures throughput, round trips and connections through sockets.
func asHostsUseIt(ctx context.Context, j *job) error {
	o := beside.Options{Binary: j.binary, Template: j.template, Each: j.each, Rounds: min(j.rounds, 3)}
	return beside.Measure(ctx, o, j.dir, j.out)
}
