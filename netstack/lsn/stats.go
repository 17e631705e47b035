package lsn

// Stats is a snapshot of the table's size and use. Arrays over protocols are in
// the order TCP, UDP, ICMP.
type Stats struct {
	MaxSessions int
	Sessions    [numProtocols]int
	Mappings    [numProtocols]int
	Created     [numProtocols]uint64 // sessions, ever
	Paired      int                  // subscribers with a NAT address of their own, held ones too
	Pools       []PoolStats
}

// PoolStats is the use of one pool.
type PoolStats struct {
	Name      string
	Addresses int
	Ports     int               // possible ports of one protocol, all addresses
	Used      [numProtocols]int // ports with at least one mapping
}

// Stats returns a snapshot. Its numbers are read one after the other, and add
// up exactly only while nothing happens.
func (t *Table) Stats() Stats {
	s := Stats{MaxSessions: int(t.limit)}
	for i := range protocols {
		s.Sessions[i] = int(t.live[i].sessions.Load())
		s.Mappings[i] = int(t.live[i].mappings.Load())
		s.Created[i] = t.created[i].Load()
	}
	for i := range t.insides {
		sh := &t.insides[i]
		sh.mu.Lock()
		s.Paired += sh.pairKeys.n
		sh.mu.Unlock()
	}
	for _, name := range t.poolNames {
		s.Pools = append(s.Pools, PoolStats{Name: name})
	}
	for _, n := range t.addrs {
		p := &s.Pools[n.pool]
		p.Addresses++
		p.Ports += numPorts
		for i := range p.Used {
			p.Used[i] += int(n.used[i].Load())
		}
	}
	return s
}
