package fastpath

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// crowd is everybody on both sides of a router under stress: subscribers who
// open flows and leave, and those whom they speak to. Each speaks to somebody
// who speaks to nobody else, so that every packet that arrives says who must
// get it; its data says so once more.
type crowd struct {
	side [2]*host

	mu      sync.Mutex
	rand    *rand.Rand
	live    []*person
	byFar   map[frame.Endpoint]*person // by the address and port of the other one, for ever
	bySPI   map[uint32]*person         // the same for ESP
	byID    map[uint32]*person         // the same for IKE, whose cookies have it
	next    uint32
	gateway [2]frame.MAC // of the next hop outside: now, and before, if that still counts
	paused  bool
	forgets bool // the router is about to forget sessions: no new tunnels

	got    [2]uint64 // packets with data that arrived on each side
	opened [kinds]int
	faults []string
}

// kind is what a person speaks.
type kind int

const (
	speaksUDP    kind = iota
	speaksTCP         // SYN, data, FIN
	speaksOwnESP      // from an address of its own: any SPI, at any time
	speaksESP         // behind a shared address: IKE, ESP, new keys
	kinds
)

// person is one flow: who is inside, whom it speaks to, and how far it is.
type person struct {
	id      uint32
	kind    kind
	in, out frame.Endpoint
	nat     frame.Endpoint // as last seen outside; zero: never
	before  frame.Endpoint // and as it was before that
	open    bool           // TCP: established; ESP: keys are there
	seq     [2]uint32
	tunnel
}

// tunnel is the IKE of a person that speaks ESP.
type tunnel struct {
	spi     [2]uint32 // of the packets that go into each side
	passed  [2]uint64 // ESP packets that arrived from each side, with these SPIs
	spoiled bool      // something of them may have been lost
	ike     uint64    // initiator's cookie; the responder's is the next number
	asked   [2]int    // the exchange and message id that are not answered yet; 0: none
	patient int       // turns until it asks again
	count   int       // messages
}

const liveAtMost = 160

var farServers = []frame.Addr{upstream, addr("198.51.100.8"), addr("198.51.100.9"), addr("203.0.113.200")}

// gatewayAddr is the next hop to most of them.
var gatewayAddr = server

// born adds a person of any kind. The caller holds mu.
func (c *crowd) born() {
	c.next++
	p := &person{id: c.next, kind: kind(c.rand.IntN(int(kinds)))}
	if p.kind == speaksESP && (c.tunnels() >= 3 || c.forgets) {
		p.kind = speaksUDP // few, as they wait for each other
	}
	p.in = at(frame.Addr{192, 0, 2, byte(100 + p.id%60)}, uint16(1024+p.id%60000))
	p.out = at(farServers[p.id%4], uint16(1024+p.id/4%60000))
	switch p.kind {
	case speaksOwnESP:
		p.in = at([]frame.Addr{own, ownToo}[p.id%2], 0)
		p.newKeys(c)
	case speaksESP:
		p.in, p.out = at(frame.Addr{192, 0, 2, byte(170 + p.id%60)}, 500), at(server2, 500)
		p.ike = uint64(p.id)<<8 | 1
		c.byID[p.id] = p
	default:
		c.byFar[p.out] = p
	}
	c.opened[p.kind]++
	c.live = append(c.live, p)
}

var ownToo, ownNATToo = addr("192.0.2.21"), addr("203.0.113.21")

func (c *crowd) tunnels() (n int) {
	for _, p := range c.live {
		if p.kind == speaksESP {
			n++
		}
	}
	return n
}

// newKeys gives a person SPIs that nobody had before.
func (p *person) newKeys(c *crowd) {
	n := uint32(len(c.bySPI))
	p.spi, p.passed, p.seq, p.spoiled = [2]uint32{0x10000000 + n, 0x90000000 + n}, [2]uint64{}, [2]uint32{}, false
	c.bySPI[p.spi[lan]], c.bySPI[p.spi[wan]] = p, p
}

