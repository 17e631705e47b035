package peers

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"net"
	"net/netip"

	"spigate/tests/netns"
)

// esp is one ESP packet on a wire, plain or in UDP.
type esp struct {
	src, dst netip.Addr
	spi      uint32
	udp      bool
}

const (
	protoUDP  = 17
	protoESP  = 50
	portIKE   = 500
	portNATT  = 4500
	etherLen  = 14
	etherIPv4 = 0x0800
)

// parseESP finds ESP in an Ethernet frame. Fragments after the first have no
// SPI and are no ESP here.
func parseESP(frame []byte) (esp, bool) {
	p, ok := parseIPv4(frame)
	if !ok {
		return esp{}, false
	}
	e := esp{src: p.src, dst: p.dst}
	body := p.body
	if p.proto == protoUDP {
		if len(body) < 8 || binary.BigEndian.Uint16(body) != portNATT && binary.BigEndian.Uint16(body[2:]) != portNATT {
			return esp{}, false
		}
		e.udp, body = true, body[8:]
	} else if p.proto != protoESP {
		return esp{}, false
	}
	// Behind UDP port 4500 four bytes of zero mark IKE (RFC 3948).
	if len(body) < 8 || binary.BigEndian.Uint32(body) == 0 {
		return esp{}, false
	}
	e.spi = binary.BigEndian.Uint32(body)
	return e, true
}

type ipv4 struct {
	src, dst netip.Addr
	proto    byte
	body     []byte
}

func parseIPv4(frame []byte) (ipv4, bool) {
	if len(frame) < etherLen+20 || binary.BigEndian.Uint16(frame[12:]) != etherIPv4 {
		return ipv4{}, false
	}
	h := frame[etherLen:]
	size := int(h[0]&15) * 4
	if h[0]>>4 != 4 || size < 20 || len(h) < size || binary.BigEndian.Uint16(h[6:])&0x1fff != 0 {
		return ipv4{}, false
	}
	return ipv4{netip.AddrFrom4([4]byte(h[12:])), netip.AddrFrom4([4]byte(h[16:])), h[9], h[size:]}, true
}

// Watch records what passes every host's TAP device.
type Watch struct {
	site *Site
	caps map[string]*netns.Capture
}

// Watch starts to record.
func (s *Site) Watch() (*Watch, error) {
	w := &Watch{site: s, caps: map[string]*netns.Capture{}}
	for _, h := range s.Hosts() {
		c, err := s.networks.Capture(h.TAP())
		if err != nil {
			return nil, err
		}
		w.caps[h.Name] = c
	}
	return w, nil
}

// Stop ends the recording.
func (w *Watch) Stop() {
	for _, c := range w.caps {
		c.Stop()
	}
}

// passing is a frame at a host's device, and which way it went.
type passing struct {
	frame     []byte
	delivered bool // to the host; false: sent by it
}

// frames returns what passed a host's device. Frames to a TAP device are sent
// ones, seen from outside. Those with the address of another card do not count:
// a bridge that does not know where a card is sends to all.
func (w *Watch) frames(h *Host) []passing { return passingAt(w.caps[h.Name].Frames(), h.Card) }

func passingAt(frames []netns.Captured, card net.HardwareAddr) []passing {
	var all []passing
	for _, f := range frames {
		if !f.Sent || len(f.Frame) >= etherLen && bytes.Equal(f.Frame[:6], card) {
			all = append(all, passing{f.Frame, f.Sent})
		}
	}
	return all
}

// esp returns the ESP packets that were delivered to a host, and those that the
// host sent.
func (w *Watch) esp(h *Host) (delivered, sent []esp) {
	for _, f := range w.frames(h) {
		e, ok := parseESP(f.frame)
		switch {
		case !ok:
		case f.delivered:
			delivered = append(delivered, e)
		default:
			sent = append(sent, e)
		}
	}
	return delivered, sent
}

// lost returns how many ESP packets left a host and never came to another one,
// by SPI: what got lost between the devices, with the router there.
func (w *Watch) lost() map[uint32]int {
	var delivered, sent []esp
	for _, h := range w.site.Hosts() {
		d, s := w.esp(h)
		delivered, sent = append(delivered, d...), append(sent, s...)
	}
	return missing(delivered, sent)
}

func missing(delivered, sent []esp) map[uint32]int {
	bySPI := map[uint32]int{}
	for _, e := range sent {
		bySPI[e.spi]++
	}
	for _, e := range delivered {
		bySPI[e.spi]--
	}
	maps.DeleteFunc(bySPI, func(_ uint32, n int) bool { return n == 0 })
	return bySPI
}

// StartMonitors lets every host write down each SA that it ever has: an SPI
// that was deleted still says whose it was.
func (s *Site) StartMonitors(ctx context.Context) error {
	for _, h := range s.Hosts() {
		if _, err := s.VM.Exec(ctx, h.Name, "setsid /usr/bin/ip xfrm monitor SA >/run/sa.txt 2>&1 </dev/null & true"); err != nil {
			return err
		}
	}
	return nil
}

// owners returns the host of each inbound SPI that any host ever had.
func (s *Site) owners(ctx context.Context) (map[uint32]string, error) {
	owner := map[uint32]string{}
	for _, h := range s.Hosts() {
		out, err := s.VM.Exec(ctx, h.Name, "cat /run/sa.txt; ip -s xfrm state")
		if err != nil {
			return nil, err
		}
		for _, sa := range parseStates(out) {
			if sa.Dst == h.Address.Addr() {
				owner[sa.SPI] = h.Name
			}
		}
	}
	return owner, nil
}

// Deliveries is where ESP and IKE went.
type Deliveries struct {
	Right  map[string]int // by host
	Wrong  []string       // at a client that does not own the SPI, or the IKE SA
	Leaked []string       // at the gateway from another address than the NAT's
	Plain  int            // of Right, those that are not in UDP
}

// Deliveries looks at everything that was recorded.
func (w *Watch) Deliveries(ctx context.Context) (Deliveries, error) {
	d := Deliveries{Right: map[string]int{}}
	owner, err := w.site.owners(ctx)
	if err != nil {
		return d, err
	}
	for _, c := range w.site.Clients {
		d.Wrong = append(d.Wrong, strangers(c.Name, w.ike(c))...)
	}
	for _, h := range w.site.Hosts() {
		got, _ := w.esp(h)
		for _, e := range got {
			text := fmt.Sprintf("SPI %#08x of %q at %s (%v to %v)", e.spi, owner[e.spi], h.Name, e.src, e.dst)
			switch {
			case h == w.site.Gateway && e.src != NATAddress:
				d.Leaked = append(d.Leaked, text)
			case owner[e.spi] != h.Name:
				d.Wrong = append(d.Wrong, text)
			default:
				d.Right[h.Name]++
				if !e.udp {
					d.Plain++
				}
			}
		}
	}
	return d, nil
}
