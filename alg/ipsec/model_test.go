package ipsec

import (
	"slices"

	"spigate/alg"
	"spigate/netstack/frame"
)

// The reference model of one pair (NAT address, server), written from the
// rules. It is told what a message is (the simulation knows: which exchange,
// which of its messages) where the ALG has to find out from bytes, it keeps no
// index, and nothing in it ages but gates and messages that wait: simulated
// peers give up a tunnel before an ESP session would end.

// modelEx is an exchange as the model sees it.
type modelEx struct {
	client frame.Addr
	origin alg.Direction
	done   bool
	passed map[int]bool // numbers of its messages that were forwarded
}

// modelHeld is a message that waits (R58).
type modelHeld struct {
	ex                *modelEx
	dir               alg.Direction
	number, id        int
	newest, notBefore int64
}

// modelSPI is a bound SPI.
type modelSPI struct {
	client  frame.Addr
	paired  uint32 // SPI of the other direction, 0 none
	packets int
	last    int64
}

type model struct {
	gate int64 // espGateTimeout

	holder       *modelEx // nil with late: a late binding has the lock
	late         frame.Addr
	confirmed    bool
	since, armed int64

	open              bool // gates of owner
	owner             frame.Addr
	opened            int64 // also the gate's name
	gateArmed         int64
	matchIn, matchOut bool
	gateIn, gateOut   []uint32
	queue             []*modelHeld
	in                map[uint32]*modelSPI
	out               map[frame.Addr]map[uint32]*modelSPI
	token             map[frame.Addr]bool
	unpaired          map[frame.Addr][]uint32
	timeouts          map[frame.Addr]int
	released          []int // ids of messages given back, for the simulation

}

func newModel(gate int64) *model {
	return &model{gate: gate, in: map[uint32]*modelSPI{}, out: map[frame.Addr]map[uint32]*modelSPI{},
		token: map[frame.Addr]bool{}, unpaired: map[frame.Addr][]uint32{}, timeouts: map[frame.Addr]int{}}
}

func (m *model) locked() bool { return m.holder != nil || !m.late.IsZero() }

func (m *model) lockClient() frame.Addr {
	if m.holder != nil {
		return m.holder.client
	}
	return m.late
}

// advance does what is over before now, in order of time.
func (m *model) advance(now int64) {
	for {
		at, do := m.next()
		if do == nil || at >= now {
			return
		}
		do(at + 1)
	}
}

// next returns the earliest deadline and what follows it; of equal ones the
// lock comes first, so that a message whose turn comes is sent and not dropped.
func (m *model) next() (at int64, do func(int64)) {
	at = 1 << 62
	if m.locked() {
		at = m.armed + m.gate
		if !m.confirmed {
			at = m.armed + min(m.gate, 10e9)
		}
		token := m.confirmed
		if len(m.queue) > 0 {
			at = min(at, m.since+2*m.gate)
		}
		do = func(now int64) { m.timeout(now, token) }
	} else if m.open {
		at, do = m.gateArmed+m.gate, func(int64) { m.open = false }
	}
	for _, h := range m.queue {
		if h.newest+m.gate < at {
			at = h.newest + m.gate
			do = func(int64) { m.queue = slices.DeleteFunc(m.queue, func(o *modelHeld) bool { return o == h }) }
		}
	}
	return at, do
}

// timeout ends the lock without success (R55, R60, R66).
func (m *model) timeout(now int64, token bool) {
	c := m.lockClient()
	if token && m.holder != nil && !m.matchIn {
		m.token[c], m.unpaired[c] = true, slices.Clone(m.gateOut)
	}
	m.timeouts[c] = min(m.timeouts[c]+1, 3)
	slices.SortStableFunc(m.queue, func(x, y *modelHeld) int { return boolToInt(x.ex.client == c) - boolToInt(y.ex.client == c) })
	for _, h := range m.queue {
		if h.ex.client == c && m.timeouts[c] == 3 {
			h.notBefore = now + m.gate
		}
	}
	m.open = false
	m.free(now)
}

// success is two-way ESP, or an answer that is too short (done either way).
func (m *model) finish(now int64, twoWay bool) {
	if m.holder != nil {
		m.holder.done = true
	}
	if twoWay {
		m.timeouts[m.lockClient()] = 0
		m.token[m.lockClient()] = false
	}
	m.open = m.open && twoWay
	m.free(now)
}

// free gives the lock to who waits (R58).
func (m *model) free(now int64) {
	m.holder, m.late = nil, frame.Addr{}
	if len(m.queue) == 0 {
		return
	}
	i := max(0, slices.IndexFunc(m.queue, func(h *modelHeld) bool { return h.notBefore <= now }))
	first := m.queue[i]
	m.queue = slices.Delete(m.queue, i, i+1)
	m.take(first.ex, now)
	m.pass(first.ex, first.dir, first.number, now)
	m.released = append(m.released, first.id)
	for i, h := range m.queue {
		if h.ex == first.ex {
			m.queue = slices.Delete(m.queue, i, i+1)
			m.pass(h.ex, h.dir, h.number, now)
			m.released = append(m.released, h.id)
			return
		}
	}
}

func (m *model) take(ex *modelEx, now int64) {
	m.holder, m.confirmed, m.since, m.armed = ex, false, now, now
	m.openGates(ex.client, now)
}

func (m *model) openGates(c frame.Addr, now int64) {
	m.open, m.owner, m.opened, m.gateArmed = true, c, now, now
	m.matchIn, m.matchOut, m.gateIn, m.gateOut = false, false, nil, nil
}