// turn lets some subscribers speak, some come and some go.
func (c *crowd) turn(packets int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.paused {
		return
	}
	if len(c.live) < liveAtMost {
		c.born()
	}
	if n := len(c.live); n == liveAtMost || c.rand.IntN(4) == 0 {
		c.leaves(c.rand.IntN(n))
	}
	for range packets {
		if len(c.live) > 0 {
			c.speaks(c.live[c.rand.IntN(len(c.live))])
		}
	}
}

// leaves takes a person away; TCP says so.
func (c *crowd) leaves(i int) {
	p := c.live[i]
	if p.kind == speaksTCP && p.open {
		c.say(lan, tcp(p.in, p.out, p.seq[lan], p.seq[wan], fin|ack, nil))
	}
	c.live[i] = c.live[len(c.live)-1]
	c.live = c.live[:len(c.live)-1]
}

// speaks has a subscriber send what is due.
func (c *crowd) speaks(p *person) {
	switch {
	case p.kind == speaksUDP:
		c.say(lan, udp(p.in, p.out, c.data(p, lan)))
	case p.kind == speaksTCP && !p.open:
		c.say(lan, tcp(p.in, p.out, 1000, 0, syn, nil))
	case p.kind == speaksTCP:
		b := c.data(p, lan)
		c.say(lan, tcp(p.in, p.out, p.seq[lan], p.seq[wan], ack, b))
		p.seq[lan] += uint32(len(b))
	case p.kind == speaksOwnESP || p.open:
		c.seals(p)
	}
	if p.kind == speaksESP {
		c.negotiates(p)
	}
}

func (c *crowd) seals(p *person) {
	p.seq[lan]++
	c.say(lan, esp(p.in.Addr, p.out.Addr, p.spi[lan], p.seq[lan], c.data(p, lan)))
	if p.kind == speaksOwnESP && c.rand.IntN(50) == 0 {
		p.newKeys(c)
	}
}

// negotiates begins an exchange, or asks once more if one is not answered.
func (c *crowd) negotiates(p *person) {
	switch p.patient--; {
	case p.asked[0] != 0:
		if p.patient > 0 {
			return
		}
	case p.count == 0:
		p.asked = [2]int{ikeSAInit, 0}
	case p.count == 1:
		p.asked = [2]int{ikeAuth, 1}
	case p.passed[lan] > 3 && p.passed[wan] > 3 && c.rand.IntN(20) == 0:
		p.asked = [2]int{createSA, p.count}
	default:
		return
	}
	p.patient = 40
	responder := p.ike + 1
	if p.asked[0] == ikeSAInit {
		responder = 0
	}
	c.say(lan, udp(p.in, p.out, ike(p.ike, responder, uint8(p.asked[0]), asking, uint32(p.asked[1]))))
}

// data names a person and a direction, and is of any length.
func (c *crowd) data(p *person, side int) []byte {
	b := make([]byte, dataHeader+c.rand.IntN(200)*c.rand.IntN(8))
	copy(b, "crowd")
	b[5] = byte(side)
	binary.BigEndian.PutUint32(b[6:], p.id)
	for i := dataHeader; i < len(b); i++ {
		b[i] = byte(p.id) + byte(i)
	}
	return b
}

const dataHeader = 10

// say sends a packet from a machine on a side.
func (c *crowd) say(side int, packet []byte) {
	c.side[side].put(inFrame(routerMAC[side], frame.Addr(packet[12:16]), packet))
}

// machines says who has an address outside: everybody has a MAC address of its
// own, and the gateway now and then another one.
func (c *crowd) machines(a frame.Addr) frame.MAC {
	c.mu.Lock()
	defer c.mu.Unlock()
	if a == gatewayAddr {
		return c.gateway[0]
	}
	return macOf(a)
}

// wrong notes a packet that reached somebody who must not get it, or as it must
// not be. The caller holds mu.
func (c *crowd) wrong(side int, b []byte, format string, args ...any) {
	if len(c.faults) < 20 {
		c.faults = append(c.faults, fmt.Sprintf("at %s: %s:\n%s", c.side[side].name, fmt.Sprintf(format, args...), hex([][]byte{b})))
	}
}

