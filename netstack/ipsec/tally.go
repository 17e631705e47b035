package ipsec

import "sync/atomic"

// tally is what is counted for a selector beside its SAs. It goes on through
// reloads, and through a change of what the selector says.
type tally struct {
	verdicts [NumVerdicts]atomic.Uint64 // what Count was told

	// Of SAs that are gone, under the database's lock.
	in, out  Traffic
	failures [NumVerdicts]uint64
}

// Traffic is what SAs carried.
type Traffic struct {
	Packets uint64 // sealed, or authentic
	Bytes   uint64 // encrypted or decrypted
}

func (t *Traffic) add(sa *SA) {
	t.Packets += sa.counts[Pass].Load()
	t.Bytes += sa.bytes.Load()
}

// failuresOf adds what sa counted but Pass, which is Traffic's.
func failuresOf(sa *SA, sum *[NumVerdicts]uint64) {
	for v := Pass + 1; v < NumVerdicts; v++ {
		sum[v] += sa.counts[v].Load()
	}
}

// Count counts what Out, Via or In said of a packet, for those that no SA sees:
// Clear, SelectorMiss, SelectorDiscard, SelectorReject. Asking alone counts
// nothing, because not everybody who asks has a packet.
func (db *Database) Count(l Lookup) {
	db.asked[l.Verdict].Add(1)
	if l.Selector != nil {
		l.Selector.tally.verdicts[l.Verdict].Add(1)
	}
}

// Totals are all verdicts since the beginning.
type Totals struct {
	Sent     [NumVerdicts]uint64 // of Send
	Received [NumVerdicts]uint64 // of Receive; NoSA: SPIs of nobody
	Asked    [NumVerdicts]uint64 // what Count was told
}

// Totals looks at the database's counters.
func (db *Database) Totals() (t Totals) {
	for v := range NumVerdicts {
		t.Sent[v], t.Received[v], t.Asked[v] = db.sent[v].Load(), db.received[v].Load(), db.asked[v].Load()
	}
	return t
}

// Counts are the verdicts of Send and Receive together.
func (db *Database) Counts() (n [NumVerdicts]uint64) {
	t := db.Totals()
	for v := range n {
		n[v] = t.Sent[v] + t.Received[v]
	}
	return n
}

// whose is the selector that an SA's packets are counted for. Manual SAs may
// have several: the first one of their policy.
func (db *Database) whose(sa *SA) *Selector {
	if len(sa.selectors) == 0 {
		return nil
	}
	return db.policies.Load().byName[sa.selectors[0]]
}

// retire keeps what an SA that goes has counted. Packets that somebody is still
// working on are not in it.
func (db *Database) retire(sa *SA) {
	s := db.whose(sa)
	if s == nil {
		return
	}
	if sa.Outbound {
		s.tally.out.add(sa)
	} else {
		s.tally.in.add(sa)
	}
	failuresOf(sa, &s.tally.failures)
}
