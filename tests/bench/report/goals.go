package report

import "fmt"

// Goal is one row of what the fast path must show, or a part of one.
type Goal struct {
	Key    string  // under which figures are reported
	Name   string  // in tables and in latest.json
	AtMost bool    // else at least
	Bound  float64 // in the unit that Name says; ratios have none
}

// The keys of the goals.
const (
	RingToForward    = "ring/forward"
	RingToMasquerade = "ring/masquerade"
	RingToBare       = "ring/bare"
	XDPToMasquerade  = "xdp/masquerade"
	XDPToBare        = "xdp/bare"
	XDPToMasqUDP     = "xdp/masquerade/udp100k"
	RingAt100k       = "ring/100k"
	XDPAt100k        = "xdp/100k"
	RingAt1M         = "ring/1M"
	XDPAt1M          = "xdp/1M"
	HitAllocs        = "hit/allocs"
	HitAt1k          = "hit/1k"
	HitAt100k        = "hit/100k"
	HitAt1M          = "hit/1M"
	FlowMemory       = "flow/memory"
	SetUpRate        = "setup/rate"
	LatencyToKernel  = "latency"
)

// Goals is the table of the goals, in its order.
func Goals() []Goal {
	return []Goal{
		{RingToForward, "AF_PACKET fast path ÷ Linux ip_forward, ESP 100 B, 1,000 flows, one forwarding core", false, 1.3},
		{RingToMasquerade, "AF_PACKET fast path ÷ nft masquerade, ESP 100 B, 1,000 flows, one forwarding core", false, 2},
		{RingToBare, "AF_PACKET fast path ÷ bare receive-send loop, ESP 100 B, 1,000 flows", false, 0.9},
		{XDPToMasquerade, "XDP ÷ nft masquerade, ESP 100 B, 1,000 flows, by CPU per packet of the whole path", false, 5},
		{XDPToBare, "XDP ÷ bare XDP redirect, ESP 100 B, 1,000 flows, by CPU per packet of the whole path", false, 0.7},
		{XDPToMasqUDP, "XDP ÷ nft masquerade, both with 100,000 active UDP flows, by CPU per packet of the whole path", false, 6},
		{RingAt100k, "AF_PACKET: cost per packet at 100,000 active flows ÷ at 1,000, uniform", true, 1.15},
		{XDPAt100k, "XDP: cost per packet at 100,000 active flows ÷ at 1,000, uniform", true, 1.5},
		{RingAt1M, "AF_PACKET: cost per packet at 1,000,000 active flows ÷ at 1,000, uniform", true, 1.3},
		{XDPAt1M, "XDP: cost per packet at 1,000,000 active flows ÷ at 1,000, uniform", true, 2.5},
		{HitAllocs, "hit path: allocations for each packet", true, 0},
		{HitAt1k, "hit path: ns for parse, lookup and rewrite in a batch, 1,000 flows", true, 30},
		{HitAt100k, "hit path: ns for parse, lookup and rewrite in a batch, 100,000 flows", true, 40},
		{HitAt1M, "hit path: ns for parse, lookup and rewrite in a batch, 1,000,000 flows", true, 75},
		{FlowMemory, "memory of a session's two flow entries with the sweep's shadow, off the heap, bytes", true, 160},
		{SetUpRate, "new flows per second through the whole slow path, one core", false, 30_000},
		{LatencyToKernel, "latency p99 at half load ÷ the kernel's", true, 2},
	}
}

// Met reports whether a value reaches the goal.
func (g Goal) Met(value float64) bool {
	if g.AtMost {
		return value <= g.Bound
	}
	return value >= g.Bound
}

// String returns the goal's bound, as "≥ 1.3".
func (g Goal) String() string {
	sign := "≥"
	if g.AtMost {
		sign = "≤"
	}
	return fmt.Sprintf("%s %v", sign, g.Bound)
}

// Figures are the values of a goal's rounds, by its key.
type Figures map[string][]float64

// Measure is an entry of latest.json.
type Measure struct {
	Name   string    `json:"name"`
	Value  *float64  `json:"value"` // the median of the rounds; null if nothing was measured
	Goal   string    `json:"goal"`
	Met    bool      `json:"met"`
	Spread []float64 `json:"spread"` // lowest and highest of the rounds
}

// Measures judges figures: an entry for every goal, those that were not
// measured, too.
func Measures(f Figures) []Measure {
	var out []Measure
	for _, g := range Goals() {
		m := Measure{Name: g.Name, Goal: g.String(), Spread: Spread(f[g.Key])}
		if len(f[g.Key]) > 0 {
			v := Median(f[g.Key])
			m.Value, m.Met = &v, g.Met(v)
		}
		out = append(out, m)
	}
	return out
}

// Set notes a goal's values, if there are any.
func (f Figures) Set(key string, values []float64) {
	if len(values) > 0 {
		f[key] = values
	}
}
