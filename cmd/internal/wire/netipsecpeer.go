package wire

import (
	"fmt"
	"slices"

	"spigate/cmd/internal/control"
	"spigate/netstack"
	"spigate/netstack/ipsec/ike"
	"spigate/netstack/keying"
)

// NetIPsecPeers implements control.NetIPsec.
func (v *views) NetIPsecPeers() (out []control.NetIPsecPeer) {
	for _, r := range v.chassis.Routers() {
		n, suites := negotiatedBy(r), suitesOf(r)
		for i := range n.peers {
			row := peerRow(&n.peers[i], r.Now())
			row.TD, row.IKESAs = r.Domain(), n.ikeSAs(row.Name, suites)
			row.State = peerState(row.IKESAs)
			out = append(out, row)
		}
	}
	return append(out, v.idlePeers(out)...)
}

// idlePeers are those of the configuration that IKE does not know.
func (v *views) idlePeers(known []control.NetIPsecPeer) (out []control.NetIPsecPeer) {
	c := &v.config.Load().IPsec
	for _, p := range c.Peers {
		if slices.ContainsFunc(known, func(k control.NetIPsecPeer) bool { return control.IsPeer(p.Name, k.Name) }) {
			continue
		}
		row := control.NetIPsecPeer{Name: p.Name, State: control.StateUnused, LocalID: p.MyID, RemoteID: p.PeerID, Passive: p.Passive}
		if !p.Remote.IsUnspecified() {
			row.RemoteIP = control.Addr{Addr: p.Remote}
		}
		if p.Disabled {
			row.State = control.StateDisabled
		}
		for _, q := range c.Policies {
			if q.Peer == p {
				row.TD = q.Domain
			}
		}
		out = append(out, row)
	}
	return out
}

// suitesOf are the ciphers of inbound SAs, by SPI.
func suitesOf(r *netstack.Router) map[uint32]string {
	out := map[uint32]string{}
	for _, i := range r.IPsec().List(r.Now()) {
		if !i.Outbound {
			out[i.SPI] = i.Suite.String()
		}
	}
	return out
}

// ikeSAs are those of a peer.
func (n *negotiated) ikeSAs(peer string, suites map[uint32]string) (out []control.NetIPsecIKE) {
	for i := range n.views {
		if n.views[i].Peer == peer {
			out = append(out, ikeSA(&n.views[i], suites))
		}
	}
	return out
}

func peerRow(p *keying.PeerInfo, now int64) control.NetIPsecPeer {
	row := control.NetIPsecPeer{
		Name: p.Name, LocalIP: control.Addr{Addr: p.Local}, RemoteIP: control.Addr{Addr: p.Remote}, LocalID: p.LocalID, RemoteID: p.RemoteID,
		Passive: p.Passive, Selectors: p.Selectors,
	}
	if f := p.Failure; f != nil {
		row.LastError = &control.NetIPsecLastError{Event: f.Kind.String(), Reason: f.Reason, Remedy: f.Remedy, Ago: ago(now, f.At), Over: f.Over}
		row.LastError.Selector = present(f.Child)
	}
	return row
}

// peerState is the best of a peer's IKE SAs.
func peerState(all []control.NetIPsecIKE) string {
	state := control.StateDown
	for _, i := range all {
		switch {
		case i.State == control.StateUp || i.State == "rekeyed":
			return control.StateUp
		case onItsWay(i.State):
			state = control.StateNegotiating
		}
	}
	return state
}

// ikeSA is a row about an IKE SA; suites are those of inbound SAs.
func ikeSA(v *ike.View, suites map[uint32]string) control.NetIPsecIKE {
	row := control.NetIPsecIKE{
		State: v.State, Role: "responder", SPIi: fmt.Sprintf("%016x", v.SPII), SPIr: fmt.Sprintf("%016x", v.SPIR),
		LocalIP: v.Local.Addr(), LocalPort: v.Local.Port(), RemoteIP: v.Remote.Addr(), RemotePort: v.Remote.Port(),
		NATHere: v.NATHere, NATThere: v.NATThere, Age: control.Seconds(v.Age.Seconds()), Quiet: control.Seconds(v.Quiet.Seconds()),
		Rekey: planned(v.Rekey), Expires: planned(v.End),
	}
	if v.Initiator {
		row.Role = "initiator"
	}
	row.Identity, row.Suite = present(v.Identity), present(v.Suite)
	for i := range v.Children {
		c := &v.Children[i]
		row.Children = append(row.Children, control.NetIPsecChild{
			Selector: c.Name, State: c.State, SPIIn: control.SPI(c.In), SPIOut: control.SPI(c.Out), Suite: suites[c.In], UDP: c.UDP,
			Rekey: planned(c.Rekey), Expires: planned(c.End),
		})
	}
	return row
}

// FlushNetIPsec implements control.NetIPsec.
func (v *views) FlushNetIPsec(f control.Filter) (all control.NetIPsecAsked, err error) {
	if f.Selector != "" {
		f.Name = f.Selector
		return v.askSelector(f, (*keying.Keyer).TerminateChild)
	}
	f.Name = f.Peer
	return v.askPeers(f, (*keying.Keyer).Terminate)
}

// RekeyNetIPsecPeer implements control.NetIPsec.
func (v *views) RekeyNetIPsecPeer(f control.Filter) (control.NetIPsecAsked, error) {
	return v.askPeers(f, (*keying.Keyer).Rekey)
}

// RekeyNetIPsecSelector implements control.NetIPsec.
func (v *views) RekeyNetIPsecSelector(f control.Filter) (control.NetIPsecAsked, error) {
	return v.askSelector(f, (*keying.Keyer).RekeyChild)
}

// InitiateNetIPsec implements control.NetIPsec.
func (v *views) InitiateNetIPsec(f control.Filter) (control.NetIPsecAsked, error) {
	return v.askSelector(f, (*keying.Keyer).Initiate)
}

// askPeers passes an operator's word on about the peer that f names, or all.
func (v *views) askPeers(f control.Filter, do func(*keying.Keyer, string) error) (all control.NetIPsecAsked, err error) {
	for _, r := range v.routers(f) {
		for _, p := range r.Keying().Peers() {
			if !control.IsPeer(f.Name, p.Name) {
				continue
			}
			if err := refused(r, p.Name, do); err != nil {
				return all, err
			}
			all.Peers = append(all.Peers, p.Name)
		}
	}
	return all, nil
}

// askSelector does so about the selector that f names.
func (v *views) askSelector(f control.Filter, do func(*keying.Keyer, string) error) (all control.NetIPsecAsked, err error) {
	for _, r := range v.routers(f) {
		if _, ok := r.IPsec().Policies().Selector(f.Name); !ok {
			continue
		}
		if err := refused(r, f.Name, do); err != nil {
			return all, err
		}
		all.Selectors = append(all.Selectors, f.Name)
	}
	return all, nil
}

// refused is why IKE does not take an operator's word.
func refused(r *netstack.Router, name string, do func(*keying.Keyer, string) error) error {
	err := r.AskKeying(func(k *keying.Keyer) error { return do(k, name) })
	if err != nil {
		return &control.Error{Message: err.Error(), Code: control.CodeBadRequest}
	}
	return nil
}
