package fastpath

import (
	"encoding/binary"

	"spigate/netstack/frame"
)

// answers has who is outside answer a packet. Now and then it answers to where
// the subscriber was before, which nobody else must get.
func (c *crowd) answers(who *person, p *frame.Packet) {
	c.got[wan]++
	if from := at(p.Src, p.SrcPort); p.Proto != frame.ProtoESP && from != who.nat {
		who.nat, who.before = from, who.nat
	}
	switch {
	case p.Proto == frame.ProtoTCP && p.TCPFlags&syn != 0:
		who.seq = [2]uint32{1001, 7001}
		c.say(wan, tcp(who.out, who.nat, 7000, 1001, syn|ack, nil))
	case p.Proto == frame.ProtoTCP && p.TCPFlags&fin != 0:
		c.say(wan, tcp(who.out, who.nat, who.seq[wan], who.seq[lan]+1, fin|ack, nil))
	case who.kind == speaksESP && p.Proto == frame.ProtoUDP:
		m := p.UDPPayload()
		c.say(wan, udp(who.out, who.nat, ike(who.ike, who.ike+1, m[18], answering, binary.BigEndian.Uint32(m[20:]))))
	case p.Proto == frame.ProtoESP:
		c.sealsBack(who, p)
	default:
		for range c.rand.IntN(3) {
			c.sendsBack(who, who.nat)
		}
		if who.before != (frame.Endpoint{}) && c.rand.IntN(20) == 0 {
			c.sendsBack(who, who.before)
		}
	}
}

func (c *crowd) sendsBack(who *person, to frame.Endpoint) {
	b := c.data(who, wan)
	if who.kind == speaksUDP {
		c.say(wan, udp(who.out, to, b))
		return
	}
	c.say(wan, tcp(who.out, to, who.seq[wan], who.seq[lan], ack, b))
	who.seq[wan] += uint32(len(b))
}

func (c *crowd) sealsBack(who *person, p *frame.Packet) {
	if p.SPI != who.spi[lan] {
		return // of keys that are no more
	}
	who.passed[lan]++
	for range 1 + c.rand.IntN(2) {
		who.seq[wan]++
		c.say(wan, esp(who.out.Addr, p.Src, who.spi[wan], who.seq[wan], c.data(who, wan)))
	}
}

// hears has a subscriber take note of an answer.
func (c *crowd) hears(who *person, p *frame.Packet) {
	c.got[lan]++
	switch {
	case p.Proto == frame.ProtoTCP && p.TCPFlags&syn != 0:
		who.open = true
	case p.Proto == frame.ProtoESP && p.SPI == who.spi[wan]:
		who.passed[wan]++
	case p.Proto == frame.ProtoUDP && who.kind == speaksESP:
		c.negotiated(who, p.UDPPayload())
	}
}

// negotiated takes the answer to an exchange: the one that was asked, once.
func (c *crowd) negotiated(who *person, m []byte) {
	if who.asked[0] == 0 || int(m[18]) != who.asked[0] || int(binary.BigEndian.Uint32(m[20:])) != who.asked[1] {
		return
	}
	who.asked, who.patient = [2]int{}, 0
	who.count++
	if who.count >= 2 { // IKE_AUTH, CREATE_CHILD_SA: new keys, and it speaks first
		who.open = true
		who.newKeys(c)
		c.seals(who)
	}
}

// pause stops everybody, or lets them go on. Answers to what is under way still
// come.
func (c *crowd) pause(stop bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.paused = stop
}

// forgetting has everybody leave who speaks ESP behind a shared address, and
// nobody come, until it is over: what the router forgets it cannot know again,
// and with a key of theirs that came later it could take them for somebody else.
func (c *crowd) forgetting(begins bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forgets = begins
	for i := len(c.live) - 1; i >= 0 && begins; i-- {
		if c.live[i].kind == speaksESP {
			c.leaves(i)
		}
	}
}

// moves gives the gateway another MAC address and has it say so. The old one
// counts until settled.
func (c *crowd) moves() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gateway = [2]frame.MAC{{6, 7, byte(c.rand.IntN(256)), byte(c.rand.IntN(256)), 0, 1}, c.gateway[0]}
	c.side[wan].put(arp(1, gatewayAddr, c.gateway[0], wanAddr, frame.MAC{})) // as a host that has just come up
}

// settled takes the gateway's old MAC address from it.
func (c *crowd) settled() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gateway[1] = c.gateway[0]
}
