package traffic

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"spigate/netstack/frame"
)

// Flows is a set of flows in one direction. They differ in SPI or source port,
// and in the source address if PerSource says so.
type Flows struct {
	Proto    uint8 // frame.ProtoESP or frame.ProtoUDP
	From, To frame.MAC

	Source, Target frame.Addr // Source is the first flow's
	PerSource      int        // flows before the next source address is taken; 0: all are of one

	SPI                    uint32 // ESP: of the first flow
	SourcePort, TargetPort uint16 // UDP; SourcePort is the first flow's from each address
	TargetPorts            int    // UDP: so many ports from TargetPort on, in turn; 0: that one alone

	Count  int // of flows
	Length int // of an IPv4 packet, in bytes
}

// Offsets in a frame in bytes, and how much of it the generator writes.
const (
	offType      = 12
	offProto     = 23
	offHeaderSum = 24
	offSource    = 26
	offTarget    = 30
	offID        = 34 // SPI, or both ports
	offUDPSum    = 40
	offStamp     = 42
	written      = 50
)

// MaxFlows is how many flows can be told apart in a sequence: one draw each.
const MaxFlows = Draws

func (f *Flows) check() error {
	var errs []error
	if f.Proto != frame.ProtoESP && f.Proto != frame.ProtoUDP {
		errs = append(errs, fmt.Errorf("protocol %d is neither ESP nor UDP", f.Proto))
	}
	if f.Count < 1 || f.Count > MaxFlows {
		errs = append(errs, fmt.Errorf("%d flows: want 1 to %d", f.Count, MaxFlows))
	}
	if f.Proto == frame.ProtoUDP && int(f.SourcePort)+min(f.perSource(), f.Count) > 1<<16 {
		errs = append(errs, fmt.Errorf("%d flows of one address do not fit above port %d", min(f.perSource(), f.Count), f.SourcePort))
	}
	if f.Length < written-frame.HeaderLen || f.Length > 1500 {
		errs = append(errs, fmt.Errorf("length %d: want %d to 1500", f.Length, written-frame.HeaderLen))
	}
	return errors.Join(errs...)
}

func (f *Flows) perSource() int {
	if f.PerSource == 0 {
		return f.Count
	}
	return f.PerSource
}

// SourceOf returns the source address of a flow and the four bytes that begin
// its transport header.
func (f *Flows) SourceOf(flow int) (frame.Addr, [4]byte) {
	a, id := f.Source, [4]byte{}
	within := flow % f.perSource()
	binary.BigEndian.PutUint32(a[:], binary.BigEndian.Uint32(a[:])+uint32(flow/f.perSource()))
	if f.Proto == frame.ProtoESP {
		binary.BigEndian.PutUint32(id[:], f.SPI+uint32(within))
		return a, id
	}
	binary.BigEndian.PutUint16(id[:], f.SourcePort+uint16(within))
	binary.BigEndian.PutUint16(id[2:], f.TargetPort+uint16(flow%max(1, f.TargetPorts)))
	return a, id
}

// Frame builds a frame of a flow, with every checksum right and a payload of
// zeros.
func (f *Flows) Frame(flow int) []byte {
	b := make([]byte, frame.HeaderLen+f.Length)
	copy(b, f.To[:])
	copy(b[6:], f.From[:])
	binary.BigEndian.PutUint16(b[offType:], frame.TypeIPv4)
	src, id := f.SourceOf(flow)
	ip := header.IPv4(b[frame.HeaderLen:])
	ip.Encode(&header.IPv4Fields{
		TotalLength: uint16(f.Length), TTL: 64, Protocol: f.Proto,
		SrcAddr: tcpip.AddrFrom4(src), DstAddr: tcpip.AddrFrom4(f.Target),
	})
	ip.SetChecksum(^ip.CalculateChecksum())
	copy(b[offID:], id[:])
	if f.Proto == frame.ProtoESP {
		b[offID+7] = 1 // the sequence number
		return b
	}
	u := header.UDP(b[offID:])
	u.SetLength(uint16(len(u)))
	sum := header.PseudoHeaderChecksum(header.UDPProtocolNumber, ip.SourceAddress(), ip.DestinationAddress(), uint16(len(u)))
	u.SetChecksum(^checksum.Checksum(u, sum))
	return b
}

// Draws is the length of a sequence: a power of two, the same for any number of
// flows, so that reading it costs the same for all.
const Draws = 1 << 20

// Uniform returns a sequence in which all flows come equally often, in an order
// that no prefetcher follows. The same seed gives the same sequence.
func Uniform(flows int, seed uint64) []uint32 {
	r := rand.New(rand.NewPCG(seed, 1))
	out := make([]uint32, 0, Draws+flows)
	for len(out) < Draws {
		round := out[len(out) : len(out)+flows]
		for i := range round {
			round[i] = uint32(i)
		}
		r.Shuffle(flows, func(i, j int) { round[i], round[j] = round[j], round[i] })
		out = out[:len(out)+flows]
	}
	return out[:Draws]
}

// zipfExponent is that of the trial that the flow table's layout was chosen by.
const zipfExponent = 1.1

// Zipf returns a sequence in which a flow comes the more often the lower its
// rank, which is not its number: busy flows lie anywhere in a table.
func Zipf(flows int, seed uint64) []uint32 {
	r := rand.New(rand.NewPCG(seed, 2))
	number := r.Perm(flows)
	z := rand.NewZipf(r, zipfExponent, 1, uint64(flows-1))
	out := make([]uint32, Draws)
	for i := range out {
		out[i] = uint32(number[z.Uint64()])
	}
	return out
}

// Once returns a sequence in which each flow comes once, in order of their
// numbers; after it come those that were before.
func Once(flows int) []uint32 {
	out := make([]uint32, Draws)
	for i := range out {
		out[i] = uint32(i % flows)
	}
	return out
}
