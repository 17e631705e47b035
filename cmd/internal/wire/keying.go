package wire

import (
	"crypto/x509"
	"fmt"
	"net/netip"
	"slices"

	"spigate/configs"
	"spigate/netstack/ipsec/ike"
	"spigate/netstack/keying"
)

// keyingConfig translates whom the policies of a traffic domain negotiate with.
// A peer of policies at several addresses of ours is several to IKE, which have
// the address in their names.
func keyingConfig(c *configs.Config, domain uint16) keying.Config {
	out := keying.Config{Limits: map[string]keying.Limits{}}
	for _, p := range c.IPsec.Peers {
		if p.Disabled {
			continue
		}
		var several []ike.Peer
		for _, q := range c.IPsec.Policies {
			if q.Peer == p && q.Domain == domain {
				several = negotiate(several, c, q, out.Limits)
			}
		}
		for i := range several {
			if len(several) > 1 {
				several[i].Name += "/" + several[i].Local.String() // no name of the file has a slash
			}
		}
		out.Peers = append(out.Peers, several...)
	}
	return out
}

// negotiate adds what a policy needs to its peer at its local address.
func negotiate(several []ike.Peer, c *configs.Config, q *configs.IPsecPolicy, limits map[string]keying.Limits) []ike.Peer {
	i := slices.IndexFunc(several, func(p ike.Peer) bool { return p.Local == q.Local })
	if i < 0 {
		several, i = append(several, ikePeer(q.Peer, q.Local)), len(several)
	}
	for _, k := range children(c, q) {
		several[i].Children = append(several[i].Children, k)
		limits[k.Name] = keying.Limits{Window: q.Peer.Window, Bytes: uint64(q.Kilobytes) * 1024}
	}
	return several
}

func ikePeer(p *configs.IKEPeer, local netip.Addr) ike.Peer {
	out := ike.Peer{
		Name: p.Name, Local: local, Remote: p.Remote, Proposals: ikeProposals(p), NATTraversal: ike.NATTraversal(p.NAT),
		Passive: p.Passive, DPDDelay: p.DPDDelay, Lifetime: p.Lifetime,
		LocalID: identity(p.MyID), RemoteID: identity(p.PeerID),
		LocalAuth: ike.PSK, RemoteAuth: ike.PSK, Secret: p.PSK.Octets(),
	}
	if p.DPDDelay == 0 {
		out.DPDDelay = -1 // never; 0 would be the default
	}
	if p.Auth == configs.AuthCertificate {
		out.LocalAuth, out.RemoteAuth = ike.Certificate, ike.Certificate
		out.Chain, out.Key, out.Authorities = p.Chain, p.Key.Signer(), p.Authorities
	}
	if p.MyID == "" {
		out.LocalID = identity(local.String())
		if len(p.Chain) > 0 {
			out.LocalID = subject(p.Chain[0])
		}
	}
	if p.PeerID == "" {
		out.RemoteID = identity(p.Remote.String())
	}
	return out
}

// identity reads what the check of the file has found to be one.
func identity(text string) ike.Identity {
	if text == "any" {
		return ike.Identity{}
	}
	id, err := ike.ParseIdentity(text)
	if err != nil {
		return ike.Identity{} // keying.Check has a word for it
	}
	return id
}

// subject is who a certificate is for: its distinguished name, or if that is
// empty, as authorities like it today, its first other name.
func subject(c *x509.Certificate) ike.Identity {
	switch {
	case len(c.Subject.Names) > 0:
	case len(c.DNSNames) > 0:
		return ike.Identity{Kind: ike.IDFQDN, Data: c.DNSNames[0]}
	case len(c.EmailAddresses) > 0:
		return ike.Identity{Kind: ike.IDRFC822, Data: c.EmailAddresses[0]}
	case len(c.IPAddresses) > 0:
		return identity(c.IPAddresses[0].String())
	}
	return ike.Identity{Kind: ike.IDDN, Data: string(c.RawSubject)}
}

