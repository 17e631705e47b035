package lsn

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"spigate/netstack/frame"
)

// DefaultMaxSessions is the bound on sessions if none is configured.
const DefaultMaxSessions = 1 << 18

// MaxGroupPools is the greatest number of pools of one group, as on a
// NetScaler.
const MaxGroupPools = 16

// Config is what a Table is made of. Names refer to each other as in the
// configuration file.
type Config struct {
	Clients []Client
	Pools   []Pool
	Groups  []Group
	Statics []Static

	Domain      uint16 // traffic domain, for display and the journal
	MaxSessions int    // 0: DefaultMaxSessions
	// Rand returns a number in [0, n). It is called from several goroutines at
	// once and under locks. nil: math/rand/v2, which is seeded at random.
	Rand func(n uint32) uint32
	// OnGone is told the identifier of every session that ends, however it
	// ends, so that its flows can be removed. No lock is held. It may be nil.
	OnGone func(session uint64)
	// OnEvent is told what happened, in order within one call of the Table. No
	// lock is held; it must not block. nil: nobody listens.
	OnEvent func(Event)
}

// Group ties a client to pools and profiles. The exported fields are
// configuration and are not changed after New.
type Group struct {
	Name       string
	Client     string   // one group for each client
	Pools      []string // at most MaxGroupPools
	Apps       []AppProfile
	Transports []TransportProfile
	// ALGProfile names the IPsec ALG profile; "" means no ALG.
	ALGProfile string
	// FTP and TFTP turn on those helpers (alg/ftp, alg/tftp). The router asks.
	FTP, TFTP bool
	Type      NATType     // must be that of its pools
	Alloc     AllocPolicy // of a deterministic group
	// BlockSize is how many ports a subscriber gets at a time, 256 to 65536;
	// see MinBlockSize for the sizes that divide an address without rest. 0 in
	// a dynamic group means no blocks: its pools must have none either. 0 in a
	// deterministic group means DefaultBlockSize.
	BlockSize int
	// PairingHold is how long a subscriber keeps its NAT address after its
	// last paired mapping has ended (R15). SetPairingHold changes it.
	PairingHold time.Duration
	// RewriteID asks for an IPv4 id of our own in each of its subscribers'
	// packets that has DF clear, not in pieces only (R29). The router does it.
	RewriteID bool
	// Exempt are destinations to which the group's subscribers are routed
	// untranslated, and which reach them likewise (R13, RFC 6888 REQ-6).
	Exempt []netip.Prefix
	// TrapLimit is how many events QuotaExceeded, PortsExhausted and
	// AddressesExhausted the group makes in a minute (R20): 0 means
	// DefaultTrapLimit, NoTraps none.
	TrapLimit int
	// OnRefusal is what a subscriber is told whose packet is refused because of
	// a quota or for want of a port (R20).
	OnRefusal Refusal
	// SilentSYN leaves a SYN from outside unanswered that nobody asked for,
	// instead of refusing it after six seconds (R24). It holds for all that
	// share a NAT address.
	SilentSYN bool

	hold     *atomic.Int64 // PairingHold as it is now
	index    uint16
	paused   *atomic.Bool // nothing new, while Reload moves it to other addresses
	addrs    []uint32     // of its pools, indices into settings.addrs
	sorted   []uint32     // the same, ascending
	addrList []frame.Addr
	dealing  *dealing // of a deterministic group
	choices  [numProtocols][]choice

	transports [numProtocols]TransportProfile // the one for each protocol
	exempt     networks
	tally      *tally
	staticAny  [numProtocols]*rules // of static mappings, for every remote; nil: it has none
	staticOne  [numProtocols]*rules // the same for one remote
}

// New makes a table. It returns all faults of the configuration at once.
func New(c Config) (*Table, error) {
	t := &Table{
		domain:  c.Domain,
		limit:   int64(c.MaxSessions),
		rand:    c.Rand,
		onGone:  c.OnGone,
		onEvent: c.OnEvent,
	}
	if t.limit == 0 {
		t.limit = DefaultMaxSessions
	}
	if t.rand == nil {
		t.rand = rand.Uint32N
	}
	if t.onGone == nil {
		t.onGone = func(uint64) {}
	}
	var faults []error
	if t.limit < 0 || t.limit >= 1<<slotBits {
		faults = append(faults, fmt.Errorf("max sessions: %d is not in 0 to %d", c.MaxSessions, 1<<slotBits-1))
	}
	set, err := newSettings(c)
	if err := errors.Join(append(faults, err)...); err != nil {
		return nil, err
	}
	t.settings.Store(set)
	t.makeShards()
	return t, nil
}

