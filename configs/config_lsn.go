package configs

import (
	"net/netip"
	"time"
)

// LSN holds [lsn.…].
type LSN struct {
	Clients    []*Client
	Pools      []*Pool
	Apps       []*AppsProfile
	Transports []*TransportProfile
	Attributes []*Attributes
	Statics    []*Static
	Groups     []*Group

	LogProfiles []*LogProfile
}

// Client is [lsn.client.NAME]: a set of subscribers.
type Client struct {
	Name     string
	Domain   uint16         // traffic domain
	Networks []netip.Prefix // masked; the longest match decides (R13)
}

// Pool is [lsn.pool.NAME].
type Pool struct {
	Name   string
	Domain uint16      // traffic domain: that of the clients whose groups use it
	Ranges []AddrRange // in order, disjoint
	Type   NATType     // that of every group that uses it
	Blocks bool        // port block allocation (R17); always with Deterministic
	// ReallocTimeout is how long a port rests before it is used again (R25),
	// ReallocQueue how many ports of one address rest at a time.
	ReallocTimeout time.Duration
	ReallocQueue   int
}

// AddrRange is the addresses From to To, both included.
type AddrRange struct{ From, To netip.Addr }

// AppsProfile is [lsn.appsprofile.NAME].
type AppsProfile struct {
	Name      string
	Domain    uint16 // traffic domain of the destination; KeepDomain: that of the client
	Protocol  Protocol
	Pooling   Pooling
	Mapping   Mapping
	Filtering Filtering
	Ports     []PortRange // destination ports; none = all of them
	// Attributes are idle times for some destination ports, narrowest first.
	Attributes []*Attributes
	// InboundRefresh: packets from outside restart idle timers (R21); nil:
	// with FilteringAPDF alone.
	InboundRefresh *bool
	Exempt         bool // its traffic is not translated (R13)
}

// Attributes is [lsn.appsattributes.NAME]: an idle time for some destination
// ports that wins over the transport profile's.
type Attributes struct {
	Name           string
	Protocol       Protocol
	Ports          []PortRange // none = all of them
	SessionTimeout time.Duration
}

// PortRange is the ports First to Last, both included, in host byte order.
type PortRange struct{ First, Last uint16 }

// TransportProfile is [lsn.transportprofile.NAME].
type TransportProfile struct {
	Name           string
	Protocol       Protocol
	SessionTimeout time.Duration
	FinRstTimeout  time.Duration // TCP only
	SynIdleTimeout time.Duration // TCP only
	SynCheck       bool          // TCP only
	StunTimeout    time.Duration // UDP only: sessions to port 3478

	// R20; 0 = no limit. The first two are for each subscriber, the third for
	// the whole group.
	PortQuota         int
	SessionQuota      int
	GroupSessionLimit int

	PreserveParity bool // an even port for an even one (R16)
	PreserveRange  bool // a port below 1024 for one below 1024, or none (R16)
}

// Group is [lsn.group.NAME].
type Group struct {
	Name       string
	Client     *Client
	Pools      []*Pool // at least one
	Apps       []*AppsProfile
	Transports []*TransportProfile // at most one for each protocol
	ALG        *ALGProfile         // nil: no IPsec ALG
	RewriteID  RewriteID           // which IPv4 ids of its subscribers change (R29)
	Type       NATType             // that of all its pools
	Alloc      AllocPolicy         // NATDeterministic only (R18)
	BlockSize  int                 // ports of a block (R17, R18); 0 without blocks
	Preset     Preset              // what keys that are not written mean
	FTP, TFTP  bool                // helpers for these, each by itself (RFC 4787 REQ-10a)
	TrapLimit  int                 // events of one kind told in a minute (R20)
	Exempt     []netip.Prefix      // remotes to which nothing is translated (R13)
	Refusal    Refusal             // what a subscriber at a limit is told (R20)
	AnswerSYN  bool                // an unasked SYN is refused after six seconds (R24)

	Logging        bool        // its mappings or blocks go to the NAT log
	SessionLogging bool        // its sessions too, if Logging
	LogProfile     *LogProfile // nil: none
}

// Static is [lsn.static.NAME]: a mapping that is always there (R27).
type Static struct {
	Name     string
	Domain   uint16   // traffic domain
	Protocol Protocol // ProtocolAll: the whole address
	Inside   Endpoint
	Outside  Endpoint
	Remote   netip.Addr // only this one may use it; invalid: everybody
}

// Endpoint is an address with a port; port 0 stands for every port.
type Endpoint struct {
	Addr netip.Addr
	Port uint16
}