// pass forwards a message of the lock's exchange: a distinct one re-arms, an
// answer confirms (R49, R55).
func (m *model) pass(ex *modelEx, dir alg.Direction, number int, now int64) {
	if !ex.passed[number] {
		ex.passed[number] = true
		m.armed, m.gateArmed = now, now
	}
	if dir != ex.origin {
		m.confirmed = true
	}
}

// phase2 says whether a phase-2 message is forwarded; otherwise it waits.
func (m *model) phase2(ex *modelEx, dir alg.Direction, number, id int, short bool, now int64) bool {
	switch {
	case m.holder == ex:
		m.pass(ex, dir, number, now)
		if short {
			m.finish(now, false)
		}
		return true
	case ex.done:
		return true
	case short:
		ex.done = true
		m.queue = slices.DeleteFunc(m.queue, func(h *modelHeld) bool { return h.ex == ex && h.dir != dir })
		return true
	case !m.locked():
		m.take(ex, now)
		m.pass(ex, dir, number, now)
		return true
	}
	for _, h := range m.queue {
		if h.ex == ex && h.dir == dir {
			h.newest, h.number, h.id = now, number, id
			return false
		}
	}
	h := &modelHeld{ex: ex, dir: dir, number: number, id: id, newest: now, notBefore: now}
	if m.timeouts[ex.client] == 3 {
		h.notBefore += m.gate
	}
	m.queue = append(m.queue, h)
	return false
}

// inbound says for whom an inbound ESP packet is; zero: dropped.
func (m *model) inbound(spi, seq uint32, now int64) frame.Addr {
	s := m.in[spi]
	if s == nil {
		if !m.open || seq > 1024 || !m.room(&m.gateIn, m.in) {
			return frame.Addr{}
		}
		s = &modelSPI{client: m.owner}
		m.in[spi] = s

		s.paired = m.pair(m.gateOut, m.outOf(m.owner), spi)
		m.gateIn = append(m.gateIn, spi)
		m.matchIn = true
		defer m.matched(now)
	}
	s.packets++
	s.last = now
	return s.client
}

// outbound says whether a subscriber's ESP packet is forwarded.
func (m *model) outbound(c frame.Addr, spi uint32, now int64) bool {
	mine := m.outOf(c)
	if s := mine[spi]; s != nil {
		s.packets++
		s.last = now
		if s.paired == 0 && m.token[c] && !m.locked() { // N9: the next packet repairs
			m.bindLate(c, now)
			if !slices.Contains(m.gateOut, spi) {
				m.gateOut = append(m.gateOut, spi)
			}
			m.matchOut = true
		}
		return true
	}
	s := &modelSPI{client: c, packets: 1, last: now}
	switch {
	case m.open && m.owner == c && m.room(&m.gateOut, mine):
	case m.token[c] && m.locked():
		left := m.unpaired[c]
		if !m.room(&left, mine) {
			return false
		}
		m.unpaired[c] = append(left, spi)
		mine[spi] = s
		return true
	case m.token[c]:
		m.bindLate(c, now)
	default:
		return false
	}
	mine[spi] = s
	m.gateOut = append(m.gateOut, spi)
	s.paired = m.pair(m.gateIn, m.in, spi)
	m.matchOut = true
	m.matched(now)
	return true
}

func (m *model) outOf(c frame.Addr) map[uint32]*modelSPI {
	if m.out[c] == nil {
		m.out[c] = map[uint32]*modelSPI{}
	}
	return m.out[c]
}

// bindLate opens the gates with a token (R66).
func (m *model) bindLate(c frame.Addr, now int64) {
	m.late, m.confirmed, m.since, m.armed, m.token[c] = c, true, now, now, false
	m.openGates(c, now)
	m.gateOut = slices.DeleteFunc(m.unpaired[c], func(spi uint32) bool { return now-m.outOf(c)[spi].last > 120e9 }) // R67
	m.matchOut = len(m.gateOut) > 0
	m.unpaired[c] = nil
}

// pair completes the SPI's pair with the busiest one of the other direction
// that this gate bound and that has no partner.
func (m *model) pair(others []uint32, of map[uint32]*modelSPI, spi uint32) uint32 {
	best := uint32(0)
	for _, o := range others {
		if s := of[o]; s != nil && s.paired == 0 && (best == 0 || s.packets > of[best].packets) {
			best = o
		}
	}
	if best != 0 {
		of[best].paired = spi
	}
	return best
}

// matched is success once both gates had ESP (R64).
func (m *model) matched(now int64) {
	if !m.locked() {
		return
	}
	m.confirmed = true
	if m.matchIn && m.matchOut {
		m.finish(now, true)
	}
}

// room lets the least recent SPI that carried one packet give way (R64).
func (m *model) room(bound *[]uint32, of map[uint32]*modelSPI) bool {
	if len(*bound) < maxGateSPIs {
		return true
	}
	victim := -1
	for i, spi := range *bound {
		if of[spi].packets == 1 && (victim < 0 || of[spi].last < of[(*bound)[victim]].last) {
			victim = i
		}
	}
	if victim < 0 {
		return false
	}
	spi := (*bound)[victim]
	for _, others := range append([]map[uint32]*modelSPI{m.in}, m.out[of[spi].client]) {
		for _, o := range others {
			if o.paired == spi {
				o.paired = 0
			}
		}
	}
	delete(of, spi)
	*bound = slices.Delete(*bound, victim, victim+1)
	return true
}