func (set *settings) addPools(pools []Pool) (map[string][]uint32, error) {
	var faults []error
	out := map[string][]uint32{}
	for i, p := range pools {
		set.poolNames = append(set.poolNames, p.Name)
		if _, twice := out[p.Name]; twice {
			faults = append(faults, fmt.Errorf("pool %q: defined twice", p.Name))
			continue
		}
		addrs, err := set.addPool(i, p)
		out[p.Name] = addrs
		faults = append(faults, err)
	}
	return out, errors.Join(faults...)
}

func (set *settings) addGroups(c Config, pools map[string][]uint32) error {
	var faults []error
	names, owner := map[string]bool{}, map[string]string{}
	for i := range c.Groups {
		g := new(Group)
		*g = c.Groups[i]
		g.index = uint16(i)
		g.hold = new(atomic.Int64)
		g.hold.Store(int64(g.PairingHold))
		g.tally, g.paused = new(tally), new(atomic.Bool)
		g.exempt = newNetworks(g.Exempt)
		set.groups = append(set.groups, g)
		faulty := func(err error) {
			if err != nil {
				faults = append(faults, fmt.Errorf("group %q: %w", g.Name, err))
			}
		}
		if names[g.Name] {
			faulty(errors.New("defined twice"))
		}
		names[g.Name] = true
		if other, taken := owner[g.Client]; taken {
			faulty(fmt.Errorf("client %q already belongs to group %q", g.Client, other))
		}
		owner[g.Client] = g.Name
		faulty(set.addClient(c.Clients, g))
		if g.Type == Deterministic && g.BlockSize == 0 {
			g.BlockSize = DefaultBlockSize
		}
		faulty(g.check())
		faulty(set.bindPools(c.Pools, pools, g))
		faulty(set.deal(c.Clients, g))
		faulty(set.buildRules(g))
		faulty(g.checkPolicy())
		if g.PairingHold < 0 {
			faulty(errors.New("pairing hold is negative"))
		}
	}
	if len(c.Groups) > 1<<16 {
		faults = append(faults, errors.New("more than 65536 groups"))
	}
	return errors.Join(faults...)
}

func (set *settings) addClient(all []Client, g *Group) error {
	i := slices.IndexFunc(all, func(c Client) bool { return c.Name == g.Client })
	if i < 0 {
		return fmt.Errorf("client %q does not exist", g.Client)
	}
	return set.clients.add(all[i], g)
}

func (set *settings) bindPools(all []Pool, pools map[string][]uint32, g *Group) error {
	if len(g.Pools) > MaxGroupPools {
		return fmt.Errorf("%d pools, at most %d are possible", len(g.Pools), MaxGroupPools)
	}
	for i, name := range g.Pools {
		addrs, ok := pools[name]
		if !ok {
			return fmt.Errorf("pool %q does not exist", name)
		}
		if slices.Contains(g.Pools[:i], name) {
			return fmt.Errorf("pool %q is bound twice", name)
		}
		p := slices.IndexFunc(all, func(p Pool) bool { return p.Name == name })
		if err := g.checkPool(&all[p], set.users(name, g)); err != nil {
			return err
		}
		g.addrs = append(g.addrs, addrs...)
	}
	if len(g.addrs) == 0 {
		return errors.New("no NAT address: bind a pool")
	}
	for _, a := range g.addrs {
		g.addrList = append(g.addrList, set.addrList[a])
	}
	return set.cut(g)
}

// users returns the other groups so far that use a pool.
func (set *settings) users(pool string, g *Group) (out []*Group) {
	for _, other := range set.groups {
		if other != g && slices.Contains(other.Pools, pool) {
			out = append(out, other)
		}
	}
	return out
}
