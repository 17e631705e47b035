package ipsec

import (
	"time"

	"spigate/netstack/frame"
)

const (
	maxShort  = 1<<32 - 1        // the last number without ESN
	softShort = 15 << 28         // when a successor is wanted: a sixteenth before
	softLong  = 15 << 60         // the same with ESN
	pathAge   = 10 * time.Minute // how long a path MTU is believed (RFC 1191 section 6.3)
)

// Why says what ended an SA, or will soon.
type Why uint8

// The reasons.
const (
	ByTime Why = iota
	ByBytes
	BySequence
)

func (w Why) String() string { return [...]string{"time", "bytes", "sequence numbers"}[w] }

// softened reports whether a successor is wanted, and why.
func (sa *SA) softened(now int64) (Why, bool) {
	soft := uint64(softShort)
	if sa.ESN {
		soft = softLong
	}
	switch n := sa.number(); {
	case now >= sa.softAt:
		return ByTime, true
	case sa.Lifetime.SoftBytes > 0 && sa.bytes.Load() >= sa.Lifetime.SoftBytes:
		return ByBytes, true
	case n >= soft && !sa.Manual:
		return BySequence, true
	}
	return 0, false
}

// ended reports whether the hard lifetime is over, and why.
func (sa *SA) ended(now int64) (Why, bool) {
	switch {
	case now >= sa.hardAt:
		return ByTime, true
	case sa.Lifetime.HardBytes > 0 && sa.bytes.Load() > sa.Lifetime.HardBytes:
		return ByBytes, true
	case sa.spent.Load():
		return BySequence, true
	}
	return 0, false
}

// number is the last sequence number that was sent or the highest received.
func (sa *SA) number() uint64 {
	if sa.Outbound {
		return sa.sent.Load()
	}
	return sa.window.highest()
}

// Info is one SA, for listings. It has no keys.
type Info struct {
	SPI       uint32
	Outbound  bool
	Mode      Mode
	Local     frame.Endpoint // Port 0: bare ESP
	Remote    frame.Endpoint
	Suite     Suite
	ESN       bool
	Manual    bool
	Window    int // 0: outbound, or no anti-replay
	Selectors []string
	Scope     []Pair
	Age, Idle time.Duration
	Left      time.Duration // until the hard lifetime, -1: without end
	Number    uint64        // last sequence number
	Packets   uint64        // that passed
	Bytes     uint64        // encrypted or decrypted
	Lifetime  Lifetime
	Verdicts  [NumVerdicts]uint64
}

// Info looks at an SA. The numbers are not of one instant while packets flow.
func (sa *SA) Info(now int64) Info {
	i := Info{
		SPI: sa.SPI, Outbound: sa.Outbound, Mode: sa.Mode, Suite: sa.Suite, ESN: sa.ESN, Manual: sa.Manual,
		Local: frame.Endpoint{Addr: sa.Local, Port: sa.port}, Remote: sa.Remote(), Scope: sa.Scope(),
		Age: time.Duration(now - sa.born), Idle: time.Duration(now - sa.last.Load()), Left: -1,
		Number: sa.number(), Bytes: sa.bytes.Load(), Lifetime: sa.Lifetime, Packets: sa.counts[Pass].Load(),
	}
	if !sa.Outbound {
		i.Window = int(sa.window.size)
	}
	if sa.hardAt != never {
		i.Left = time.Duration(max(sa.hardAt-now, 0))
	}
	for v := range i.Verdicts {
		i.Verdicts[v] = sa.counts[v].Load()
	}
	return i
}

// touch notes that a packet passed. A batch has one time: most find it noted.
func (sa *SA) touch(now int64) {
	if sa.last.Load() != now {
		sa.last.Store(now)
	}
}

// LastPacket is when a packet last passed: what dead peer detection asks of an
// inbound SA (RFC 7296 section 2.4).
func (sa *SA) LastPacket() int64 { return sa.last.Load() }
