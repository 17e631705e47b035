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
	"testing"
	"time"

	"spigate/tests/netns"
)

// options are the command line's.
type options struct {
	binary   string        // spigate; "" builds it
	template string        // configuration that spigate runs on
	each     time.Duration // how long packets are sent in one measurement
	rounds   int
	network  bool // measure in namespaces, too
	carrier  bool // measure a carrier's million sessions, too
}

func main() {
	testing.Init() // testing.Benchmark reads its flags
	if err := flag.Set("test.benchtime", "300ms"); err != nil {
		panic(err) // only if the flag is gone
	}
	var o options
	flag.StringVar(&o.binary, "spigate", "", "the spigate binary; built from ./cmd/spigate if not given")
	flag.StringVar(&o.template, "config", "configs/examples/ipsec-passthrough.toml", "configuration to run spigate on")
	flag.DurationVar(&o.each, "each", time.Second, "how long one measurement sends")
	flag.IntVar(&o.rounds, "rounds", 3, "rounds; the median counts")
	flag.BoolVar(&o.network, "network", true, "measure beside the kernel in network namespaces, too")
	flag.BoolVar(&o.carrier, "carrier", true, "measure a million sessions, too; that takes a minute and a gigabyte")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, out io.Writer) error {
	inProcess(o.rounds, out)
	if err := ciphers(o.rounds, 3000, out); err != nil {
		return err
	}
	if err := gateways(500*o.rounds, out); err != nil {
		return err
	}
	if err := connections(o.rounds, 20_000, out); err != nil {
		return err
	}
	if o.carrier {
		if err := provider.measure(out); err != nil {
			return err
		}
	}
	if !o.network {
		return nil
	}
	if !netns.Root() {
		return errors.New("root is needed to make network namespaces (-network=false leaves them out)")
	}
	if err := tunnelsThroughTAP(ctx, o, out); err != nil {
		return err
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
	return sideBySide(ctx, o, dir, out)
}

// build makes the binary as `make build` does.
func build(ctx context.Context, to string) error {
	cmd := exec.CommandContext(ctx, "sh", "cmd/spigate/build.sh", to)
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build spigate (run this from the top of the repository): %w\n%s", err, text)
	}
	return nil
}
