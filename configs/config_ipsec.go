package configs

import (
	"crypto/x509"
	"net/netip"
	"time"
)

// IPsec holds [net.ipsec.…]: tunnels that end on the router. Defaults are those
// of table 2.4 of the specification of virtual servers, but where they would be
// weak; reference.toml says where.
type IPsec struct {
	Policies  []*IPsecPolicy
	Selectors []*TrafficSelector
	Manual    []*ManualSA
	Peers     []*IKEPeer
}

// Place is where the table of an object begins, for messages of those who look
// at a checked configuration.
type Place struct{ Line, Col int }

// IPsecPolicy is [net.ipsec.policy.NAME]: the ends of a tunnel, and how it is
// protected. It has a Peer, or manual SAs name it.
type IPsecPolicy struct {
	Name   string
	At     Place
	Domain uint16 // traffic domain: that of VLAN
	Mode   IPsecMode
	Peer   *IKEPeer   // or nil
	Local  netip.Addr // an address of VLAN; invalid: transport mode with manual SAs
	Remote netip.Addr // unspecified: any, where the peer's is; invalid as Local
	VLAN   *VLAN      // by which ESP and IKE come (VR34)

	// What is offered and taken, in order of preference. Auth is for the
	// ciphers that do not authenticate, and empty if there are none of them.
	Encrypt []Cipher
	Auth    []Hash
	PFS     []DHGroup
	ESN     bool

	Lifetime  time.Duration // of an SA; it is replaced before
	Kilobytes int           // of 1024 bytes; 0: no limit
}

// TrafficSelector is [net.ipsec.selector.NAME], written as outbound packets
// look after every rewriting (VR25).
type TrafficSelector struct {
	Name                        string
	At                          Place
	Domain                      uint16 // traffic domain: that of Policy
	Source, Destination         netip.Prefix
	SourcePort, DestinationPort uint16 // host byte order; 0 = any
	Protocol                    IPProtocol
	Direction                   SelectorDirection
	Action                      SelectorAction
	Policy                      *IPsecPolicy // nil unless the action is protect
	Order                       int          // the smaller one is asked first, then the name decides (VR29)
	Up                          bool         // its SAs are negotiated before a packet asks for them
}

// ManualSA is [net.ipsec.manual_sa.NAME]: one direction of a policy without a
// peer (VR36).
type ManualSA struct {
	Name                string
	At                  Place
	Policy              *IPsecPolicy
	Source, Destination netip.Addr // of the outer header; one of them is ours
	Outbound            bool       // Source is ours
	SPI                 uint32
	Encrypt             Cipher
	EncryptKey          Secret // empty for CipherNull
	Auth                Hash
	AuthKey             Secret
}

// IKEPeer is [net.ipsec.peer.NAME]: another IKEv2 daemon.
type IKEPeer struct {
	Name   string
	At     Place
	Remote netip.Addr // unspecified: any; then only it can begin

	Auth        IKEAuth
	PSK         Secret
	MyID        string // "": our address, or with a certificate its subject
	PeerID      string // "": Remote; "any": whoever has a certificate of an authority
	Chain       []*x509.Certificate
	Key         PrivateKey
	Authorities []*x509.Certificate

	// What is offered and taken, in order of preference. Hash is empty if all
	// ciphers authenticate.
	Encrypt []Cipher
	Hash    []Hash
	PRF     []Hash
	Groups  []DHGroup

	Lifetime time.Duration // of the IKE SA; it is replaced before
	DPDDelay time.Duration // 0: never
	NAT      NATTraversal
	Passive  bool // never begins
	Disabled bool // takes no part: its policies have no SAs
	Window   int  // anti-replay, in packets (VR33)
}

// Tunnel is [net.tunnel.NAME]: the interface of a policy in interface mode
// (VR30).
type Tunnel struct {
	Name      string
	At        Place
	Domain    uint16 // traffic domain: that of Policy
	Policy    *IPsecPolicy
	Addresses []netip.Prefix // our addresses with their networks' lengths
	MTU       int            // bytes of IP; 0: none of its own, what the way leaves decides (VR35)
}
