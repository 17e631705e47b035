package lsn

import "spigate/netstack/frame"

// portSet is a set of outside ports that a new mapping may have: first to
// last, all of them or, with step 2, every other one.
type portSet struct {
	first, last uint16
	step        uint16
	kind        setKind
}

// setKind names the set that a portSet is or was cut from; a search that found
// nothing is remembered by it. The bits of kindOdd and kindLow are those of
// lanes.
type setKind uint8

const (
	kindOdd    setKind = 1 << iota // matters with kindParity only
	kindLow                        // ports 1 to 1023; without it FirstPort to LastPort
	kindParity                     // even ports only, or odd ones
)

// Lanes are the four kinds of ports that are counted apart, so that it is
// known without a search when one has run out: even and odd (kindOdd) ones
// from FirstPort on, and even and odd ones below it (kindLow).
const numLanes = 4

func laneOf(port uint16) int {
	lane := int(port & 1)
	if port < FirstPort {
		lane |= int(kindLow)
	}
	return lane
}

// laneSize is how many ports a lane has. Port 0 is given to nobody.
var laneSize = [numLanes]int32{numPorts / 2, numPorts / 2, FirstPort/2 - 1, FirstPort / 2}

// lanes calls fn for the lanes that the set is made of.
func (k setKind) lanes(fn func(lane int)) {
	for lane := range numLanes {
		if setKind(lane)&kindLow == k&kindLow && (k&kindParity == 0 || setKind(lane)&kindOdd == k&kindOdd) {
			fn(lane)
		}
	}
}

// all are the ports that mappings are given where nothing else is asked (R16).
var highPorts = portSet{FirstPort, LastPort, 1, 0}

// portSets returns the sets that the outside port of a new mapping is drawn
// from, the best one first; n is how many there are.
//
// With PreserveRange a source port below 1024 has to get one, or the packet is
// dropped (table 1.1). Parity is kept as long as a port of it is free (RFC 4787
// REQ-4 is a SHOULD): losing the connection would be worse. Identifiers of ICMP
// queries have neither range nor parity.
func (r *rules) portSets(source uint16) (sets [2]portSet, n int) {
	set := highPorts
	if r.app.Proto == frame.ProtoICMP {
		return [2]portSet{set}, 1
	}
	if r.transport.PreserveRange && source < FirstPort {
		set = portSet{1, FirstPort - 1, 1, kindLow}
	}
	if r.transport.PreserveParity {
		return [2]portSet{set.parity(source), set}, 2
	}
	return [2]portSet{set}, 1
}

// parity cuts the set down to the ports that are even or odd as the source is.
func (s portSet) parity(source uint16) portSet {
	s.step, s.kind = 2, s.kind|kindParity
	if source&1 == 1 {
		s.kind |= kindOdd
	}
	s.first += (s.first ^ source) & 1
	s.last -= (s.last ^ source) & 1
	return s
}

// within cuts the set down to the ports from first to last.
func (s portSet) within(first, last uint16) portSet {
	first, last = max(first, s.first), min(last, s.last)
	if s.step == 2 {
		first += (first ^ s.first) & 1
		last -= (last ^ s.first) & 1
	}
	s.first, s.last = first, last
	return s
}

// size is how many ports the set has.
func (s portSet) size() uint32 {
	return uint32(s.last-s.first)/uint32(s.step) + 1
}

// at is a port of the set, by its number from 0 on.
func (s portSet) at(i uint32) uint16 { return s.first + uint16(i)*s.step }