// children are what a policy has its SAs for: its selectors, and for a tunnel
// without any, everything.
func children(c *configs.Config, q *configs.IPsecPolicy) (out []ike.Child) {
	for _, s := range c.IPsec.Selectors {
		if s.Policy == q {
			out = append(out, ike.Child{
				Name: s.Name, Up: s.Up,
				Local:  []ike.Selector{side(s.Source, s.SourcePort, s.Protocol)},
				Remote: []ike.Selector{side(s.Destination, s.DestinationPort, s.Protocol)},
			})
		}
	}
	for _, t := range c.Tunnels {
		if t.Policy == q && len(out) == 0 {
			all := []ike.Selector{side(everywhere(), 0, 0)}
			out = append(out, ike.Child{Name: t.Name, Local: all, Remote: all})
		}
	}
	for i := range out {
		out[i].Proposals, out[i].Lifetime = espProposals(q), q.Lifetime
		if q.Mode == configs.ModeTransport {
			out[i].Mode = ike.Transport
		}
	}
	return out
}

func side(p netip.Prefix, port uint16, protocol configs.IPProtocol) ike.Selector {
	s := ike.PrefixSelector(p)
	s.Protocol = uint8(protocol)
	if port != 0 {
		s.PortFrom, s.PortTo = port, port
	}
	return s
}

// proposals makes one of each run of ciphers that authenticate, or that do not:
// the two cannot stand in one (RFC 7296 section 3.3), and their order is kept.
func proposals(ciphers []configs.Cipher, hashes []configs.Hash, base ike.Proposal) (out []ike.Proposal) {
	for i, c := range ciphers {
		if i == 0 || c.Authenticates() != ciphers[i-1].Authenticates() {
			p := base
			if !c.Authenticates() {
				p.Integrity = integrity(hashes)
			}
			out = append(out, p)
		}
		last := &out[len(out)-1]
		last.Ciphers = append(last.Ciphers, ike.AESGCM128+ike.Cipher(c-configs.CipherAESGCM128))
	}
	return out
}

func integrity(hashes []configs.Hash) (out []ike.Integrity) {
	for _, h := range hashes {
		out = append(out, ike.HMACSHA256+ike.Integrity(h-configs.SHA256))
	}
	return out
}

func ikeProposals(p *configs.IKEPeer) []ike.Proposal {
	base := ike.Proposal{Groups: groups(p.Groups)}
	for _, h := range p.PRF {
		base.PRFs = append(base.PRFs, ike.PRFSHA256+ike.PRF(h-configs.SHA256))
	}
	return proposals(p.Encrypt, p.Hash, base)
}

func espProposals(q *configs.IPsecPolicy) []ike.Proposal {
	return proposals(q.Encrypt, q.Auth, ike.Proposal{Groups: groups(q.PFS), ESN: q.ESN})
}

func groups(list []configs.DHGroup) (out []ike.Group) {
	for _, g := range list {
		out = append(out, map[configs.DHGroup]ike.Group{
			configs.GroupNone: ike.NoGroup, configs.GroupMODP2048: ike.MODP2048, configs.GroupMODP3072: ike.MODP3072,
			configs.GroupMODP4096: ike.MODP4096, configs.GroupECP256: ike.ECP256, configs.GroupECP384: ike.ECP384, configs.GroupX25519: ike.X25519,
		}[g])
	}
	return out
}

// checkPeers gives IKE each peer alone, so that what it refuses has a place.
func checkPeers(c *configs.Config, domain uint16) (faults []error) {
	k := keyingConfig(c, domain)
	for _, p := range c.IPsec.Peers {
		for i := range k.Peers {
			if name := k.Peers[i].Name; name != p.Name && name != p.Name+"/"+k.Peers[i].Local.String() {
				continue
			}
			if err := keying.Check(keying.Config{Peers: k.Peers[i : i+1]}); err != nil {
				faults = append(faults, configs.Fault{File: c.File, Line: p.At.Line, Col: p.At.Col, Path: "net.ipsec.peer." + p.Name, Text: fmt.Sprint(err)})
			}
		}
	}
	if err := keying.Check(k); err != nil && len(faults) == 0 {
		faults = append(faults, configs.Fault{File: c.File, Line: 1, Col: 1, Path: "net.ipsec", Text: fmt.Sprint(err)})
	}
	return faults
}
