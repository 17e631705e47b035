package lsn

// Volume counts packets and their bytes, those of whole IP packets.
type Volume struct{ Packets, Bytes uint64 }

// traffic is what sessions of one group carried, by protocol and direction. It
// lies in the shards, under the lock that a packet takes anyway.
type traffic [numProtocols][2]Volume

// passed counts what a session of the group carried. The shard's lock is held.
func (sh *inside) passed(r *rules, dir int, packets, bytes uint64) {
	for int(r.group.index) >= len(sh.traffic) {
		sh.traffic = append(sh.traffic, traffic{})
	}
	i, _ := protoIndex(r.app.Proto)
	v := &sh.traffic[r.group.index][i][dir]
	v.Packets += packets
	v.Bytes += bytes
}

// add adds up what a shard has counted for groups that still exist.
func (s *Stats) add(sh *inside, list []*Group) {
	for at, g := range list {
		if int(g.index) >= len(sh.traffic) {
			continue
		}
		for i, both := range sh.traffic[g.index] {
			s.Groups[at].Out[i].add(both[dirOut])
			s.Groups[at].In[i].add(both[dirIn])
		}
	}
}

func (v *Volume) add(w Volume) {
	v.Packets += w.Packets
	v.Bytes += w.Bytes
}

// ClearStats sets what is counted back to zero: packets, bytes, drops, and
// sessions ever made. What is there now stays as it is.
func (t *Table) ClearStats() {
	for i := range t.insides {
		sh := &t.insides[i]
		sh.mu.Lock()
		clear(sh.traffic)
		sh.mu.Unlock()
	}
	for i := range protocols {
		t.created[i].Store(0)
		t.dropped[i].Store(0)
		for _, g := range t.cfg().list {
			g.tally.dropped[i].Store(0)
		}
	}
}
