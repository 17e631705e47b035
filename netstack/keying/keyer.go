package keying

import (
	"crypto/rand"
	"errors"
	"io"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"spigate/netstack/ipsec"
	"spigate/netstack/ipsec/ike"
)

// Deps are what a Keyer works with. Database and Send are required.
type Deps struct {
	Database *ipsec.Database

	// Send, Log and Release are called from Work and End alone, one at a time.
	// They may call all methods that queue, but not Work, Apply, End, View and
	// Counters.
	Send    func(ike.Datagram)    // with four zeros before it if it has a marker
	Log     func(ike.Event)       // nil: nobody reads it
	Release func(selector string) // an outbound SA of the selector is there: send what waited; nil: nothing waits

	Random io.Reader        // nil: the system's
	Date   func() time.Time // of day, for certificates; nil: Apply refuses peers with certificates
}

// Keyer negotiates the SAs of one Database. Its methods may be called from
// everywhere at once. now is monotonic nanoseconds.
type Keyer struct {
	deps  Deps
	queue queue
	due   atomic.Int64 // when Work has something to do without being asked

	mu     sync.Mutex // guards what follows; one works at a time
	engine *ike.Engine
	plan   *plan
	now    int64
	pairs  map[uint32]*pair    // by inbound SPI
	named  map[string][]*pair  // by selector, in the order of installation
	bySA   map[*ipsec.SA]*pair // the halves that are in the database
	tries  map[string]*try     // by selector
	rests  []rest
	out    []output
	doomed []uint32 // inbound SPIs of pairs that the engine is to delete

	failures map[string]*Failure // by peer
}

// output is one thing that only Work may do: exactly one field is set.
type output struct {
	send    *ike.Datagram
	event   *ike.Event
	open    *pair  // add its outbound half
	release string // a selector
}

// New makes a Keyer without peers.
func New(d Deps) (*Keyer, error) {
	if d.Database == nil || d.Send == nil {
		return nil, errors.New("keying: a database and a way to send are needed")
	}
	if d.Random == nil {
		d.Random = rand.Reader
	}
	k := &Keyer{deps: d, pairs: map[uint32]*pair{}, named: map[string][]*pair{}, bySA: map[*ipsec.SA]*pair{}, failures: map[string]*Failure{}}
	k.queue.held = map[uint32]bool{}
	if err := k.renew(); err != nil {
		return nil, err
	}
	return k, nil
}

// renew begins with an engine that knows no peers. What was counted stays.
func (k *Keyer) renew() error {
	e, err := ike.New(ike.Config{Random: k.deps.Random, Date: k.deps.Date})
	if err != nil {
		return err
	}
	if k.engine != nil {
		e.Counters = k.engine.Counters
	}
	k.engine, k.plan, k.tries = e, newPlan(Config{}), map[string]*try{}
	k.queue.empty(k.plan)
	k.due.Store(ike.Never)
	return nil
}

// Apply exchanges the configuration. It comes after Database.Apply, which told
// which SAs are gone: those are deleted at the other end, too. Peers that stay
// as they are keep their SAs; those of others end. After an error nothing has
// changed but that. What is to be sent leaves with the next Work.
func (k *Keyer) Apply(c Config, gone []*ipsec.SA, now int64) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.advance(now)
	err := c.check()
	if err == nil {
		var list []ike.Action
		if list, err = k.engine.SetPeers(c.Peers, k.now); err == nil {
			k.plan, k.tries = newPlan(c), map[string]*try{}
			maps.DeleteFunc(k.failures, func(name string, _ *Failure) bool { return !k.plan.peers[name] })
			k.queue.setPlan(k.plan)
			k.do(list)
		}
	}
	k.reconcile(gone)
	k.delete()
	k.settle()
	return err
}

// Work does all that is queued and due. It is the only one, with End, that
// calls Send, Log and Release. It takes 64 datagrams at most, so that what is
// due does not wait for a flood: call it again while Due.
func (k *Keyer) Work(now int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.advance(now)
	k.flush() // of Apply
	w := k.queue.take()
	k.follow(w.moved) // what is sent now goes there
	for _, o := range w.orders {
		k.carryOut(o)
	}
	for _, e := range w.events {
		k.event(e)
	}
	for _, in := range w.heard {
		if p := k.pairs[in]; p != nil {
			k.open(p)
		}
	}
	for _, name := range w.wanted {
		k.acquire(name)
	}
	k.finish()
	k.sweep()
	if k.due.Load() <= k.now {
		k.run(k.engine.Tick(k.now))
	}
	for _, m := range w.messages {
		k.run(k.engine.HandleMessage(m.local, m.remote, m.b, m.marker, k.now))
	}
	k.settle()
}

// run does what the engine asks for, and what follows from that.
func (k *Keyer) run(list []ike.Action) {
	k.do(list)
	k.finish()
}

// finish brings out what was done, until nothing follows from it.
func (k *Keyer) finish() {
	for len(k.out) > 0 || len(k.doomed) > 0 {
		k.flush()
		k.delete()
	}
}

// advance moves the time, never back: two callers may have read the clock in
// another order than they come in.
func (k *Keyer) advance(now int64) { k.now = max(k.now, now) }

// settle remembers when there is something to do next.
func (k *Keyer) settle() {
	at := k.engine.NextDeadline()
	if len(k.rests) > 0 {
		at = min(at, k.rests[0].until)
	}
	if len(k.out) > 0 {
		at = k.now
	}
	k.due.Store(at)
}

// End tells all peers that their SAs end, and ends them. Then the Keyer is as
// New made it. Like Work it sends by itself.
func (k *Keyer) End(now int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.advance(now)
	k.flush()
	k.run(k.engine.CloseAll(k.now)) // it ends all pairs
	for _, r := range k.rests {
		k.deps.Database.Remove(r.sa)
	}
	k.doomed, k.out, k.rests = nil, nil, nil
	// The configuration is the one of New, which was good.
	_ = k.renew()
}

// Due reports whether Work has something to do. It takes no lock.
func (k *Keyer) Due(now int64) bool { return k.queue.filled.Load() || k.due.Load() <= now }

// View lists all IKE SAs with their pairs, for operators. Hold says here that
// the outbound half is held back at this moment.
func (k *Keyer) View(now int64) []ike.View {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.advance(now)
	list := k.engine.View(k.now)
	for i := range list {
		for j := range list[i].Children {
			c := &list[i].Children[j]
			p := k.pairs[c.In]
			c.Hold = p != nil && p.held
		}
	}
	return list
}

// Counters are the engine's.
func (k *Keyer) Counters() ike.Counters {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.engine.Counters
}
