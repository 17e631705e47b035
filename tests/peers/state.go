package peers

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"spigate/tests/netns"
)

// SA is one of the kernel's security associations: one direction of a tunnel.
type SA struct {
	Src, Dst       netip.Addr
	SPI            uint32
	UDP            bool // ESP in UDP
	Bytes, Packets uint64
}

// parseStates reads what `ip -s xfrm state` and `ip xfrm monitor` print, and
// leaves out everything but ESP and SAs that wait for their keys (SPI 0).
func parseStates(out string) []SA {
	var all []SA
	var cur *SA
	counting := false
	for _, line := range strings.Split(out, "\n") {
		w := strings.Fields(line)
		switch {
		case len(w) == 0:
		case !strings.HasPrefix(line, "\t") && !strings.HasPrefix(line, " "):
			cur, counting = newSA(w), false
			if cur != nil {
				all = append(all, *cur)
				cur = &all[len(all)-1]
			}
		case cur == nil:
		case w[0] == "proto" && len(w) > 3 && w[1] == "esp":
			cur.SPI = number(w[3])
		case w[0] == "encap":
			cur.UDP = true
		case strings.HasPrefix(line, "\tlifetime current"):
			counting = true
		case counting && len(w) == 2 && strings.HasSuffix(w[0], "(bytes),"):
			cur.Bytes = count(w[0], "(bytes),")
			cur.Packets = count(w[1], "(packets)")
			counting = false
		}
	}
	live := all[:0]
	for _, sa := range all {
		if sa.SPI != 0 {
			live = append(live, sa)
		}
	}
	return live
}

// newSA reads "src A dst B", anywhere in the line's words: the monitor puts a
// word like "Updated" before it.
func newSA(w []string) *SA {
	for i := range w {
		if w[i] != "src" || len(w) < i+4 || w[i+2] != "dst" {
			continue
		}
		src, err := netip.ParseAddr(w[i+1])
		dst, err2 := netip.ParseAddr(w[i+3])
		if err == nil && err2 == nil {
			return &SA{Src: src, Dst: dst}
		}
	}
	return nil
}

// number reads "0xc123abcd(3240340429)" or without the part in brackets.
func number(s string) uint32 {
	hex, _, _ := strings.Cut(s, "(")
	n, err := strconv.ParseUint(hex, 0, 32)
	if err != nil {
		return 0
	}
	return uint32(n)
}

func count(s, unit string) uint64 {
	n, err := strconv.ParseUint(strings.TrimSuffix(s, unit), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// States returns a host's SAs as they are now.
func (s *Site) States(ctx context.Context, h *Host) ([]SA, error) {
	out, err := s.VM.Exec(ctx, h.Name, "ip -s xfrm state")
	return parseStates(out), err
}

// Refused returns how many packets a host's kernel has dropped since it was
// started because an SA was not there yet, or no longer: of those that came,
// and of those to be sent.
func (s *Site) Refused(ctx context.Context, h *Host) (int, error) {
	out, err := s.VM.Exec(ctx, h.Name, "cat /proc/net/xfrm_stat")
	return parseRefused(out), err
}

func parseRefused(out string) int {
	n := 0
	for _, line := range strings.Split(out, "\n") {
		w := strings.Fields(line)
		if len(w) != 2 {
			continue
		}
		switch w[0] {
		// AcquireError: a packet with the SPI of an SA that waits for its keys.
		case "XfrmInNoStates", "XfrmInStateInvalid", "XfrmAcquireError", "XfrmOutNoStates", "XfrmOutStateInvalid":
			n += int(count(w[1], ""))
		}
	}
	return n
}

// Tunnel is a pair of SAs that both ends have, by the client's directions.
type Tunnel struct {
	In, Out     SA // at the client
	GwIn, GwOut SA // at the gateway: of what the client sends, and of what it gets
}

// Tunnels returns the client's tunnels that are complete at both ends. SAs do
// not say which two belong together; with several the newest inbound one is
// put with the newest outbound one, as the kernel lists the newest first.
func (s *Site) Tunnels(ctx context.Context, h *Host) ([]Tunnel, error) {
	own, err := s.States(ctx, h)
	if err != nil {
		return nil, err
	}
	far, err := s.States(ctx, s.Gateway)
	if err != nil {
		return nil, err
	}
	var in, out [][2]SA
	for _, a := range own {
		for _, b := range far {
			switch {
			case a.SPI != b.SPI:
			case a.Dst == h.Address.Addr() && b.Src == s.Gateway.Address.Addr():
				in = append(in, [2]SA{a, b})
			case a.Src == h.Address.Addr() && b.Dst == s.Gateway.Address.Addr():
				out = append(out, [2]SA{a, b})
			}
		}
	}
	var all []Tunnel
	for i := range min(len(in), len(out)) {
		all = append(all, Tunnel{In: in[i][0], GwOut: in[i][1], Out: out[i][0], GwIn: out[i][1]})
	}
	return all, nil
}

// patience bounds every wait for a daemon: an emulated machine on a loaded host
// may stand still for seconds, and IKE then waits for its retransmission.
const patience = 80 * time.Second

// Await waits until both ends have a tunnel of the client that is not among
// the known ones, by the client's inbound SPI.
func (s *Site) Await(ctx context.Context, h *Host, known ...Tunnel) (Tunnel, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var found Tunnel
	var last error
	err := netns.Poll(ctx, 300*time.Millisecond, func() bool {
		var all []Tunnel
		if all, last = s.Tunnels(ctx, h); last != nil {
			return false
		}
		for _, t := range all {
			if !hasSPI(known, t.In.SPI) && !hasOut(known, t.Out.SPI) {
				found = t
				return true
			}
		}
		return false
	})
	if err != nil {
		return found, fmt.Errorf("%s has no new tunnel: %w (%v)", h.Name, err, last)
	}
	return found, nil
}

func hasSPI(all []Tunnel, spi uint32) bool {
	for _, t := range all {
		if t.In.SPI == spi {
			return true
		}
	}
	return false
}

func hasOut(all []Tunnel, spi uint32) bool {
	for _, t := range all {
		if t.Out.SPI == spi {
			return true
		}
	}
	return false
}
