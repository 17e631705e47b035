package link

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"golang.org/x/sys/unix"

	"spigate/netstack/frame"
)

// laneOf is what steering shall do, said once more without BPF.
func laneOf(b []byte, lanes int) int {
	if binary.BigEndian.Uint16(b[12:]) != frame.TypeIPv4 {
		return 0
	}
	p := b[frame.HeaderLen:]
	if len(p) < 20 {
		return 0
	}
	fold := func(v, by uint32, shift int) uint32 { v *= by; return v ^ v>>shift }
	h := fold(binary.BigEndian.Uint32(p[12:]), steerMul1, 16) ^ binary.BigEndian.Uint32(p[16:])
	whole := binary.BigEndian.Uint16(p[6:])&0x3fff == 0
	if proto := p[9]; whole && (proto == frame.ProtoESP || proto == frame.ProtoUDP || proto == frame.ProtoTCP) {
		at := int(p[0]&15) * 4
		if len(p) < at+4 {
			return 0
		}
		h ^= fold(binary.BigEndian.Uint32(p[at:]), steerMul2, 16)
	}
	return int(fold(fold(h, steerMul1, 15), steerMul2, 16) % uint32(lanes))
}

// play runs a program as the kernel does, over a frame without its tag.
func play(t testing.TB, prog []unix.SockFilter, b []byte) uint32 {
	t.Helper()
	p := b[frame.HeaderLen:]
	var a, x, m uint32
	for at := 0; ; at++ {
		in := prog[at]
		load := func(off, n uint32) bool {
			if uint64(off)+uint64(n) > uint64(len(p)) {
				return false
			}
			a = 0
			for _, c := range p[off : off+n] {
				a = a<<8 | uint32(c)
			}
			return true
		}
		ok := true
		switch in.Code {
		case unix.BPF_LD | unix.BPF_H | unix.BPF_ABS:
			if in.K == skbProtocol {
				a = uint32(binary.BigEndian.Uint16(b[12:]))
			} else {
				ok = load(in.K, 2)
			}
		case unix.BPF_LD | unix.BPF_W | unix.BPF_ABS:
			ok = load(in.K, 4)
		case unix.BPF_LD | unix.BPF_B | unix.BPF_ABS:
			ok = load(in.K, 1)
		case unix.BPF_LD | unix.BPF_W | unix.BPF_IND:
			ok = load(x+in.K, 4)
		case unix.BPF_LDX | unix.BPF_B | unix.BPF_MSH:
			was := a
			ok = load(in.K, 1)
			a, x = was, a&15*4
		case unix.BPF_ALU | unix.BPF_MUL | unix.BPF_K:
			a *= in.K
		case unix.BPF_ALU | unix.BPF_RSH | unix.BPF_K:
			a >>= in.K
		case unix.BPF_ALU | unix.BPF_XOR | unix.BPF_X:
			a ^= x
		case unix.BPF_MISC | unix.BPF_TAX:
			x = a
		case unix.BPF_ST:
			m = a
		case unix.BPF_LD | unix.BPF_MEM:
			a = m
		case unix.BPF_LDX | unix.BPF_MEM:
			x = m
		case unix.BPF_JMP | unix.BPF_JEQ:
			at += pick(a == in.K, in)
		case unix.BPF_JMP | unix.BPF_JSET:
			at += pick(a&in.K != 0, in)
		case unix.BPF_RET | unix.BPF_A:
			return a
		case unix.BPF_RET | unix.BPF_K:
			return in.K
		default:
			t.Fatalf("instruction %d has code %#x", at, in.Code)
		}
		if !ok {
			return 0
		}
	}
}

func pick(yes bool, in unix.SockFilter) int {
	if yes {
		return int(in.Jt)
	}
	return int(in.Jf)
}

// randomPacket is a frame of which every part that steering looks at is drawn,
// short ones, options and fragments among them.
func randomPacket(r *rand.Rand) []byte {
	b := ether(routerMAC, hostMAC, 0, []uint16{frame.TypeIPv4, frame.TypeIPv4, frame.TypeIPv4, 0x86dd, frame.TypeARP}[r.IntN(5)], ip(60+r.IntN(60)))
	p := b[frame.HeaderLen:]
	for k := range p[12:60] {
		p[12+k] = byte(r.Uint32())
	}
	p[0] = byte(0x40 | 5 + r.IntN(3))
	p[9] = []byte{frame.ProtoESP, frame.ProtoUDP, frame.ProtoTCP, frame.ProtoICMP, 47}[r.IntN(5)]
	binary.BigEndian.PutUint16(p[6:], []uint16{0, 0x4000, 0x2000, 0x2001, 100}[r.IntN(5)])
	return b[:frame.HeaderLen+r.IntN(len(p)+1)]
}

func TestTheSteeringProgramDoesWhatItSays(t *testing.T) {
	prog, r := steering(), rand.New(rand.NewPCG(1, 2))
	seen := map[int]int{}
	for range 200_000 {
		b := randomPacket(r)
		lanes := 1 + r.IntN(8)
		got, want := int(play(t, prog, b)%uint32(lanes)), laneOf(b, lanes)
		if got != want {
			t.Fatalf("%x: lane %d of %d, want %d", b, got, lanes, want)
		}
		seen[want]++
	}
	if len(seen) != 8 {
		t.Errorf("lanes seen: %v", seen)
	}
}

// steered is a frame of a flow between two fixed addresses.
func steered(proto uint8, id uint32, fragment uint16, length int) []byte {
	b := ether(frame.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, hostMAC, 0, frame.TypeIPv4, ip(length))
	p := b[frame.HeaderLen:]
	p[9] = proto
	binary.BigEndian.PutUint16(p[6:], fragment)
	binary.BigEndian.PutUint32(p[20:], id)
	return b
}

// One in two, three or eight lanes gets neither much more nor much less than
// its part, whichever way the numbers of the flows follow each other.
func TestFlowsSpreadEvenly(t *testing.T) {
	const flows = 4096
	for _, lanes := range []int{2, 3, 8} {
		for name, id := range map[string]func(n uint32) uint32{
			"SPIs in a row":       func(n uint32) uint32 { return 0x1000 + n },
			"even source ports":   func(n uint32) uint32 { return (32768 + 2*n) << 16 },
			"destination ports":   func(n uint32) uint32 { return 5000<<16 | n },
			"SPIs in steps":       func(n uint32) uint32 { return n << 20 },
			"SPIs in other steps": func(n uint32) uint32 { return n * 0x10001 },
		} {
			got := make([]int, lanes)
			for n := range uint32(flows) {
				got[laneOf(steered(frame.ProtoESP, id(n), 0, 40), lanes)]++
			}
			for lane, n := range got {
				if n < flows/lanes*8/10 || n > flows/lanes*12/10 {
					t.Errorf("%s: lane %d of %d has %d of %d flows", name, lane, lanes, n, flows)
				}
			}
		}
	}
}
