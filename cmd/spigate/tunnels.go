package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"spigate/cmd/internal/control"
)

// What an operator does to IPsec tunnels: end them, give them new keys, bring
// them up.

func (f *flusher) netIPsecSA() *cobra.Command {
	return operation(f, operator[control.NetIPsecAsked]{
		noun: "sa", aliases: []string{"ipsec-sa"}, short: "Security associations, which are then negotiated anew",
		examples: []string{"flush net ipsec sa --selector my-nat-selector", "flush net ipsec sa --peer gw2"},
		long: "Ends the SAs of the traffic selector of this name; or all SAs of the peer of this\n" +
			"name, its IKE SA too; or without a filter those of all peers. The other end is\n" +
			"told. They are negotiated anew at once if the selector has up = true, else by\n" +
			"the next packet. Manual SAs stay.",
		filters: control.FiltersOfNetIPsecFlush(),
		do: func(c *control.Client, ctx context.Context, filter control.Filter) (control.NetIPsecAsked, error) {
			if filter.Selector != "" && filter.Peer != "" {
				return control.NetIPsecAsked{}, usagef("--selector and --peer: one of them")
			}
			return c.FlushNetIPsec(ctx, filter)
		},
		told: func(a control.NetIPsecAsked) string { return "flushed: SAs of " + askedWords(a) },
	})
}

// askedWords names what an operation was about.
func askedWords(a control.NetIPsecAsked) string {
	var words []string
	for _, names := range []struct {
		one  string
		list []string
	}{{"peer", a.Peers}, {"selector", a.Selectors}} {
		switch len(names.list) {
		case 0:
		case 1:
			words = append(words, names.one+" "+printable(names.list[0]))
		default:
			words = append(words, names.one+"s "+printable(strings.Join(names.list, ", ")))
		}
	}
	if words == nil {
		return "nobody: no peer negotiates any"
	}
	return strings.Join(words, ", ")
}

func (a *app) newRekey() *cobra.Command {
	f := &flusher{app: a}
	verb := newGroup("rekey", "Negotiate new keys for what is up",
		newGroup("net", "The network", newGroup("ipsec", "IPsec tunnels that end here", f.rekeyPeer(), f.rekeySelector())))
	addSocket(verb, &f.socket)
	return verb
}

func (f *flusher) rekeyPeer() *cobra.Command {
	return operation(f, operator[control.NetIPsecAsked]{
		noun: "peer", aliases: []string{"ike-peer", "ike-sa"}, short: "The IKE SA of the peer of this name", named: true,
		examples: []string{"rekey net ipsec peer gw2"},
		long: "Replaces the IKE SA with a peer. The SAs that it negotiated stay; for new keys of\n" +
			"theirs there is \"rekey net ipsec selector\". No packet is lost.",
		filters: control.FiltersOfObjects(),
		do:      (*control.Client).RekeyNetIPsecPeer,
		told:    func(a control.NetIPsecAsked) string { return "rekeying: " + askedWords(a) },
	})
}

func (f *flusher) rekeySelector() *cobra.Command {
	return operation(f, operator[control.NetIPsecAsked]{
		noun: "selector", aliases: []string{"traffic-selector"}, short: "The SAs of the traffic selector of this name", named: true,
		examples: []string{"rekey net ipsec selector my-nat-selector"},
		long: "Replaces the SAs of a traffic selector. No packet is lost: the old ones stay until\n" +
			"both ends have the new ones.",
		filters: control.FiltersOfObjects(),
		do:      (*control.Client).RekeyNetIPsecSelector,
		told:    func(a control.NetIPsecAsked) string { return "rekeying: " + askedWords(a) },
	})
}

func (a *app) newInitiate() *cobra.Command {
	f := &flusher{app: a}
	verb := newGroup("initiate", "Bring a tunnel up",
		newGroup("net", "The network", newGroup("ipsec", "IPsec tunnels that end here", f.initiateSelector())))
	addSocket(verb, &f.socket)
	return verb
}

func (f *flusher) initiateSelector() *cobra.Command {
	wait := 10 * time.Second
	cmd := operation(f, operator[control.NetIPsecAsked]{
		noun: "selector", aliases: []string{"traffic-selector"}, short: "The traffic selector of this name", named: true,
		examples: []string{"initiate net ipsec selector my-nat-selector"},
		long: "Negotiates SAs for a traffic selector, as its first packet would, and waits until\n" +
			"it is up. If that fails, the reason and what to do about it are printed, and the\n" +
			"exit code is 1. One that is up is left alone.",
		filters: control.FiltersOfObjects(),
		do: func(c *control.Client, ctx context.Context, filter control.Filter) (control.NetIPsecAsked, error) {
			began := time.Now()
			asked, err := c.InitiateNetIPsec(ctx, filter)
			if err != nil || wait <= 0 {
				return asked, err
			}
			return asked, untilUp(c, ctx, filter, began, wait)
		},
		told: func(a control.NetIPsecAsked) string {
			if wait <= 0 {
				return "initiating: " + askedWords(a)
			}
			return "up: " + askedWords(a)
		},
	})
	cmd.Flags().Var((*interval)(&wait), "wait", "for how long to wait until it is up, as `10s`; 0s: not at all")
	return cmd
}

// lookAgain is how often untilUp looks.
const lookAgain = 200 * time.Millisecond

// untilUp waits until the selector is up, or something failed since began, or
// the time is over.
func untilUp(c *control.Client, ctx context.Context, f control.Filter, began time.Time, wait time.Duration) error {
	over := time.NewTimer(wait)
	defer over.Stop()
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	for {
		switch up, err := isUp(c, ctx, f, time.Since(began)); {
		case err != nil:
			return err
		case up:
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-over.C:
			return fmt.Errorf("selector %q is not up after %s; \"spigate show net ipsec peer\" tells how far it is", f.Name, wait)
		case <-tick.C:
		}
	}
}

// isUp looks once. The error is what failed in the time since.
func isUp(c *control.Client, ctx context.Context, f control.Filter, since time.Duration) (bool, error) {
	for r, err := range c.NetIPsecSelectors(ctx, f) {
		if err != nil {
			return false, err
		}
		if or(r.State, "") == control.StateUp {
			return true, nil
		}
		if r.Peer == nil {
			continue
		}
		f.Name = *r.Peer
		for p, err := range c.NetIPsecPeers(ctx, f) {
			if err != nil {
				return false, err
			}
			if e := p.LastError; e != nil && !e.Over && float64(e.Ago) < since.Seconds() && or(e.Selector, r.Name) == r.Name {
				return false, failed(e)
			}
		}
	}
	return false, nil
}

// failed makes an error of a failure.
func failed(e *control.NetIPsecLastError) error {
	text := e.Event + ": " + printable(e.Reason)
	if e.Remedy != "" {
		text += "\n  To do: " + printable(e.Remedy)
	}
	return errors.New(text)
}
