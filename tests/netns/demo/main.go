// Command demo shows the router's main job on one machine, in about fifteen
// seconds: two VPN clients behind one public address speak plain ESP to the
// same gateway through spigate.
//
// It lays out network namespaces (package netns), starts the spigate binary in
// the one between them, and replays recorded IKEv1 and IKEv2 conversations of
// real daemons (package golden). The second client starts while the first
// one's gate is open, so that its phase-2 message has to be held (rule R58).
//
// Then live peers: three more spigates, two clients and a gateway without NAT
// traversal (their configurations are in live/), negotiate for themselves.
// Hosts behind them ping and talk TCP, while keys and IKE SAs are renewed from
// both ends; then one client is killed, and comes back.
//
// It ends with exit code 0 only if every recorded ESP packet of both clients
// arrived byte for byte at the right end, once, and none at a wrong one, and if
// the hosts of both live clients got through, by plain ESP. Namespaces and
// processes are gone when it ends, however it ends.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"spigate/tests/netns"
)

// limit bounds the whole run: a demo that hangs has failed.
const limit = 110 * time.Second

// options are the command line.
type options struct {
	binary, template    string
	rounds              int
	json, verbose, keep bool
}

func main() {
	var o options
	flag.StringVar(&o.binary, "spigate", "bin/spigate", "the spigate binary")
	flag.StringVar(&o.template, "config", "configs/examples/ipsec-passthrough.toml", "the configuration to start from")
	flag.IntVar(&o.rounds, "rounds", 20, "how often the recorded ESP is sent again after each recording")
	flag.BoolVar(&o.json, "json", false, "result as JSON on stdout, everything else on stderr")
	flag.BoolVar(&o.verbose, "verbose", false, "print every packet and the daemon's whole log")
	flag.BoolVar(&o.keep, "keep", false, "keep everything running until Ctrl-C, with names for ip netns exec")
	flag.Parse()
	if flag.NArg() > 0 || o.rounds < 0 || o.rounds > 1000 {
		flag.Usage()
		os.Exit(2)
	}
	os.Exit(start(o))
}

func start(o options) int {
	if !netns.Root() {
		fmt.Fprintln(os.Stderr, "demo: network namespaces need root")
		return 1
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	talk := io.Writer(os.Stdout)
	if o.json {
		talk = os.Stderr
	}
	r, err := run(ctx, o, talk)
	if err != nil {
		r.OK, r.Faults = false, append(r.Faults, err.Error())
	}
	if o.json {
		if jerr := r.write(os.Stdout); jerr != nil {
			fmt.Fprintln(os.Stderr, "demo:", jerr)
			return 1
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		return 1
	}
	if !r.OK {
		return 1
	}
	return 0
}
