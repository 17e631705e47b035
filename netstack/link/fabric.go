package link

import (
	"log/slog"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// FastPath rewrites frames of established flows in place. One belongs to one
// receiving goroutine.
type FastPath interface {
	// Process looks at each frame and sets Out in those that it rewrote for
	// sending; it returns how many these are. The others it leaves as they
	// are. now is in monotonic nanoseconds.
	Process(batch []frame.Frame, now int64) (hits int)
}

// Config is what the ports of a Fabric share. Every field may be left empty.
type Config struct {
	Drops *drop.Counters // where drops are counted
	Now   func() int64   // monotonic nanoseconds; asked once for each batch
	// Fast is asked for one FastPath for each goroutine that receives; nil:
	// every frame goes to the stack.
	Fast func() FastPath
	Log  *slog.Logger // recovered panics, at most one a second
	// After is called at the end of each turn of a port's loop, when the stack
	// is done with every frame of the batch and holds no lock.
	After func()
}

// Fabric is all ports and interfaces of a router. Its interfaces may belong to
// several stacks, those of one port too. It is safe for concurrent use.
type Fabric struct {
	drops *drop.Counters
	now   func() int64
	fast  func() FastPath
	log   *slog.Logger
	after func()

	looker atomic.Pointer[Onlooker] // nil: nobody looks on

	interfaces [256]atomic.Pointer[Interface] // by number; read without a lock
	quietUntil atomic.Int64                   // no second panic is logged before

	mu    sync.Mutex // guards ports and every change of interfaces and VLANs
	ports []*Port
}

// NewFabric returns a fabric without ports.
func NewFabric(c Config) *Fabric {
	f := &Fabric{drops: c.Drops, now: c.Now, fast: c.Fast, log: c.Log, after: c.After}
	if f.drops == nil {
		f.drops = new(drop.Counters)
	}
	if f.now == nil {
		f.now = func() int64 { return 0 }
	}
	if f.log == nil {
		f.log = slog.New(slog.DiscardHandler)
	}
	if f.after == nil {
		f.after = func() {}
	}
	if f.fast == nil {
		f.fast = func() FastPath { return nil }
	}
	return f
}

// AddPort puts a port over d. The port receives once Run or Input is called.
func (f *Fabric) AddPort(name string, d Driver) *Port {
	p := newPort(f, name, d)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ports = append(f.ports, p)
	return p
}

// SetProxy replaces the set of IPv4 addresses for which ARP requests are
// answered on these interfaces with the address of their port (RFC 1027). The
// stack answers for the addresses of its own NICs: they need not be in the
// set. Prefixes that are not IPv4 are left out.
func (f *Fabric) SetProxy(addrs []netip.Prefix, on []*Interface) {
	set := newProxySet(addrs)
	for _, i := range on {
		i.proxy.Store(set)
	}
}

// send lets frames with Out set leave through their interfaces, with the tag
// that belongs there; frames without Out are passed over. It changes the order
// of the batch so that the frames of one port stand together and need one
// write; among themselves they keep it. l is the lane that sends them, which has
// its own way out of each port; nil: somebody else.
func (f *Fabric) send(l *lane, batch []frame.Frame) {
	for len(batch) > 0 {
		p := f.address(&batch[0])
		n := 1
		for k := 1; k < len(batch); k++ {
			if f.address(&batch[k]) != p {
				continue
			}
			if k != n {
				moveUp(batch[n : k+1])
			}
			n++
		}
		if p != nil {
			p.transmit(l, batch[:n])
		} else {
			f.stranded(batch[:n])
		}
		batch = batch[n:]
	}
}

// address writes the VLAN of its egress interface into fr and returns the
// port, or nil if fr has no egress.
func (f *Fabric) address(fr *frame.Frame) *Port {
	i := f.interfaces[fr.Out].Load()
	if i == nil {
		return nil
	}
	fr.VLAN = i.vlan
	return i.port
}

// stranded counts the frames whose egress interface is gone.
func (f *Fabric) stranded(batch []frame.Frame) {
	for k := range batch {
		if batch[k].Out != 0 {
			f.drops.Count(drop.PortDown, batch[k].Bytes(), f.now())
		}
	}
}

// moveUp takes the last frame of b to its front.
func moveUp(b []frame.Frame) {
	last := b[len(b)-1]
	copy(b[1:], b)
	b[0] = last
}

// panicked counts a panic of the stack and logs it, at most once a second. It
// runs inside the recovering function, so that the trace shows the culprit.
func (f *Fabric) panicked(i *Interface, what any, sample []byte, mark uint32) {
	now := f.now()
	f.drops.CountOf(i.dropped(drop.StackPanic, sample, mark, now))
	until := f.quietUntil.Load()
	if now < until || !f.quietUntil.CompareAndSwap(until, now+int64(time.Second)) {
		return
	}
	f.log.Error("the stack panicked on a frame and was recovered",
		"interface", i.name, "panic", what, "total", f.drops.Get(drop.StackPanic),
		"stack", string(debug.Stack()))
}
