package netstack

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"spigate/alg/ftp"
	"spigate/alg/ipsec"
	"spigate/alg/tftp"
	"spigate/netstack/flow"
	"spigate/netstack/frag"
	"spigate/netstack/frame"
	tunnels "spigate/netstack/ipsec"
	"spigate/netstack/keying"
	"spigate/netstack/link"
	"spigate/netstack/lsn"
	"spigate/netstack/vserver"
)

// VLAN is one network on a port: one NIC of its Router's stack.
type VLAN struct {
	ID        frame.Interface // 1 to 255, unique in the Chassis
	Name      string
	Tag       uint16 // 802.1Q id, 0 untagged
	Domain    uint16 // traffic domain: says which Router has it
	Addresses []netip.Prefix
}

// Tunnel is the interface of a policy in interface mode (VR30): a NIC of its
// Router's stack, without a port.
type Tunnel struct {
	ID        frame.Interface // of the numbers that VLANs have, and unique among them
	Name      string
	Addresses []netip.Prefix
	MTU       int // of an inner packet; 0: as long as the way of the sealed one lets it be
}

// Route sends a destination to a neighbour, or into a tunnel. Connected networks
// need none.
type Route struct {
	To     netip.Prefix
	Via    netip.Addr
	Tunnel frame.Interface // in place of Via
}

// RouterConfig is everything that one Router has for itself.
type RouterConfig struct {
	Domain   uint16 // number of the traffic domain
	Routes   []Route
	LSN      lsn.Config               // Rand and limits included; OnGone and Domain are the Router's, OnEvent is told too
	Profiles map[string]ipsec.Profile // IPsec ALG profiles, by name
	ALG      ipsec.Config             // Quota is the Router's
	FTP      ftp.Config
	NATLog   NATLog

	// Listeners are virtual servers, NATs and SNATs with their profiles. Groups
	// and Selfs are the Router's own to fill in.
	Listeners  vserver.Config
	KeepSilent bool // TCP without a connection gets no RST (tm.rejectunmatched false, VR15)

	Tunnels []Tunnel
	Keying  keying.Config  // whom their SAs are negotiated with
	IPsec   tunnels.Config // policies, selectors and manual SAs; its Tunnels name the IDs of ours

	// OwnTCP: the router itself has TCP (ListenTCP). Without it every port is
	// closed, at less cost.
	OwnTCP bool

	MaxConnections int // of virtual servers, NATs and SNATs together; 0: 262144
}

// Config is a Chassis with one Router in it.
type Config struct {
	ChassisConfig
	RouterConfig
}

// Router is one traffic domain: a stack with its own routes, neighbours and
// NAT. It has the methods of the Chassis that it is in; with one Router in it
// there is no need to tell the two apart.
type Router struct {
	*Chassis
	domain     uint16
	events     eventLog
	natlog     atomic.Pointer[NATLog]
	frags      *frag.Table
	wholeIDs   bool // some group has RewriteID
	lsn        *lsn.Table
	alg        *ipsec.ALG
	helpers    helpers
	esp        *tunnels.Database
	keyer      *keying.Keyer
	ends       atomic.Pointer[ends] // nil: no tunnel ends here
	tunnels    []*tunnelNIC
	ports      piecePorts
	sockets    sockets
	tunnelLog  *tunnelLog
	strays     atomic.Int64 // when ESP on an SA that is gone may begin the next negotiation
	panicked   atomic.Int64 // when a panic out of a tunnel was logged
	conns      *vserver.Table
	listening  atomic.Pointer[listening]
	misses     vlanMisses
	rejects    rejects
	lastResets lastResets
	random     func(n uint32) uint32
	bindings   atomic.Pointer[bindings]
	icmpESP    atomic.Uint64 // ICMP errors about ESP that were translated (R63)
	stack      *stack.Stack
	links      []*link.Interface // its own
	connected  []network
	neighbors  *neighbors
	local      map[frame.Addr]bool
	broadcasts map[frame.Addr]frame.Interface // of the connected networks
	paths      []path
	packets    sync.Pool // of *packet
	kept       kept
	refusals   perSubscriber
	syns       pendingSYNs
	later      later
	timers     timers
}