// arrives judges a frame that reached a side, and has whoever got it answer.
func (c *crowd) arrives(side int, b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var p frame.Packet
	if why := p.Parse(untagged(b)[frame.HeaderLen:]); why != drop.None {
		c.wrong(side, b, "%v", why)
		return
	}
	if p.ICMPError() {
		return // of the router's own: a port was down
	}
	who := c.who(side, &p)
	if who == nil {
		c.wrong(side, b, "nobody sent that")
		return
	}
	if fault := c.judge(who, side, &p, frame.MAC(b[:6])); fault != "" {
		c.wrong(side, b, "of %+v %+v: %s", *who, who.in, fault)
		return
	}
	if side == wan {
		c.answers(who, &p)
	} else {
		c.hears(who, &p)
	}
}

// who finds whose flow a packet belongs to, by who speaks outside, or the SPI.
func (c *crowd) who(side int, p *frame.Packet) *person {
	far := at(p.Dst, p.DstPort)
	if side == lan {
		far = at(p.Src, p.SrcPort)
	}
	switch {
	case p.Proto == frame.ProtoESP:
		return c.bySPI[p.SPI]
	case far == at(server2, 500) && len(p.UDPPayload()) >= 28:
		return c.byID[uint32(binary.BigEndian.Uint64(p.UDPPayload())>>8)]
	}
	return c.byFar[far]
}

// judge says what is wrong with a packet of a person's on a side, "" if nothing.
func (c *crowd) judge(who *person, side int, p *frame.Packet, to frame.MAC) string {
	if side == lan {
		if p.Dst != who.in.Addr || p.Proto != frame.ProtoESP && p.DstPort != who.in.Port {
			return fmt.Sprintf("it went to %v:%d", p.Dst, p.DstPort)
		}
		if to != macOf(p.Dst) {
			return fmt.Sprintf("in a frame to %x", to)
		}
		return content(who, wan, p)
	}
	switch hop := macOf(p.Dst); {
	case who.kind == speaksOwnESP && p.Src != ownNATOf(who.in.Addr):
		return fmt.Sprintf("it came from %v", p.Src)
	case who.kind != speaksOwnESP && p.Src != natAddr:
		return fmt.Sprintf("it came from %v", p.Src)
	case p.Dst != who.out.Addr:
		return fmt.Sprintf("it went to %v", p.Dst)
	case p.Dst[0] != 203 && to != c.gateway[0] && to != c.gateway[1], p.Dst[0] == 203 && to != hop:
		return fmt.Sprintf("in a frame to %x", to)
	}
	return content(who, lan, p)
}

func ownNATOf(a frame.Addr) frame.Addr {
	if a == ownToo {
		return ownNATToo
	}
	return ownNAT
}

// content says what is wrong with a packet's data.
func content(who *person, from int, p *frame.Packet) string {
	var data []byte
	switch t := p.Transport(); p.Proto {
	case frame.ProtoUDP:
		data = p.UDPPayload()
		if who.kind == speaksESP {
			return "" // IKE
		}
	case frame.ProtoESP:
		data = t[8:]
		if p.SPI>>31 != uint32(from) {
			return "its SPI is of the other direction"
		}
	case frame.ProtoTCP:
		if data = t[20:]; len(data) == 0 {
			return ""
		}
	}
	if p.Proto != frame.ProtoESP && transportSum(p.Bytes()) != 0xffff {
		return "its checksum is wrong"
	}
	if len(data) < dataHeader || string(data[:5]) != "crowd" || int(data[5]) != from || binary.BigEndian.Uint32(data[6:]) != who.id {
		return "it is somebody else's data"
	}
	for i := dataHeader; i < len(data); i++ {
		if data[i] != byte(who.id)+byte(i) {
			return "its data was changed"
		}
	}
	return ""
}
