package link

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// maxVLAN is the greatest 802.1Q id that a VLAN may have.
const maxVLAN = 4094

// Port is one place from which frames come: a driver and its VLANs.
type Port struct {
	name   string
	fabric *Fabric
	driver Driver
	lanes  []*lane // at least one
	mac    frame.MAC
	addr   tcpip.LinkAddress // mac, in gVisor's form

	vlans    [maxVLAN + 1]atomic.Pointer[Interface] // by 802.1Q id, 0 untagged
	nextLost atomic.Int64                           // when to ask the driver again

	mu   sync.Mutex // guards lost
	lost uint64     // the driver's losses that are counted already
}

func newPort(f *Fabric, name string, d Driver) *Port {
	mac := d.MAC()
	p := &Port{name: name, fabric: f, driver: d, mac: mac, addr: tcpip.LinkAddress(mac[:])}
	p.lanes = newLanes(p)
	return p
}

// Name returns the port's name in the configuration.
func (p *Port) Name() string { return p.name }

// AddInterface makes a VLAN of the port known under a number, which is also
// that of its NIC in the stack. vlan is its 802.1Q id, 0 for untagged frames.
// It is an error if the number, or the VLAN on this port, is taken.
func (p *Port) AddInterface(id frame.Interface, name string, vlan uint16) (*Interface, error) {
	if id == 0 {
		return nil, fmt.Errorf("interface %s on port %s: the number 0 means no interface", name, p.name)
	}
	if vlan > maxVLAN {
		return nil, fmt.Errorf("interface %s on port %s: VLAN %d is greater than %d", name, p.name, vlan, maxVLAN)
	}
	p.fabric.mu.Lock()
	defer p.fabric.mu.Unlock()
	if other := p.fabric.interfaces[id].Load(); other != nil {
		return nil, fmt.Errorf("interface %s on port %s: number %d is taken by %s", name, p.name, id, other.name)
	}
	if other := p.vlans[vlan].Load(); other != nil {
		return nil, fmt.Errorf("interface %s on port %s: VLAN %d is taken by %s", name, p.name, vlan, other.name)
	}
	i := &Interface{id: id, name: name, vlan: vlan, port: p}
	i.proxy.Store(new(proxySet))
	p.fabric.interfaces[id].Store(i)
	p.vlans[vlan].Store(i)
	return i, nil
}

// Run receives until ctx ends, and then returns nil: in one goroutine for each
// lane that the driver has. It closes the driver in every case. A port that is
// down is no error; a driver that cannot read any more is one.
func (p *Port) Run(ctx context.Context) error {
	lanes := p.spread()
	ctx, end := context.WithCancel(ctx)
	closed := make(chan struct{})
	context.AfterFunc(ctx, func() {
		defer close(closed)
		p.close()
	})
	errs := make([]error, len(lanes))
	var all sync.WaitGroup
	for n, l := range lanes {
		all.Go(func() {
			if errs[n] = l.receive(); errs[n] != nil {
				end() // and with it the other lanes
			}
		})
	}
	all.Wait()
	end()
	<-closed
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("port %s: read: %w", p.name, err)
	}
	return nil
}

func (p *Port) close() {
	if err := p.driver.Close(); err != nil {
		p.fabric.log.Warn("closing a port failed", "port", p.name, "error", err)
	}
}

// Input is one turn of the receive loop: it does with the frames all that is
// to be done before it returns. It overwrites the batch. It is the first lane's,
// and must run in one goroutine at a time.
func (p *Port) Input(batch []frame.Frame) { p.lanes[0].input(batch) }

// admit finds the interface on which f came in and writes it into f.
func (p *Port) admit(f *frame.Frame) (*Interface, drop.Reason) {
	if f.Len() < frame.HeaderLen {
		return nil, drop.FrameShort
	}
	// Only one tag is looked at: a second one must not choose the VLAN.
	if f.VLAN == 0 {
		f.StripTag()
	}
	// A hub or a loop gives our own frames back.
	if dst := f.Dst(); dst != p.mac && !dst.IsGroup() || f.Src() == p.mac {
		return nil, drop.NotForUs
	}
	if f.VLAN > maxVLAN {
		return nil, drop.VLANUnknown
	}
	i := p.vlans[f.VLAN].Load()
	if i == nil {
		return nil, drop.VLANUnknown
	}
	if f.Tagged() {
		if f.Len() < frame.HeaderLen+frame.TagLen {
			return nil, drop.FrameShort // cut within a tag
		}
		return nil, drop.DoubleTagged
	}
	f.In, f.Out = i.id, 0
	return i, drop.None
}

// slow gives to the stack what the fast path left.
func (p *Port) slow(batch []frame.Frame, now int64) {
	for k := range batch {
		if batch[k].Out != 0 {
			continue
		}
		if i := p.fabric.interfaces[batch[k].In].Load(); i != nil {
			i.deliver(&batch[k], now)
		} else {
			p.fabric.drops.CountOf(dropped(&batch[k], drop.VLANUnknown, now))
		}
	}
}

// transmit writes frames of this port's interfaces, VLAN and Out set, and
// counts those that the driver refuses. l is the lane that sends them, nil for
// everybody else.
func (p *Port) transmit(l *lane, batch []frame.Frame) {
	batch = batch[:p.fit(batch)]
	if len(batch) == 0 {
		return
	}
	out := Lane(p.driver)
	if l != nil {
		out = p.lanes[l.n%len(p.lanes)].way
	}
	sent, why := out.Write(batch)
	p.sent(l, batch[:sent])
	refused := batch[sent:]
	if on := p.fabric.looker.Load(); on != nil {
		for k := range batch[:sent] {
			(*on).Sent(p, &batch[k], p.fabric.now())
		}
	}
	if len(refused) == 0 {
		return
	}
	if why == drop.None {
		why = drop.TxRefused
	}
	p.fabric.refused(refused, why)
}

// fit drops the frames that are too long for the port, moves the others to the
// front and returns their number. It comes before the driver, so that a frame
// that is too long does not take those behind it along.
func (p *Port) fit(batch []frame.Frame) int {
	n, longest := 0, frame.HeaderLen+p.driver.MTU()
	for k := range batch {
		if batch[k].Len() > longest {
			p.fabric.drops.CountOf(dropped(&batch[k], drop.FrameTooBig, p.fabric.now()))
			continue
		}
		if n != k {
			batch[n] = batch[k]
		}
		n++
	}
	return n
}

// sent counts frames by their interfaces.
func (p *Port) sent(l *lane, batch []frame.Frame) {
	t := tally{by: l, to: sentBy}
	var i *Interface
	for k := range batch {
		f := &batch[k]
		if i == nil || i.id != f.Out {
			if i = p.fabric.interfaces[f.Out].Load(); i == nil {
				continue
			}
		}
		n := f.Len()
		if i.vlan != 0 && f.VLAN == 0 {
			n -= frame.TagLen // the driver has put the tag in
		}
		t.add(i, n)
	}
	t.flush()
}

// countLost takes the driver's losses over into the drop counters.
func (p *Port) countLost() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := p.driver.Lost(); now > p.lost {
		p.fabric.drops.Add(drop.RxRingFull, now-p.lost)
		p.lost = now
	}
	return p.lost
}
