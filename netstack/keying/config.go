package keying

import (
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"spigate/netstack/ipsec"
	"spigate/netstack/ipsec/ike"
)

// Limits are what IKE does not negotiate about the SAs of a selector.
type Limits struct {
	Window int    // of anti-replay, in packets; 0: ipsec.DefaultWindow (VR33)
	Bytes  uint64 // hard lifetime in octets, 0: without end. At 7/8 of it the pair is rekeyed
}

// soft is when a successor is asked for.
func (l Limits) soft() uint64 { return l.Bytes - l.Bytes/8 }

// Config is what operators say. The names of the peers' children are those of
// traffic selectors.
type Config struct {
	Peers  []ike.Peer
	Limits map[string]Limits // by selector; those that are missing are zero
}

// Check finds all faults of a configuration.
func Check(c Config) error {
	date := func() time.Time { return time.Time{} } // that there is one is for New to say
	_, err := ike.New(ike.Config{Peers: c.Peers, Random: rand.Reader, Date: date})
	return errors.Join(err, c.check())
}

// check finds what the engine does not look at.
func (c *Config) check() error {
	var faults []error
	owner := map[string]string{}
	for i := range c.Peers {
		for _, k := range c.Peers[i].Children {
			if o, twice := owner[k.Name]; twice && o != c.Peers[i].Name {
				faults = append(faults, fmt.Errorf("traffic selector %q: peers %q and %q negotiate for it: it must be one", k.Name, o, c.Peers[i].Name))
			}
			owner[k.Name] = c.Peers[i].Name
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Limits)) {
		if w := c.Limits[name].Window; w < 0 || w > ipsec.MaxWindow {
			faults = append(faults, fmt.Errorf("traffic selector %q: the anti-replay window is %d: it may be 1 to %d", name, w, ipsec.MaxWindow))
		}
	}
	return errors.Join(faults...)
}

// plan is a configuration, ready to be asked. It does not change.
type plan struct {
	limits   map[string]Limits
	children map[string]route // by selector
	peers    map[string]bool
	list     []PeerInfo
}

// route is who negotiates for a selector.
type route struct {
	peer     string
	waits    bool // for the other end to begin: passive, or at any address
	lifetime time.Duration
}

const defaultLifetime = time.Hour // the engine's, of children

func newPlan(c Config) *plan {
	p := &plan{limits: maps.Clone(c.Limits), children: map[string]route{}, peers: map[string]bool{}}
	for i := range c.Peers {
		q := &c.Peers[i]
		p.peers[q.Name] = true
		p.list = append(p.list, infoOf(q))
		for _, k := range q.Children {
			r := route{peer: q.Name, waits: q.Passive || !q.Remote.IsValid() || q.Remote.IsUnspecified(), lifetime: k.Lifetime}
			if r.lifetime == 0 {
				r.lifetime = defaultLifetime
			}
			p.children[k.Name] = r
		}
	}
	return p
}

// called are the peers that an operator means by a name.
func (p *plan) called(name string) (out []string) {
	for i := range p.list {
		if n := p.list[i].Name; n == name || strings.HasPrefix(n, name+"/") {
			out = append(out, n)
		}
	}
	return out
}
