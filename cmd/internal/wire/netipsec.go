package wire

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math/bits"
	"net/netip"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"spigate/cmd/internal/control"
	"spigate/netstack"
	"spigate/netstack/drop"
	tunnels "spigate/netstack/ipsec"
	"spigate/netstack/ipsec/ike"
	"spigate/netstack/keying"
)

// negotiated is what IKE knows of one Router's tunnels, at one moment.
type negotiated struct {
	peers    []keying.PeerInfo
	views    []ike.View
	peerOf   map[string]string         // by selector
	resting  map[uint32]time.Duration  // inbound SAs that IKE has let go of, by SPI
	children map[uint32]*ike.ChildView // by both SPIs; inbound ones are unique, of outbound ones those of a peer
}

func negotiatedBy(r *netstack.Router) *negotiated {
	n := &negotiated{peers: r.Keying().Peers(), views: r.Keying().View(r.Now()), resting: r.Keying().Lingering(r.Now()), peerOf: map[string]string{}, children: map[uint32]*ike.ChildView{}}
	for _, p := range n.peers {
		for _, s := range p.Selectors {
			n.peerOf[s] = p.Name
		}
	}
	for i := range n.views {
		for j := range n.views[i].Children {
			c := &n.views[i].Children[j]
			n.children[c.In], n.children[c.Out] = c, c
		}
	}
	return n
}

// NetIPsecSAs implements control.NetIPsec.
func (v *views) NetIPsecSAs() (out []control.NetIPsecSA) {
	for _, r := range v.chassis.Routers() {
		n, policies := negotiatedBy(r), r.IPsec().Policies()
		var rows []control.NetIPsecSA
		for _, i := range r.IPsec().List(r.Now()) {
			row := securityAssociation(&i)
			row.TD, row.Policy = r.Domain(), policyOf(policies, i.Selectors)
			n.about(&i, &row)
			rows = append(rows, row)
		}
		sort.Slice(rows, func(i, j int) bool {
			a, b := &rows[i], &rows[j]
			return cmp.Or(strings.Compare(strings.Join(a.Selectors, " "), strings.Join(b.Selectors, " ")),
				-strings.Compare(a.Direction, b.Direction), cmp.Compare(a.Age, b.Age), cmp.Compare(a.SPI, b.SPI)) < 0
		})
		out = append(out, rows...)
	}
	return out
}

// policyOf is the policy of an SA's selectors: they have one in common.
func policyOf(p *tunnels.Policies, selectors []string) string {
	for _, name := range selectors {
		if s, ok := p.Selector(name); ok {
			return s.Policy
		}
	}
	return ""
}

// about adds what IKE knows of an SA.
func (n *negotiated) about(i *tunnels.Info, row *control.NetIPsecSA) {
	if i.Manual || len(i.Selectors) == 0 {
		return
	}
	row.Peer = n.peer(i.Selectors[0])
	c := n.children[i.SPI]
	if c == nil || c.Name != i.Selectors[0] { // IKE has let go of it: it takes what is still under way
		row.State, row.Expires = control.StateDying, planned(max(1, n.resting[i.SPI]))
		return
	}
	if c.State != "up" {
		row.State = control.StateDying
	}
	row.Rekey, row.Expires = planned(c.Rekey), planned(c.End)
}

// planned is a time that is 0 if it will not come.
func planned(d time.Duration) *control.Seconds {
	if d == 0 {
		return nil
	}
	s := control.Seconds(d.Seconds())
	return &s
}

func securityAssociation(i *tunnels.Info) control.NetIPsecSA {
	row := control.NetIPsecSA{
		SPI: control.SPI(i.SPI), Direction: control.DirectionIn, State: control.StateMature, Selectors: i.Selectors, Mode: i.Mode.String(),
		LocalIP: i.Local.Addr.Netip(), RemoteIP: i.Remote.Addr.Netip(), Suite: i.Suite.String(), ESN: i.ESN, Manual: i.Manual,
		Age: control.Seconds(i.Age.Seconds()), Idle: control.Seconds(i.Idle.Seconds()), Packets: i.Packets, Bytes: i.Bytes,
		Sequence: i.Number, Window: uint64(i.Window), Errors: failures(&i.Verdicts), Dummies: i.Verdicts[tunnels.Dummy],
	}
	if i.Outbound {
		row.Direction = control.DirectionOut
	}
	if i.Local.Port != 0 {
		row.LocalPort, row.RemotePort = &i.Local.Port, &i.Remote.Port
	}
	if i.Left >= 0 {
		row.Expires = planned(max(i.Left, 1))
	}
	if hard := i.Lifetime.HardBytes; hard > 0 {
		left := hard - min(hard, i.Bytes)
		row.BytesLeft = &left
	}
	for _, p := range i.Scope {
		row.Traffic = append(row.Traffic, pair(&p))
	}
	return row
}

