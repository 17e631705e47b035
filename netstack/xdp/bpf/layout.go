package bpf

import (
	"encoding/binary"

	"spigate/netstack/frame"
)

// Hops is the number of rows for next hops. Row 0 is nobody's.
const Hops = 1025

// VLANs is the number of VLANs of a port that can be an interface: their ids are
// 0, for frames without a tag, to 4094.
const VLANs = 4095

// hop is a next hop's row as the program reads it.
type hop struct {
	_     [2]byte
	head  [headLen]byte // the header of the frame as on the wire; 14 bytes of it without a tag
	mtu   uint16        // bytes of IP
	port  uint16
	state uint32 // version<<2 | tagged | valid; written last
	due   uint32 // not 0: the next packet is the stack's; the program clears it
}

const (
	headLen = frame.HeaderLen + frame.TagLen
	hopSize = 32
)

// The parts of a hop's state.
const (
	hopValid   = 1
	hopTagged  = 2
	hopVersion = 4
)

// contexts are the interfaces' numbers of 64 VLANs of a port.
type contexts [contextsLen]uint8

const contextsLen = 64

// rowsOfPort is how many rows of contexts a port has.
const rowsOfPort = 4096 / contextsLen

// Route is a next hop: how frames for it leave.
type Route struct {
	Port     int       // number of the port
	VLAN     uint16    // 802.1Q id, 0: no tag
	Dst, Src frame.MAC // of the frames
	MTU      int       // bytes of IP
}

// fields is the route in a row, without state.
func (r Route) fields() (h hop) {
	copy(h.head[0:], r.Dst[:])
	copy(h.head[6:], r.Src[:])
	binary.BigEndian.PutUint16(h.head[12:], frame.TypeIPv4)
	if r.VLAN != 0 {
		binary.BigEndian.PutUint16(h.head[12:], frame.TypeVLAN)
		binary.BigEndian.PutUint16(h.head[14:], r.VLAN)
		binary.BigEndian.PutUint16(h.head[16:], frame.TypeIPv4)
	}
	h.mtu = uint16(min(max(r.MTU, 0), 0xffff))
	h.port = uint16(r.Port)
	return h
}
