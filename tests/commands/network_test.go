package commands

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"time"

	"spigate/configs"
	"spigate/netstack/frame"
	"spigate/netstack/link"
)

// site is everything around a daemon: a line at each port.
type site struct {
	config *configs.Config
	lines  map[string]*line
	done   sync.WaitGroup
}

// line is the far end of a port. It answers ARP for every address, and keeps
// what comes until somebody asks.
type line struct {
	port *configs.Port

	mu   sync.Mutex // guards what follows
	out  *link.PcapWriter
	came [][]byte // IPv4 packets, tags taken off, since they were asked for last

	fences chan netip.Addr // whose request for the router's address was answered
}

// mostKept bounds what is kept of what came.
const mostKept = 4096

// newLine listens at one pipe and writes to the other.
func newLine(s *site, p *configs.Port, in, out *os.File) (*line, error) {
	w, err := link.NewPcapWriter(in)
	if err != nil {
		return nil, err
	}
	l := &line{port: p, out: w, fences: make(chan netip.Addr, 16)}
	s.done.Go(func() { l.listen(out) })
	return l, nil
}

// wait returns when nobody listens any more: the pipes are closed.
func (s *site) wait() { s.done.Wait() }

// listen takes what the router sends until the pipe is closed.
func (l *line) listen(from *os.File) {
	r, err := link.NewPcapReader(bufio.NewReader(from))
	for err == nil {
		var rec link.PcapRecord
		if rec, err = r.Next(); err == nil && len(rec.Data) >= frame.HeaderLen {
			l.take(rec.Data)
		}
	}
}

func (l *line) take(b []byte) {
	f := frame.Copy(b, 0)
	f.StripTag()
	body := f.Bytes()[frame.HeaderLen:]
	switch f.EtherType() {
	case frame.TypeIPv4:
		l.mu.Lock()
		defer l.mu.Unlock()
		if len(l.came) < mostKept {
			l.came = append(l.came, body)
		}
	case frame.TypeARP:
		l.takeARP(body, f.VLAN)
	}
}

// takeARP answers a request for anybody's address, and tells of an answer.
func (l *line) takeARP(b []byte, tag uint16) {
	if len(b) < 28 {
		return
	}
	sender, target := frame.Addr(b[14:18]), frame.Addr(b[24:28])
	switch op := binary.BigEndian.Uint16(b[6:]); {
	case op == 1 && sender != target:
		l.put(arp(2, target, frame.MAC(b[8:14]), sender), tag)
	case op == 2:
		select {
		case l.fences <- target.Netip():
		default: // nobody waits
		}
	}
}

// put gives the router a frame.
func (l *line) put(b []byte, tag uint16) error {
	f := frame.Copy(b, tag)
	if !f.PushTag() {
		return errors.New("a frame without room for its tag")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.Write(0, f.Bytes())
}

// macOf is the hardware address of whoever has an address here.
func macOf(a frame.Addr) frame.MAC { return frame.MAC{6, 0, a[0], a[1], a[2], a[3]} }

// arp makes a frame: a request (1) by who for an address of about, or an answer
// (2) of who to it.
func arp(op byte, who frame.Addr, to frame.MAC, about frame.Addr) []byte {
	mac := macOf(who)
	b := append(append(append([]byte{}, to[:]...), mac[:]...), 8, 6, 0, 1, 8, 0, 6, 4, 0, op)
	b = append(append(b, mac[:]...), who[:]...)
	return append(append(b, to[:]...), about[:]...)
}

// acquaint has every next hop of the configuration heard of, and one host on each
// network, so that no packet waits for ARP.
func (s *site) acquaint() error {
	for _, r := range s.config.Routes {
		if r.VLAN != nil && s.lines[r.VLAN.Port.Name] != nil {
			if err := s.fence(r.VLAN, r.Via); err != nil {
				return err
			}
		}
	}
	return nil
}

// fence has a host ask for the router's address and waits for the answer: what
// was sent before on this line has been dealt with.
func (s *site) fence(v *configs.VLAN, host netip.Addr) error {
	l := s.lines[v.Port.Name]
	if l == nil || len(v.Addresses) == 0 {
		return fmt.Errorf("VLAN %s has no line or no address", v.Name)
	}
	request := arp(1, host.As4(), frame.MAC{255, 255, 255, 255, 255, 255}, v.Addresses[0].Addr().As4())
	if err := l.put(request, v.ID); err != nil {
		return err
	}
	late := time.After(patience)
	for {
		select {
		case whose := <-l.fences:
			if whose == host {
				return nil
			}
		case <-late:
			return fmt.Errorf("the router does not answer %s on %s", host, v.Name)
		}
	}
}

// settle waits until what was sent has come out wherever it does. The router
// sends what a batch of frames has caused at the end of the batch: the first
// answer says that a frame was taken, the second one that its batch was over, and
// the third one comes behind what that has caused on another line.
func (s *site) settle() error {
	for range 3 {
		for _, v := range s.config.VLANs {
			if s.lines[v.Port.Name] == nil || len(v.Addresses) == 0 {
				continue
			}
			if err := s.fence(v, lastOf(v.Addresses[0])); err != nil {
				return err
			}
		}
	}
	return nil
}

// lastOf is a host of a network that nothing else is: the last but one.
func lastOf(p netip.Prefix) netip.Addr {
	a := p.Masked().Addr().As4()
	n := binary.BigEndian.Uint32(a[:]) | (1<<(32-p.Bits()) - 1)
	binary.BigEndian.PutUint32(a[:], n-2)
	return netip.AddrFrom4(a)
}

// inject has the host that a packet is from, or the next hop to it, put it on a
// VLAN.
func (s *site) inject(v *configs.VLAN, packet []byte) error {
	src := frame.Addr(packet[12:16])
	if !v.Addresses[0].Contains(src.Netip()) {
		for _, r := range s.config.Routes {
			if r.VLAN == v {
				src = r.Via.As4()
			}
		}
	} else if err := s.fence(v, src.Netip()); err != nil {
		return err
	}
	from, to := macOf(src), frame.MAC(v.Port.MAC)
	b := append(append(append([]byte{}, to[:]...), from[:]...), 8, 0)
	return s.lines[v.Port.Name].put(append(b, packet...), v.ID)
}

// drain takes what has come at a port.
func (l *line) drain() [][]byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	came := l.came
	l.came = nil
	return came
}
