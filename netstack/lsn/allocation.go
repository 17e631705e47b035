package lsn

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// NATType says how a subscriber comes to its ports.
type NATType uint8

// The zero value is NetScaler's default.
const (
	Dynamic       NATType = iota // drawn when they are needed
	Deterministic                // computed from the subscriber's address (R18, RFC 7422)
)

// AllocPolicy is the order in which deterministic NAT deals out blocks: think
// of a table with a row for each NAT address and a column for each block.
type AllocPolicy uint8

// The zero value is NetScaler's default.
const (
	ByPorts     AllocPolicy = iota // PORTS: row by row, all blocks of one address first
	ByAddresses                    // IPADDRS: column by column, the first block of every address first
)

func (n NATType) String() string     { return word(n, "DYNAMIC", "DETERMINISTIC") }
func (p AllocPolicy) String() string { return word(p, "PORTS", "IPADDRS") }

// The bounds of table 1.1. Blocks are cut from ports 1024 to 65535, 64512 in
// all, from the lowest on; what is left over behind the last whole block is
// never used. Sizes that leave nothing over are 256 (252 blocks), 512 (126),
// 768 (84), 1024 (63), 1536 (42), 2048 (31.5: 1024 ports are lost), 3072 (21),
// 4608 (14), 7168 (9), 10752 (6), 16128 (4), 21504 (3), 32256 (2) and 64512.
const (
	MinBlockSize     = 256
	MaxBlockSize     = 65536 // NetScaler's bound; above 64512 no block fits an address
	DefaultBlockSize = 256   // of a deterministic group

	MaxReallocTimeout = 600 * time.Second
	MaxReallocQueue   = 65536
)

// check finds the faults of a pool's own values.
func (p *Pool) check() error {
	var faults []error
	faulty := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("pool %q: "+format, append([]any{p.Name}, args...)...))
	}
	if p.Type > Deterministic {
		faulty("unknown NAT type %d", p.Type)
	}
	if p.ReallocTimeout < 0 || p.ReallocTimeout > MaxReallocTimeout {
		faulty("port reallocation timeout %v is not in 0s to %v", p.ReallocTimeout, MaxReallocTimeout)
	}
	if p.MaxReallocQueue < 0 || p.MaxReallocQueue > MaxReallocQueue {
		faulty("port reallocation queue of %d is not in 0 to %d", p.MaxReallocQueue, MaxReallocQueue)
	}
	return errors.Join(faults...)
}

// blocks reports whether the pool's ports go out in blocks. Deterministic
// pools always do (table 1.1).
func (p *Pool) blocks() bool { return p.PortBlocks || p.Type == Deterministic }

// check finds the faults of a group's own values.
func (g *Group) check() error {
	var faults []error
	if g.Type > Deterministic {
		faults = append(faults, fmt.Errorf("unknown NAT type %d", g.Type))
	}
	if g.Alloc > ByAddresses {
		faults = append(faults, fmt.Errorf("unknown allocation policy %d", g.Alloc))
	}
	if g.Alloc != ByPorts && g.Type != Deterministic {
		faults = append(faults, errors.New("an allocation policy is for deterministic groups only"))
	}
	if g.BlockSize != 0 && (g.BlockSize < MinBlockSize || g.BlockSize > MaxBlockSize) {
		faults = append(faults, fmt.Errorf("block size %d is not in %d to %d", g.BlockSize, MinBlockSize, MaxBlockSize))
	}
	if g.BlockSize > numPorts {
		faults = append(faults, fmt.Errorf("block size %d: an address has only %d ports to divide", g.BlockSize, numPorts))
	}
	return errors.Join(faults...)
}

// checkPool finds what keeps a group from using a pool: the type must be the
// same, a deterministic pool serves one group alone, and blocks of one pool
// have one size (table 1.1; the last is ours: an address is cut up once).
func (g *Group) checkPool(p *Pool, users []*Group) error {
	if p.Type != g.Type {
		return fmt.Errorf("pool %q is %v and the group is %v", p.Name, p.Type, g.Type)
	}
	if p.blocks() != (g.BlockSize > 0) {
		if p.blocks() {
			return fmt.Errorf("pool %q gives out port blocks: the group needs a block size", p.Name)
		}
		return fmt.Errorf("pool %q has no port block allocation: the group must have no block size", p.Name)
	}
	for _, other := range users {
		if p.Type == Deterministic {
			return fmt.Errorf("deterministic pool %q already belongs to group %q", p.Name, other.Name)
		}
		if other.BlockSize != g.BlockSize {
			return fmt.Errorf("pool %q is cut into blocks of %d by group %q, not %d", p.Name, other.BlockSize, other.Name, g.BlockSize)
		}
	}
	return nil
}

// cut divides the group's addresses into blocks, where it uses any.
func (set *settings) cut(g *Group) error {
	if len(set.addrs) > maxAddresses {
		return fmt.Errorf("more than %d NAT addresses in all", maxAddresses)
	}
	if g.BlockSize == 0 || g.check() != nil {
		return nil
	}
	for row, a := range g.addrs {
		n := set.addrs[a]
		if n.blocks == nil { // another group may have been here, with the same size
			n.blocks = newBlocks(g.BlockSize, g.Type == Dynamic)
		}
		if g.Type == Deterministic {
			n.owner.Store(g)
			n.row = row
		}
	}
	return nil
}

// deal does the arithmetic of a deterministic group, which fails if the client
// has more subscribers than there are blocks (R18).
func (set *settings) deal(all []Client, g *Group) (err error) {
	i := slices.IndexFunc(all, func(c Client) bool { return c.Name == g.Client })
	if g.Type != Deterministic || i < 0 || len(g.addrs) == 0 || g.check() != nil {
		return nil // no deterministic group, or a fault that is told elsewhere
	}
	for _, p := range all[i].Networks {
		if !p.IsValid() || !p.Addr().Is4() {
			return nil
		}
	}
	g.dealing, err = newDealing(g.Alloc, g.BlockSize, len(g.addrs), all[i].Networks)
	return err
}
