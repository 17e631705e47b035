package peers

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// faults are what may be wrong at the far end.
func faults() []faultCase {
	const same = "use the same pre-shared key on both ends"
	return []faultCase{
		{WrongSecret, "another pre-shared key", [2]string{"AUTHENTICATION_FAILED", same}, [2]string{"pre-shared keys of the two ends differ", same}},
		{WrongNet, "another network", [2]string{`msg="CHILD FAILED"`, "configure the mirrored selectors at the other end"},
			[2]string{"offers local 10.2.1.0/24, remote 10.1.9.0/24; configured is local 10.2.1.0/24, remote 10.1.1.0/24", "mirror the configured ones at the other end"}},
		{WrongProposal, "another proposal for ESP", [2]string{"NO_PROPOSAL_CHOSEN", "configure one of these for the child at the other end"},
			[2]string{"NO_PROPOSAL_CHOSEN: the other end offers aes128-cbc-sha512", "configure one of the offered proposals for the child"}},
		{WrongIKE, "another proposal for IKE", [2]string{"NO_PROPOSAL_CHOSEN", "configure one of these for the peer at the other end"},
			[2]string{"NO_PROPOSAL_CHOSEN: the other end offers aes256-cbc-sha512", "configure one of the offered proposals"}},
	}
}

// faultCase is a fault and two parts of the line that tells of it: when
// spigate began, and when the far end did.
type faultCase struct {
	what         Fault
	name         string
	began, asked [2]string
}

// playFaults: what is wrong is said in spigate's log with what to do about it,
// whoever begins; when it is mended the tunnel comes up.
func playFaults(ctx context.Context, e *Ending) error {
	if err := e.begin(ctx, e.config(ipsec0("any"), ipsec2("any"))); err != nil {
		return err
	}
	for _, f := range faults() {
		e.Far.Fault = f.what
		err := first(
			func() error { return e.restartFar(ctx, false) },
			func() error { return e.told(ctx, f.name, e.ask, f.began) },
			func() error { return e.restartFar(ctx, true) },
			func() error { return e.told(ctx, f.name, e.farAsks, f.asked) },
		)
		if err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
	}
	e.Far.Fault = NoFault
	return first(
		func() error { return e.restartFar(ctx, false) },
		func() error { return e.ask(ctx) },
		func() error { return e.connects(ctx, e.far()) },
	)
}

func (e *Ending) restartFar(ctx context.Context, begins bool) error {
	e.Far.Begins = begins
	// An OpenIKED that has begun and got no child forgets the IKE SA and tells
	// nobody: spigate would find that out after a minute.
	if err := errors.Join(e.stopFar(ctx), e.order(ctx, "flush net ipsec sa --peer far")); err != nil {
		return err
	}
	if begins && e.Far.daemon().up == "" {
		return nil // farAsks starts it
	}
	return e.startFar(ctx)
}

// ask sends a packet into the tunnel that is not there. The reload is for
// spigate to try at once: a peer that did not come up is left alone for a while.
func (e *Ending) ask(ctx context.Context) error {
	if err := e.Near.Reload(ctx, e.config(ipsec0("any"), ipsec2("any")).String()); err != nil {
		return err
	}
	// That nobody answers is what is expected.
	_, err := e.Near.host.Run(ctx, "", "sh", "-c", fmt.Sprintf("ping -n -q -c 1 -W 1 %v; true", e.farHost))
	return err
}

// farAsks lets the far end begin what must fail.
func (e *Ending) farAsks(ctx context.Context) error {
	d := e.Far.daemon()
	if d.up == "" {
		return e.startFar(ctx)
	}
	_, err := e.VM.Exec(ctx, e.Far.Host.Name, "("+d.up+") >/run/up.log 2>&1 </dev/null & true")
	return err
}

// told demands a line of spigate's log after something was done.
func (e *Ending) told(ctx context.Context, name string, do func(context.Context) error, words [2]string) error {
	mark := len(e.Near.Output())
	if err := do(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	line, err := e.Near.awaitLine(ctx, mark, words[0], words[1])
	e.Say("%s: %s", name, line)
	return err
}
