package main

import (
	"context"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"spigate/cmd/internal/control"
)

func (s *shower) netIPsecPeer() *cobra.Command {
	var all bool
	cmd := command(s, view[control.NetIPsecPeer]{
		noun: "peer", aliases: []string{"ike-peer", "ike-sa"}, short: "IKE peers, their IKE SAs, and what failed last", named: true,
		examples: []string{"show net ipsec peer", "show net ipsec peer gw2 --all-properties"},
		long: "IKE peers with their IKE SAs: one row for each, or one without if there is none.\n" +
			"Identity is what the other end proved to be. NAT tells at which end one was\n" +
			"found. Rekey is until the IKE SA is replaced, Quiet since its last message.\n" +
			"Children are the selectors that have SAs by it. Below stands what failed last\n" +
			"with a peer and what to do about it, unless it has worked since. With\n" +
			"--all-properties everything, one IKE SA after the other, also what is over.",
		filters: control.FiltersOfObjects(),
		ask: func(c *control.Client, ctx context.Context, f control.Filter) iter.Seq2[control.NetIPsecPeer, error] {
			return noteIfNone(s, c, ctx, c.NetIPsecPeers(ctx, f))
		},
		print: func(w io.Writer, bold bool, rows iter.Seq2[control.NetIPsecPeer, error]) error {
			if all {
				return printPeerPages(w, rows)
			}
			return printPeers(w, bold, rows)
		},
	})
	everything(cmd, &all)
	return cmd
}

// printPeers prints a row for each IKE SA and below the table what failed,
// which is too long for a column.
func printPeers(w io.Writer, bold bool, rows iter.Seq2[control.NetIPsecPeer, error]) error {
	var failed []control.NetIPsecPeer
	lines := func(yield func([]string, error) bool) {
		for r, err := range rows {
			if err != nil {
				yield(nil, err)
				return
			}
			if r.LastError != nil && !r.LastError.Over {
				failed = append(failed, r)
			}
			for _, line := range peerLines(&r) {
				if !yield(line, nil) {
					return
				}
			}
		}
	}
	header := []string{"Peer", "State", "Role", "Local", "Remote", "Identity", "Suite", "NAT", "Age", "Rekey", "Quiet", "TD", "Children"}
	if err := rowsOf(header, func(cells []string) []string { return cells })(w, bold, lines); err != nil {
		return err
	}
	for i := range failed {
		if _, err := io.WriteString(w, "\n"+failureWords(&failed[i])); err != nil {
			return err
		}
	}
	return nil
}

func peerLines(r *control.NetIPsecPeer) (lines [][]string) {
	if len(r.IKESAs) == 0 {
		remote := r.RemoteIP.String()
		if !r.RemoteIP.IsValid() {
			remote = "any"
		}
		return [][]string{{r.Name, r.State, "-", r.LocalIP.String(), remote, "-", "-", "-", "-", "-", "-", number(r.TD), "-"}}
	}
	for _, i := range r.IKESAs {
		var children []string
		for _, c := range i.Children {
			if !slices.Contains(children, c.Selector) { // there are two while one is replaced
				children = append(children, c.Selector)
			}
		}
		lines = append(lines, []string{r.Name, i.State, i.Role, endpoint(i.LocalIP, &i.LocalPort), endpoint(i.RemoteIP, &i.RemotePort),
			or(i.Identity, "-"), or(i.Suite, "-"), natWords(&i), i.Age.String(), orDash(i.Rekey), i.Quiet.String(), number(r.TD), strings.Join(children, ",")})
	}
	return lines
}

func natWords(i *control.NetIPsecIKE) string {
	switch {
	case i.NATHere && i.NATThere:
		return "both"
	case i.NATHere:
		return "here"
	case i.NATThere:
		return "there"
	}
	return "none"
}

// orDash prints a time that is not planned as "-".
func orDash(s *control.Seconds) string {
	if s == nil {
		return "-"
	}
	return s.String()
}

func failureWords(r *control.NetIPsecPeer) string {
	e := r.LastError
	about, over := "", ""
	if e.Selector != nil {
		about = ", selector " + printable(*e.Selector)
	}
	if e.Over {
		over = " (has worked since)"
	}
	text := fmt.Sprintf("%s%s: %s %s ago%s: %s\n", printable(r.Name), about, e.Event, e.Ago, over, printable(e.Reason))
	if e.Remedy != "" {
		text += "  To do: " + printable(e.Remedy) + "\n"
	}
	return text
}

