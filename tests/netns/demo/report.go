package main

import (
	"encoding/json"
	"fmt"
	"io"

	"spigate/tests/golden"
	"spigate/tests/netns"
)

// report is the result of a run, and its JSON.
type report struct {
	Version  int               `json:"version"`
	Items    []item            `json:"items"`
	OK       bool              `json:"ok"`
	Faults   []string          `json:"faults"`
	FastHits uint64            `json:"fast_hits"`
	SlowHits uint64            `json:"slow_hits"`
	Drops    map[string]uint64 `json:"drops"`
	Live     *liveReport       `json:"live"`

	arrived uint64 // ESP packets, of all acts
}

// item is what one client received, or the gateway from it.
type item struct {
	Scenario    string `json:"scenario"`
	Client      string `json:"client"`
	Direction   string `json:"direction"` // in2out: arrived at the gateway
	NAT         string `json:"nat"`       // as the gateway saw the client's IKE; in2out only
	IKEReceived int    `json:"ike_received"`
	IKEExpected int    `json:"ike_expected"`
	ESPReceived int    `json:"esp_received"`
	ESPExpected int    `json:"esp_expected"`
	IKEResent   int    `json:"ike_sent_again"`
}

// add takes over what one act came to.
func (r *report) add(name string, res *netns.Result, first, second golden.Conversation) {
	for _, c := range []struct {
		client string
		conv   golden.Conversation
	}{{"client1", first}, {"client2", second}} {
		for _, at := range []golden.Side{golden.Gateway, golden.Client} {
			d := res.Delivery(c.conv.Name, at)
			r.arrived += uint64(d.GotESP)
			i := item{
				Scenario: name, Client: c.client, Direction: "out2in",
				IKEReceived: d.GotIKE, IKEExpected: d.WantIKE, ESPReceived: d.GotESP, ESPExpected: d.WantESP, IKEResent: d.Resent,
			}
			if at == golden.Gateway {
				i.Direction, i.NAT = "in2out", d.Peer.String()
			}
			r.Items = append(r.Items, i)
		}
	}
	for _, f := range res.Faults() {
		r.Faults = append(r.Faults, name+": "+f)
	}
	a, b := res.Delivery(first.Name, golden.Gateway).Peer, res.Delivery(second.Name, golden.Gateway).Peer
	if a.Addr() != b.Addr() {
		r.Faults = append(r.Faults, fmt.Sprintf("%s: the clients came from %v and %v, so nothing was shown: they were to share one address", name, a, b))
	}
	if a == b {
		r.Faults = append(r.Faults, fmt.Sprintf("%s: both clients' IKE came from %v (rule R38)", name, a))
	}
}

// settle computes the verdict; a run that did not come here is not OK.
func (r *report) settle() {
	r.OK = len(r.Faults) == 0 && len(r.Items) > 0 && r.Live != nil
}

func (r *report) write(w io.Writer) error {
	r.Version = 1
	if r.Items == nil {
		r.Items = []item{}
	}
	if r.Faults == nil {
		r.Faults = []string{}
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}