// New builds a Chassis with one Router and returns that.
func New(c Config) (*Router, error) {
	ch, err := NewChassis(c.ChassisConfig, []RouterConfig{c.RouterConfig})
	if err != nil {
		return nil, err
	}
	return ch.routers[0], nil
}

// newRouter makes a Router without interfaces.
func newRouter(ch *Chassis, c RouterConfig) (*Router, error) {
	r := &Router{
		Chassis: ch, domain: c.Domain, events: eventLog{log: ch.log, domain: c.Domain}, tunnelLog: newTunnelLog(),
		local: map[frame.Addr]bool{}, broadcasts: map[frame.Addr]frame.Interface{},
	}
	bound := newBindings(c.LSN.Groups, c.Profiles)
	r.bindings.Store(&bound)
	if r.random = c.LSN.Rand; r.random == nil {
		r.random = rand.Uint32N
	}
	r.natlog.Store(&c.NATLog)
	if err := r.buildTables(c); err != nil {
		return nil, err
	}
	r.newConnections(c.MaxConnections)
	if err := r.buildStack(c); err != nil {
		return nil, err
	}
	if err := r.newTunnels(); err != nil {
		return nil, err
	}
	return r, nil
}

func (r *Router) buildTables(c RouterConfig) (err error) {
	r.wholeIDs = slices.ContainsFunc(c.LSN.Groups, func(g lsn.Group) bool { return g.RewriteID })
	r.frags = frag.New(frag.Config{Drops: r.drops, Rand: c.LSN.Rand, WholeIDs: r.wholeIDs})
	c.ALG.Quota = espQuota{r}
	r.alg = ipsec.New(c.ALG)
	r.helpers = helpers{ikeHelper{r}, ftp.New(c.FTP), tftp.New()}
	c.LSN.Domain = r.domain
	c.LSN.OnGone = func(session uint64) {
		r.flows.RemoveOwner(r.owner(flow.OwnerLSN, session), r.now())
		r.helpers.gone(session)
	}
	c.LSN.OnEvent = r.lsnEvent(c.LSN.OnEvent)
	if r.lsn, err = lsn.New(c.LSN); err != nil {
		return fmt.Errorf("lsn: %w", err)
	}
	r.events.statics(r.lsn.WalkStatic)
	return nil
}

// proxy answers ARP for the NAT addresses, on all interfaces of the Router.
func (r *Router) proxy() {
	var nat []netip.Prefix
	for _, a := range r.lsn.Addresses() {
		nat = append(nat, netip.PrefixFrom(a.Netip(), 32))
	}
	nat = append(nat, r.listening.Load().proxied...)
	r.fabric.SetProxy(nat, r.links)
}

// owner names a session of this Router in the flow table, where the sessions
// of other Routers have the same numbers.
func (r *Router) owner(kind flow.OwnerKind, session uint64) flow.Owner {
	return flow.Owner{Kind: kind, Domain: r.domain, ID: session}
}

// announce tells the networks where our addresses in them and the NAT addresses
// are now, so that neighbours forget whoever had them before: a router that
// this one replaces, say.
func (r *Router) announce() {
	for _, on := range r.connected {
		if i := r.interfaces[on.nic]; i != nil {
			i.Announce(on.addr)
		}
	}
	r.announceNAT(r.lsn.Addresses())
	r.announceNAT(r.translatedAddresses())
}

// announceNAT is announce for NAT addresses alone.
func (r *Router) announceNAT(addrs []frame.Addr) {
	for _, on := range r.connected {
		for _, nat := range addrs {
			if i := r.interfaces[on.nic]; i != nil && on.subnet.Contains(nat.Netip()) {
				i.Announce(nat)
			}
		}
	}
}

// isLocal reports whether a is an address of one of our interfaces.
func (r *Router) isLocal(a frame.Addr) bool { return r.local[a] }