// printPeerPages prints peers and their IKE SAs as tmsh does with
// all-properties, and what it does not have.
func printPeerPages(w io.Writer, rows iter.Seq2[control.NetIPsecPeer, error]) error {
	p, n := &page{}, 0
	p.WriteString("IKE::SecurityAssociations\n")
	for r, err := range rows {
		if err != nil {
			return err
		}
		n += len(r.IKESAs)
		p.peer(&r)
		if _, err := io.WriteString(w, p.String()); err != nil {
			return err
		}
		p.Reset()
	}
	fmt.Fprintf(p, "Total records returned: %d\n", n)
	_, err := io.WriteString(w, p.String())
	return err
}

func (p *page) peer(r *control.NetIPsecPeer) {
	remote := r.RemoteIP.String()
	if !r.RemoteIP.IsValid() {
		remote = "any"
	}
	fmt.Fprintf(p, "%s: %s -> %s\n%s\n", printable(r.Name), r.LocalIP, remote, strings.Repeat("-", pageWidth))
	p.pairs("State", r.State, "Version", "v2", "Passive", yes(r.Passive), "Traffic Domain", number(r.TD))
	p.pairs("My ID", r.LocalID, "Peer's ID", r.RemoteID)
	p.pairs("Selectors", strings.Join(r.Selectors, ", "))
	if r.LastError != nil {
		p.WriteString("  Last error: " + strings.ReplaceAll(failureWords(r), "\n  ", "\n    "))
	}
	for i := range r.IKESAs {
		p.ike(&r.IKESAs[i])
	}
}

func (p *page) ike(i *control.NetIPsecIKE) {
	fmt.Fprintf(p, "  %s/%d -> %s/%d\n", i.LocalIP, i.LocalPort, i.RemoteIP, i.RemotePort)
	p.WriteString("  ")
	p.pairs("State", i.State, "Role", i.Role, "NAT", natWords(i))
	p.WriteString("  ")
	p.pairs("Initiator SPI", i.SPIi, "Responder SPI", i.SPIr)
	p.WriteString("  ")
	p.pairs("Identity", or(i.Identity, "-"), "Suite", or(i.Suite, "-"))
	p.WriteString("  ")
	p.pairs("Create", i.Age.String()+" ago", "Rekey", orDash(i.Rekey), "Lifetime", orNever(i.Expires), "Last message", i.Quiet.String()+" ago")
	for _, c := range i.Children {
		encapsulation := "esp"
		if c.UDP {
			encapsulation = "esp in udp"
		}
		p.WriteString("  ")
		p.pairs("Child", c.Selector, "State", c.State, "SPI in", c.SPIIn.String(), "SPI out", c.SPIOut.String(), "Protocol", encapsulation)
		p.WriteString("    ")
		p.pairs("Suite", c.Suite, "Rekey", orDash(c.Rekey), "Lifetime", orNever(c.Expires))
	}
}

func (s *shower) netIPsecStat() *cobra.Command {
	var all bool
	cmd := command(s, view[control.NetIPsecStat]{
		noun: "stat", aliases: []string{"ipsec-stat"}, short: "Counters of all tunnels together",
		examples: []string{"show net ipsec stat", "show net ipsec stat --json"},
		long: "What the tunnels of each traffic domain have counted since the daemon began:\n" +
			"packets that were to be sealed (out) or opened (in), what selectors said of\n" +
			"packets without ESP (clear), and IKE. The words of drop reasons are explained by\n" +
			"\"show drops --all\". Counters at zero are left out, unless --all is given.",
		filters: control.FiltersOfObjects(),
		ask:     (*control.Client).NetIPsecStats,
		print: func(w io.Writer, bold bool, rows iter.Seq2[control.NetIPsecStat, error]) error {
			return printTunnelStats(w, bold, rows, all)
		},
	})
	cmd.Flags().BoolVar(&all, "all", false, "also counters that are zero")
	return cmd
}