// failures are the verdicts that end a packet of an SA, by the words of their
// drop reasons.
func failures(n *[tunnels.NumVerdicts]uint64) control.NetIPsecErrors {
	out := control.NetIPsecErrors{}
	for _, v := range []tunnels.Verdict{tunnels.TooBig, tunnels.Fragment, tunnels.Expired, tunnels.Exhausted, tunnels.Malformed, tunnels.Replay, tunnels.ICV,
		tunnels.Padding, tunnels.NextHeader, tunnels.InnerMalformed, tunnels.ECNInvalid, tunnels.SelectorReject} {
		out[verdictWord(v)] = n[v]
	}
	return out
}

// verdictWord is the word of a verdict's drop reason.
func verdictWord(v tunnels.Verdict) string {
	if v == tunnels.TooBig {
		return drop.FrameTooBig.String()
	}
	return v.String()
}

func pair(p *tunnels.Pair) control.NetIPsecPair {
	return control.NetIPsecPair{Local: network(&p.Local), LocalPort: portWords(&p.Local), Remote: network(&p.Remote), RemotePort: portWords(&p.Remote),
		Protocol: protocolWord(p.Proto)}
}

// network is a range of addresses as A/P if it is one, else FIRST-LAST.
func network(r *tunnels.Range) string {
	first, last := binary.BigEndian.Uint32(r.First[:]), binary.BigEndian.Uint32(r.Last[:])
	host := bits.Len32(first ^ last)
	if mask := uint32(1)<<host - 1; first&mask == 0 && last&mask == mask {
		return netip.PrefixFrom(r.First.Netip(), 32-host).String()
	}
	return r.First.Netip().String() + "-" + r.Last.Netip().String()
}

func portWords(r *tunnels.Range) string {
	switch {
	case r.FirstPort == 0 && r.LastPort == 0xffff:
		return "any"
	case r.FirstPort == r.LastPort:
		return strconv.Itoa(int(r.FirstPort))
	}
	return fmt.Sprintf("%d-%d", r.FirstPort, r.LastPort)
}

func protocolWord(proto uint8) string {
	if proto == 0 {
		return "any"
	}
	return control.ProtocolName(proto)
}

// NetIPsecSelectors implements control.NetIPsec.
func (v *views) NetIPsecSelectors() (out []control.NetIPsecSelector) {
	for _, r := range v.chassis.Routers() {
		n, policies := negotiatedBy(r), r.IPsec().Policies()
		for _, i := range r.IPsec().Selectors() {
			row := selector(&i)
			row.TD = r.Domain()
			if q, ok := policies.Policy(i.Policy); ok && i.Action == tunnels.ActProtect {
				mode := q.Mode.String()
				row.Policy, row.Mode, row.State, row.Peer = &q.Name, &mode, n.state(&i), n.peer(i.Name)
				row.Tunnel = present(v.chassis.InterfaceName(policies.Label(q.Name)))
			}
			out = append(out, row)
		}
	}
	return out
}

// peer names who negotiates for a selector, nil if nobody does.
func (n *negotiated) peer(selector string) *string { return present(n.peerOf[selector]) }

