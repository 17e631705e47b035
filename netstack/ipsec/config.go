package ipsec

import (
	"net/netip"

	"spigate/netstack/frame"
)

// Mode is how a policy protects (table 2.4).
type Mode uint8

// The modes. Interface is tunnel mode on the wire; which packets are sealed
// is said by routes (VR30).
const (
	Transport Mode = iota
	Tunnel
	Interface
)

func (m Mode) String() string { return [...]string{"transport", "tunnel", "interface"}[m] }

// Direction is for which packets a selector counts. A selector is always
// written as its outbound packets look: source is here, destination there.
type Direction uint8

// The directions.
const (
	Both Direction = iota
	Out
	In
)

func (d Direction) String() string { return [...]string{"both", "out", "in"}[d] }

// Action is what a selector does with the packets that it matches.
type Action uint8

// The actions.
const (
	ActProtect Action = iota
	ActBypass
	ActDiscard
)

func (a Action) String() string { return [...]string{"protect", "bypass", "discard"}[a] }

// Policy is a `net ipsec ipsec-policy`: the ends of a tunnel.
type Policy struct {
	Name          string
	Mode          Mode
	Local, Remote netip.Addr // tunnel-local-address, tunnel-remote-address (0.0.0.0: any); required unless transport
}

// TrafficSelector is a `net ipsec traffic-selector`.
type TrafficSelector struct {
	Name                string
	Source, Destination netip.Prefix
	SourcePort          uint16 // 0: any
	DestinationPort     uint16 // 0: any
	Protocol            uint8  // 0: any
	Direction           Direction
	Action              Action
	Policy              string // required for protect
	Order               int    // the smaller one is asked first, then the name decides (VR29)
}

// pair is the selector as an SA would have it.
func (t *TrafficSelector) pair() Pair {
	return Pair{Local: rangeOf(t.Source, t.SourcePort), Remote: rangeOf(t.Destination, t.DestinationPort), Proto: t.Protocol}
}

// TunnelInterface is a `net tunnels tunnel` of interface mode. The selectors of
// its policy are its own; without one it carries everything (VR30).
type TunnelInterface struct {
	Name   string
	ID     frame.Interface // the label of what comes out of it (VR34)
	Policy string
}

// ManualSA is a `net ipsec manual-security-association`, one for each
// direction. It is outbound if Source is its policy's local address (VR36).
// Transport policies have none: there Outbound says it.
type ManualSA struct {
	Name                string
	Policy              string
	Source, Destination netip.Addr
	Outbound            bool // looked at only if the policy has no local address
	SPI                 uint32
	Suite               Suite
	Keys                Keys
}

// Config is what operators say.
type Config struct {
	Policies  []Policy
	Selectors []TrafficSelector
	Tunnels   []TunnelInterface
	Manual    []ManualSA
}

// MaxSelectors is how many selectors there may be: the index has a bit for each
// one in each range of addresses, a megabyte at most.
const MaxSelectors = 2048