func printTunnelStats(w io.Writer, bold bool, rows iter.Seq2[control.NetIPsecStat, error], all bool) error {
	lines := func(yield func([]string, error) bool) {
		for r, err := range rows {
			if err != nil {
				yield(nil, err)
				return
			}
			for _, l := range tunnelLines(&r) {
				if (all || l.value != "0") && !yield([]string{number(r.TD), l.name, l.value, l.counts}, nil) {
					return
				}
			}
		}
	}
	return rowsOf([]string{"TD", "Counter", "Value", "Counts"}, func(cells []string) []string { return cells })(w, bold, lines)
}

func tunnelLines(r *control.NetIPsecStat) []statLine {
	lines := []statLine{
		{"sas", number(r.SAs), "SAs now, one for each direction"},
		{"selectors", number(r.Selectors), "traffic selectors now"},
		{"ike_sas", number(r.IKESAs), "IKE SAs now"},
	}
	for _, group := range []struct {
		name     string
		counters map[string]uint64
	}{{"out", r.Out}, {"in", r.In}, {"clear", r.Clear}, {"ike", r.IKE}} {
		for _, word := range slices.Sorted(maps.Keys(group.counters)) {
			name := group.name + "." + word
			lines = append(lines, statLine{name, number(group.counters[word]), tunnelCounts(name)})
		}
	}
	return lines
}

// tunnelCounts says of what a counter is.
func tunnelCounts(name string) string {
	return map[string]string{
		"out.sealed":             "packets sealed",
		"out.held":               "packets that waited for an SA",
		"out.no_sa":              "packets lost because there was none yet",
		"out.frame_too_big":      "packets too long for the way once sealed: their senders were told (ICMP 3/4)",
		"out.fragment":           "fragments, which transport mode cannot seal",
		"out.inner_malformed":    "packets that are no IPv4",
		"out.sa_expired":         "packets of SAs at the end of their lifetime",
		"out.seq_exhausted":      "packets of SAs without a sequence number left, sa_expired in \"show drops\"",
		"out.selector_discard":   "packets of a selector that came to protect nothing",
		"in.opened":              "packets opened and let in",
		"in.no_sa":               "packets with an SPI of nobody",
		"in.esp_malformed":       "ESP that is too short, or whose length cannot be",
		"in.replay":              "packets whose number was seen before, or is behind the window",
		"in.icv":                 "forged or damaged packets, or the peer has other keys",
		"in.esp_padding":         "authentic packets whose padding is not 1, 2, 3, …",
		"in.esp_next_header":     "authentic packets with something else than IPv4 in a tunnel",
		"in.inner_malformed":     "authentic packets with a broken one inside",
		"in.ecn_invalid":         "packets marked for congestion whose inside cannot be (RFC 6040)",
		"in.esp_dummy":           "dummy packets, which only hide traffic",
		"in.selector_reject":     "authentic packets that are not what their SA is for",
		"in.undecided":           "later fragments of SAs that name ports: their datagram decides",
		"in.sa_expired":          "packets of SAs at the end of their lifetime",
		"clear.bypassed":         "packets that a selector of action bypass let through",
		"clear.selector_miss":    "packets that needed protection, and no selector is for them",
		"clear.selector_discard": "packets that a selector of action discard took away",
		"clear.selector_reject":  "packets that came in clear and should have been protected",
		"ike.received":           "datagrams from peers, or from anybody",
		"ike.sent":               "datagrams sent",
		"ike.lost":               "datagrams that found the queue full",
		"ike.malformed":          "messages that cannot be read",
		"ike.unknown":            "messages of no IKE SA that is there",
		"ike.bad_integrity":      "forged messages, or of an IKE SA that was",
		"ike.duplicates":         "requests that came again",
		"ike.retransmits":        "requests of our own that were sent again",
		"ike.cookies_asked":      "beginnings that were asked for a cookie, because of their number",
		"ike.half_open_refused":  "beginnings refused: too many were half open",
		"ike.ike_ups":            "IKE SAs that came up",
		"ike.child_ups":          "pairs of SAs that came up",
		"ike.ike_rekeys":         "IKE SAs that took over from another",
		"ike.child_rekeys":       "pairs of SAs that took over from others",
		"ike.failures":           "IKE SAs and pairs that did not come up: see \"show net ipsec peer\"",
	}[name]
}