// present is a text that may be missing.
func present(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// state tells whether packets of a selector can pass both ways.
func (n *negotiated) state(i *tunnels.SelectorInfo) *string {
	state := control.StateDown
	inbound := slices.ContainsFunc(i.Inbound, func(spi uint32) bool { return i.Manual || n.children[spi] != nil }) // not one that only lingers
	switch {
	case len(i.Outbound) > 0 && inbound:
		state = control.StateUp
	case i.Holds || inbound && !i.Manual || n.negotiating(n.peerOf[i.Name]):
		state = control.StateNegotiating
	}
	return &state
}

// negotiating reports whether an IKE SA with the peer is on its way.
func (n *negotiated) negotiating(peer string) bool {
	return slices.ContainsFunc(n.views, func(v ike.View) bool { return v.Peer == peer && peer != "" && onItsWay(v.State) })
}

// onItsWay reports whether an IKE SA is not up yet.
func onItsWay(state string) bool { return state == "init" || state == "auth" || state == "half open" }

func selector(i *tunnels.SelectorInfo) control.NetIPsecSelector {
	return control.NetIPsecSelector{
		Name: i.Name, Order: i.Order, Source: i.Source.String(), SrcPort: shownPort(i.SourcePort), Dest: i.Destination.String(), DstPort: shownPort(i.DestinationPort),
		Protocol: protocolWord(i.Protocol), Direction: i.Direction.String(), Action: i.Action.String(), Manual: i.Manual,
		SPIsIn: spis(i.Inbound), SPIsOut: spis(i.Outbound), Waits: i.Holds,
		PacketsIn: i.In.Packets, BytesIn: i.In.Bytes, PacketsOut: i.Out.Packets, BytesOut: i.Out.Bytes,
		NoSA: i.NoSA, SelectorReject: i.InClear, Discarded: i.Discarded, Bypassed: i.Bypassed, Errors: failures(&i.Failures),
	}
}

func spis(list []uint32) (out []control.SPI) {
	for _, spi := range list {
		out = append(out, control.SPI(spi))
	}
	return out
}

// NetIPsecStats implements control.NetIPsec.
func (v *views) NetIPsecStats() (out []control.NetIPsecStat) {
	for _, r := range v.chassis.Routers() {
		db, keyer := r.IPsec(), r.Keying()
		t := db.Totals()
		out = append(out, control.NetIPsecStat{
			TD: r.Domain(), SAs: uint64(len(db.List(r.Now()))), Selectors: uint64(len(db.Policies().Selectors())), IKESAs: uint64(len(keyer.View(r.Now()))),
			Out: worded(&t.Sent, "sealed", tunnels.Held, tunnels.NoSA, tunnels.TooBig, tunnels.Fragment, tunnels.InnerMalformed, tunnels.Expired,
				tunnels.Exhausted, tunnels.SelectorDiscard),
			In: worded(&t.Received, "opened", tunnels.NoSA, tunnels.Malformed, tunnels.Replay, tunnels.ICV, tunnels.Padding, tunnels.NextHeader,
				tunnels.InnerMalformed, tunnels.ECNInvalid, tunnels.Dummy, tunnels.SelectorReject, tunnels.Undecided, tunnels.Expired),
			Clear: map[string]uint64{
				"bypassed": t.Asked[tunnels.Clear], "selector_miss": t.Asked[tunnels.SelectorMiss],
				"selector_discard": t.Asked[tunnels.SelectorDiscard], "selector_reject": t.Asked[tunnels.SelectorReject],
			},
			IKE: ikeCounters(keyer),
		})
	}
	return out
}

// worded are some verdicts by their words, and what passed.
func worded(n *[tunnels.NumVerdicts]uint64, passed string, some ...tunnels.Verdict) map[string]uint64 {
	out := map[string]uint64{passed: n[tunnels.Pass]}
	for _, v := range some {
		out[verdictWord(v)] = n[v]
	}
	return out
}

func ikeCounters(k *keying.Keyer) map[string]uint64 {
	c := k.Counters()
	return map[string]uint64{
		"received": c.Received, "sent": c.Sent, "lost": k.Lost(), "malformed": c.Malformed, "unknown": c.Unknown, "bad_integrity": c.BadIntegrity,
		"duplicates": c.Duplicates, "retransmits": c.Retransmits, "cookies_asked": c.CookiesAsked, "half_open_refused": c.HalfOpenRefused,
		"ike_ups": c.IKEUps, "child_ups": c.ChildUps, "ike_rekeys": c.IKERekeys, "child_rekeys": c.ChildRekey, "failures": c.Failures,
	}
}
