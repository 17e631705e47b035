package lsn

// Stats is a snapshot of the table's size and use. Arrays over protocols are in
// the order TCP, UDP, ICMP.
type Stats struct {
	MaxSessions int
	Sessions    [numProtocols]int
	Mappings    [numProtocols]int
	Created     [numProtocols]uint64 // sessions, ever
	Paired      int                  // subscribers with a NAT address of their own, held ones too
	Dropped     [numProtocols]uint64 // packets for which there was no session
	Pools       []PoolStats
	Groups      []GroupStats
}

// GroupStats is what the subscribers of one group have.
type GroupStats struct {
	Name        string
	Subscribers int // with a session
	Sessions    [numProtocols]int
	Dropped     [numProtocols]uint64 // packets for which there was no session
	Out, In     [numProtocols]Volume // what the sessions carried
}

// PoolStats is the use of one pool.
type PoolStats struct {
	Name      string
	Addresses int
	Busy      int               // addresses with a port in use
	Ports     int               // possible ports of one protocol, all addresses
	Used      [numProtocols]int // of them, ports with at least one mapping
	Held      [numProtocols]int // of them, ports in hold-down (R25)
	// Blocks is how many blocks of ports the pool is divided into, 0 if it is
	// not, and BlocksUsed how many of them have a subscriber: for deterministic
	// pools one for each possible subscriber.
	Blocks, BlocksUsed int
}

// Stats returns a snapshot. Its numbers are read one after the other, and add
// up exactly only while nothing happens.
func (t *Table) Stats() Stats {
	s := Stats{MaxSessions: int(t.limit)}
	for i := range protocols {
		s.Sessions[i] = int(t.live[i].sessions.Load())
		s.Mappings[i] = int(t.live[i].mappings.Load())
		s.Created[i] = t.created[i].Load()
		s.Dropped[i] = t.dropped[i].Load()
	}
	set := t.cfg()
	for _, g := range set.list {
		in := GroupStats{Name: g.Name, Subscribers: int(g.tally.subscribers.Load())}
		for i := range protocols {
			in.Sessions[i], in.Dropped[i] = int(g.tally.sessions[i].Load()), g.tally.dropped[i].Load()
		}
		s.Groups = append(s.Groups, in)
	}
	for i := range t.insides {
		sh := &t.insides[i]
		sh.mu.Lock()
		s.Paired += sh.pairKeys.n
		s.add(sh, set.list)
		sh.mu.Unlock()
	}
	for _, name := range set.poolNames {
		s.Pools = append(s.Pools, PoolStats{Name: name})
	}
	for _, i := range set.live {
		if set.pools[i] == noPool {
			continue
		}
		n, p := set.addrs[i], &s.Pools[set.pools[i]]
		p.Addresses++
		p.Ports += numPorts
		p.add(n)
	}
	return s
}

func (p *PoolStats) add(n *natAddress) {
	busy := false
	for i := range protocols {
		before := p.Used[i]
		held := int(n.hold.count[i].Load())
		p.Held[i] += held
		setKind(0).lanes(func(lane int) { p.Used[i] += int(n.used[i][lane].Load()) })
		p.Used[i] -= held
		busy = busy || p.Used[i] > before
	}
	if busy {
		p.Busy++
	}
	if n.blocks == nil {
		return
	}
	p.Blocks += len(n.blocks.list)
	if n.owner.Load() != nil {
		p.BlocksUsed += n.owner.Load().dealing.blocksOf(n.row)
		return
	}
	n.blocks.mu.Lock()
	defer n.blocks.mu.Unlock()
	p.BlocksUsed += len(n.blocks.list) - len(n.blocks.free)
}
