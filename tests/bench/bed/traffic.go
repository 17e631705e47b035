package bed

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"spigate/netstack/frame"
)

// Traffic is what a measurement sends.
type Traffic struct {
	Proto  uint8   // frame.ProtoESP or frame.ProtoUDP
	Flows  int     // established ones, from 1
	Zipf   float64 // the exponent s of how flows share packets; 0: all alike
	Length int     // of the IPv4 packet in bytes, from 60
}

// String names the traffic as tables do.
func (t Traffic) String() string {
	name := map[uint8]string{frame.ProtoESP: "ESP", frame.ProtoUDP: "UDP"}[t.Proto]
	draw := ""
	if t.Flows > 1 {
		draw = ", uniform"
		if t.Zipf != 0 {
			draw = fmt.Sprintf(", Zipf %.1f", t.Zipf)
		}
	}
	return fmt.Sprintf("%s %d B, %s flows%s", name, t.Length, thousands(t.Flows), draw)
}

func thousands(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}

// Flow is what distinguishes one flow: ESP flows are SPIs between one pair of
// addresses, UDP flows ports of many subscribers towards one server.
type Flow struct {
	Src netip.Addr
	ID  uint32 // the first four bytes after the IPv4 header: SPI, or source and destination port
}

// subscribers is how many UDP flows of different subscribers follow each other.
const subscribers = 1 << 14

// Flow returns the n-th flow. No two are alike, and UDP flows are neither IKE
// nor NAT traversal nor anything that has a helper.
func (t Traffic) Flow(n int) Flow {
	if t.Proto == frame.ProtoESP {
		return Flow{Subscriber, 0x10000 + uint32(n)*0x9e3779} // odd: a different SPI for each n
	}
	who := uint32(0x64400100) + uint32(n%subscribers) // from 100.64.1.0 on
	var a [4]byte
	binary.BigEndian.PutUint32(a[:], who)
	return Flow{netip.AddrFrom4(a), uint32(20000+n/subscribers)<<16 | uint32(30000+n%1999)}
}

// Frame builds a frame of the n-th flow as the source sends it, every checksum
// right.
func (t Traffic) Frame(b *Bed, n int) []byte {
	f := t.Flow(n)
	out := make([]byte, frame.HeaderLen+t.Length)
	copy(out, b.LANMAC[:])
	copy(out[6:], b.SourceMAC[:])
	binary.BigEndian.PutUint16(out[12:], frame.TypeIPv4)
	ip := header.IPv4(out[frame.HeaderLen:])
	ip.Encode(&header.IPv4Fields{
		TotalLength: uint16(t.Length), TTL: 64, Protocol: t.Proto,
		SrcAddr: tcpip.AddrFrom4(f.Src.As4()), DstAddr: tcpip.AddrFrom4(Remote.Addr().As4()),
	})
	ip.SetChecksum(^ip.CalculateChecksum())
	l4 := out[frame.HeaderLen+header.IPv4MinimumSize:]
	binary.BigEndian.PutUint32(l4, f.ID)
	if t.Proto == frame.ProtoESP {
		l4[7] = 1 // sequence number
		return out
	}
	binary.BigEndian.PutUint16(l4[4:], uint16(len(l4)))
	sum := header.PseudoHeaderChecksum(header.UDPProtocolNumber, ip.SourceAddress(), ip.DestinationAddress(), uint16(len(l4)))
	binary.BigEndian.PutUint16(l4[6:], ^checksum.Checksum(l4, sum))
	return out
}

// Every returns each flow once, in an order that caches cannot guess.
func (t Traffic) Every() []uint32 {
	return permutation(rand.New(rand.NewPCG(1, uint64(t.Flows))), t.Flows)
}

// Draw returns the flows of count packets or a little more, to be sent again
// and again: whole rounds of Every if they share alike, else by Zipf's law, the
// hot ones spread at random. The same traffic is drawn alike each time.
func (t Traffic) Draw(count int) []uint32 {
	every := t.Every()
	if t.Zipf == 0 || t.Flows == 1 {
		out := every
		for len(out) < count {
			out = append(out, every...)
		}
		return out
	}
	z := rand.NewZipf(rand.New(rand.NewPCG(2, uint64(t.Flows))), t.Zipf, 1, uint64(t.Flows-1))
	out := make([]uint32, count)
	for i := range out {
		out[i] = every[z.Uint64()]
	}
	return out
}

func permutation(r *rand.Rand, n int) []uint32 {
	out := make([]uint32, n)
	for i := range out {
		out[i] = uint32(i)
	}
	r.Shuffle(n, func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}
