package path

import (
	"spigate/netstack/frame"
	"spigate/tests/bench/bed"
)

// Line is one line of a table: a way, where its work is done, and what is sent.
type Line struct {
	Way   string
	Place bed.Place
	Flows int
	Draw  Draw
}

// Section is what is measured in turns: its lanes are all open at the same time,
// and a round measures each line once.
type Section struct {
	Title  string
	Proto  uint8
	Length int // of the IPv4 packet, in bytes
	Lines  []Line
}

// The numbers of flows.
const (
	one      = 1
	thousand = 1000
	many     = 100_000
	million  = 1_000_000
)

// Sections are the plan. The kernel's forwarding does not know flows, and its
// connection tracking only one ESP flow between two addresses: those lines stand
// once. Many flows are for themselves, beside a thousand once more: what goes over
// them once a second, on whichever way, leaves less of the machine's cache to all.
func Sections() []Section {
	nft := []Line{
		{Masquerade, bed.TwoCores, many, Uniform}, {Masquerade, bed.OneCore, many, Uniform}, {Masquerade, bed.OneCore, many, Zipf},
	}
	return []Section{
		{"ESP, 100 bytes", frame.ProtoESP, 100, append(side(thousand), scale(one, thousand)...)},
		{"ESP, 100 bytes, 100,000 flows", frame.ProtoESP, 100, scale(thousand, many)},
		{"ESP, 100 bytes, a million flows", frame.ProtoESP, 100, scale(thousand, million)},
		{"UDP, 100 bytes", frame.ProtoUDP, 100, append(side(thousand), scale(thousand)...)},
		{"UDP, 100 bytes, 100,000 flows", frame.ProtoUDP, 100, append(nft, scale(thousand, many)...)},
		{"ESP, 1400 bytes", frame.ProtoESP, 1400, append(side(thousand), scale(thousand)...)},
		{"ESP, 1400 bytes, 100,000 flows", frame.ProtoESP, 1400, scale(thousand, many)},
		{"UDP, 1400 bytes", frame.ProtoUDP, 1400, append(side(thousand), scale(thousand)...)},
	}
}

// side is everybody but spigate's fast ways, with the limits.
func side(flows int) []Line {
	return []Line{
		{Forward, bed.TwoCores, flows, Uniform}, {Forward, bed.OneCore, flows, Uniform},
		{Masquerade, bed.TwoCores, flows, Uniform}, {Masquerade, bed.OneCore, flows, Uniform},
		{SlowPath, bed.TwoCores, flows, Uniform},
		{Loop, bed.TwoCores, flows, Uniform}, {Redirect, bed.OneCore, flows, Uniform},
	}
}

// scale is spigate's fast ways with numbers of flows.
func scale(flows ...int) (out []Line) {
	for _, w := range []struct {
		name  string
		place bed.Place
	}{{FastPath, bed.TwoCores}, {XDP, bed.OneCore}} {
		for _, n := range flows {
			out = append(out, Line{w.name, w.place, n, Uniform})
			if n > one {
				out = append(out, Line{w.name, w.place, n, Zipf})
			}
		}
	}
	return out
}
