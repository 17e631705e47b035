package flow

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"spigate/netstack/frame"
)

// model is a rig with what should be: which flow is whose, and how many packets
// each owner's flows carried.
type model struct {
	*rig
	owner   map[Key]Owner    // of the flow that was inserted last, while it should live
	refs    map[uint32]Owner // whose packets a ref counts
	carried map[Owner]uint64
	bytes   uint64
	extra   int // ESP flows beside the five, so that the table grows
}

const modelFlows = 5

func modelFrame(i int) []byte {
	switch i {
	case 0:
		return segment(ackFlag, 0, 0, 0)
	case 1:
		return kinds(20)["ICMP"]
	case 2:
		return kinds(20)["UDP"]
	}
	return espFrame(i)
}

// send sends a packet of a flow and takes note of who should be told of it.
func (m *model) send(t *rapid.T) {
	i := rapid.IntRange(0, modelFlows-1).Draw(t, "flow")
	b := modelFrame(i)
	k := keyOf2(b)
	owner, lives := m.owner[k]
	for range rapid.SampledFrom([]int{1, 5, 40}).Draw(t, "packets") {
		switch by := m.rig.send(b); {
		case by == "stack":
		case !lives:
			t.Fatalf("forwarded by the %s, but the flow was taken away", by)
		default:
			m.carried[owner]++
			m.bytes += uint64(len(b) - frame.HeaderLen)
		}
	}
	m.settle()
}

// settle takes note of whose flows the back-end has taken.
func (m *model) settle() {
	for k, ref := range m.back.keys {
		if _, known := m.refs[ref]; !known {
			m.refs[ref] = m.owner[k]
		}
	}
}

func keyOf2(b []byte) Key {
	f := arrived(b, lan)
	k, _ := KeyOf(&f)
	return k
}

func (m *model) insert(t *rapid.T) {
	i := rapid.IntRange(0, modelFlows-1).Draw(t, "flow")
	hop, _ := m.Hop(wan, frame.Addr{198, 51, 100, byte(rapid.IntRange(1, 2).Draw(t, "next hop"))}, macGW, macOut, 1500)
	e := Entry{
		Key: keyOf2(modelFrame(i)), Addr: frame.Addr{203, 0, 113, byte(rapid.IntRange(1, 2).Draw(t, "address"))},
		Port: 61000, Hop: hop, Idle: time.Duration(rapid.SampledFrom([]int{3, 60}).Draw(t, "idle")) * time.Second,
		Owner: Owner{Kind: OwnerLSN, ID: uint64(rapid.IntRange(0, 2).Draw(t, "owner"))}, Numbered: i == 0,
	}
	delete(m.owner, e.Key) // a refused Insert may have replaced it
	if m.Insert(e, m.Epoch(), m.now) {
		m.owner[e.Key] = e.Owner
	}
}

// late is a packet that was in flight in the back-end when its flow was taken
// away: it counts until the ref is released.
func (m *model) late(t *rapid.T) {
	for ref := uint32(1); ref <= m.back.next; ref++ {
		if o := m.back.flows[ref]; o != nil && o.removed >= 0 {
			o.count(100)
			m.carried[m.refs[ref]]++
			m.bytes += 100
			return
		}
	}
}

// end takes flows away.
func (m *model) end(t *rapid.T) {
	i := rapid.IntRange(0, modelFlows-1).Draw(t, "flow")
	switch rapid.IntRange(0, 4).Draw(t, "way") {
	case 0:
		o := Owner{Kind: OwnerLSN, ID: uint64(rapid.IntRange(0, 2).Draw(t, "owner"))}
		m.RemoveOwner(o, m.now)
		for k, of := range m.owner {
			if of == o {
				delete(m.owner, k)
			}
		}
	case 1:
		m.Remove(keyOf2(modelFrame(i)))
		delete(m.owner, keyOf2(modelFrame(i)))
	case 2:
		m.InvalidateHop(wan, frame.Addr{198, 51, 100, 1})
		m.Walk(func(in Info) bool {
			if !in.Valid {
				delete(m.owner, in.Key)
			}
			return true
		})
	case 3:
		m.InvalidateInterface(wan)
		clear(m.owner)
	case 4:
		m.Flush()
		clear(m.owner)
	}
}

// grow inserts flows that never carry anything, so that the table grows, or gets
// a new seed, while flows are away.
func (m *model) grow(t *rapid.T) {
	hop, _ := m.Hop(wan, frame.Addr{198, 51, 100, 9}, macGW, macOut, 1500)
	for range 300 {
		m.extra++
		m.Insert(Entry{Key: Key{ID: uint32(m.extra), Proto: frame.ProtoESP}, Hop: hop, Idle: time.Hour}, m.Epoch(), m.now)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.next == nil && m.extra%900 == 0 {
		m.begin(int(m.cur.Len()))
	}
}

func (m *model) sweepOnce(*rapid.T) {
	m.sweep()
	m.settle()
}

// check holds after every step.
func (m *model) check(t *rapid.T) {
	m.faultless(t)
	flows := map[Key]Info{}
	m.Walk(func(in Info) bool {
		if in.Offloaded {
			flows[in.Key] = in
		}
		return true
	})
	for k, ref := range m.back.keys {
		in, there := flows[k]
		o := m.back.flows[ref]
		if !there || in.Addr != o.Addr || in.Hop != o.Hop || in.Valid != m.back.hops[o.Hop].Valid {
			t.Errorf("the back-end has %+v, the table %+v", o.Offloaded, in)
		}
	}
	if n := m.Stats().Offloaded; n != len(m.back.keys) {
		t.Errorf("%d flows offloaded, the back-end has %d", n, len(m.back.keys))
	}
}

// Whatever happens in whatever order: each packet is told of once and for the
// right owner, no ref is used after it was released, nothing is added twice, and
// nothing that was taken away is forwarded.
func TestHoweverFlowsGoToTheBackEndAndComeBackEveryPacketCountsOnce(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := &model{
			rig:   newRig(rt, Config{OffloadAfter: 4, OffloadIdle: 2}),
			owner: map[Key]Owner{}, refs: map[uint32]Owner{}, carried: map[Owner]uint64{},
		}
		m.back.most = 3
		rt.Repeat(map[string]func(*rapid.T){
			"send": m.send, "send more": m.send, "insert": m.insert, "sweep": m.sweepOnce, "sweep again": m.sweepOnce,
			"credit": func(t *rapid.T) {
				m.Credit(Owner{Kind: OwnerLSN, ID: uint64(rapid.IntRange(0, 2).Draw(t, "owner"))}, m.now)
			},
			"late": m.late, "end": m.end, "grow": m.grow, "": m.check,
		})
		m.Flush()
		for range 4 {
			m.sweep()
		}
		m.faultless(rt)
		if len(m.back.flows) != 0 || len(m.olds) != 0 {
			rt.Errorf("%d refs and %d old arenas are left", len(m.back.flows), len(m.olds))
		}
		var away uint64
		for o, n := range m.carried {
			if m.told[o] != n {
				rt.Errorf("told of %d packets of %v, it carried %d", m.told[o], o, n)
			}
			away += n
		}
		if s := m.Stats(); m.rig.bytes != m.bytes || s.Hits+s.OffloadPackets != away || s.OffloadPackets != m.away {
			rt.Errorf("%d bytes, want %d; %+v, %d packets in all, %d told of as offloaded", m.rig.bytes, m.bytes, s, away, m.away)
		}
	})
}
