package ipsec

import (
	"bytes"
	"cmp"
	"iter"

	"spigate/alg"
	"spigate/netstack/frame"
)

// SessionInfo is one line of "show ipsecalg session". Times are monotonic
// nanoseconds.
type SessionInfo struct {
	ID                  uint64
	Inside, NAT, Server frame.Addr
	SPIIn, SPIOut       uint32 // 0: not known (HALF)
	State               SessionState
	Profile             string
	Created, LastSeen   int64
	RxPackets, RxBytes  uint64 // server to subscriber
	TxPackets, TxBytes  uint64
}

// GateInfo is one line of "show ipsecalg gate": a pair with a lock, an open
// gate or somebody waiting.
type GateInfo struct {
	NAT, Server       frame.Addr
	State             LockState
	Inside            frame.Addr // who has the lock, or the gates
	Profile           string
	MessageID         uint32 // of the lock's exchange
	Late              bool   // taken by a late binding (R66)
	Open              bool   // gates are open
	MatchIn, MatchOut bool
	SPIsIn, SPIsOut   []uint32 // that the gates bound
	Since             int64    // lock taken, or gates opened
	Expires           int64    // last moment
	Waiting           []Waiter // whose messages are held, in turn
}

// Waiter is one held phase-2 message, for display.
type Waiter struct {
	Inside    frame.Addr
	MessageID uint32
	Newest    int64 // when its newest copy came
}

// IKEInfo is one IKE session.
type IKEInfo struct {
	Inside, NAT, Server  frame.Addr
	Initiator, Responder uint64 // SPIs
	Version              uint8
	State                IKEState
	Mapping              uint64
	Profile              string
	Created, LastSeen    int64
	Token                bool // may bind late (R66)
}

// Sessions yields the ESP sessions that f selects: up to inOrder of them by
// inside address, NAT address, server and id, more in no order.
func (a *ALG) Sessions(f Filter) iter.Seq[SessionInfo] {
	rows := paged(a, func(sh *shard, keys []*espSession) []*espSession {
		for _, s := range sh.byID {
			if f.pair(pairKey{s.nat, s.server}) && f.inside(s.client.inside) {
				keys = append(keys, s)
			}
		}
		return keys
	}, func(s *espSession) (SessionInfo, bool) { return s.info(), !s.gone })
	return sorted(rows, func(x, y SessionInfo) int {
		return cmp.Or(order(x.Inside, y.Inside), order(x.NAT, y.NAT), order(x.Server, y.Server), cmp.Compare(x.ID, y.ID))
	})
}

func (s *espSession) info() SessionInfo {
	in, out := s.count[alg.Out2In], s.count[alg.In2Out]
	return SessionInfo{ID: s.id, Inside: s.client.inside, NAT: s.nat, Server: s.server, SPIIn: s.spiIn, SPIOut: s.spiOut,
		State: s.state, Profile: s.profile.Name, Created: s.created, LastSeen: s.lastSeen(),
		RxPackets: in.packets, RxBytes: in.bytes, TxPackets: out.packets, TxBytes: out.bytes}
}

// Gates yields the pairs that f selects and on which something goes on: up to
// inOrder by NAT address and server, more in no order. A filter by inside
// address selects lock holders.
func (a *ALG) Gates(f Filter) iter.Seq[GateInfo] {
	rows := paged(a, func(sh *shard, keys []*pair) []*pair {
		for _, row := range sh.busy.rows {
			if f.pair(row.what.key) {
				keys = append(keys, row.what)
			}
		}
		return keys
	}, func(p *pair) (GateInfo, bool) {
		if p.row == 0 {
			return GateInfo{}, false
		}
		g := p.info()
		return g, f.inside(g.Inside)
	})
	return sorted(rows, func(x, y GateInfo) int { return cmp.Or(order(x.NAT, y.NAT), order(x.Server, y.Server)) })
}

// Busy is how many pairs of NAT address and server have a lock, an open gate or
// a waiter: the rows of Gates, without making them.
func (a *ALG) Busy() (n int) {
	a.each(func(sh *shard) { n += len(sh.busy.rows) })
	return n
}

func (p *pair) info() GateInfo {
	g := GateInfo{NAT: p.key.NAT, Server: p.key.Server, State: p.lock.state, Late: p.lock.late, MessageID: p.lock.ex.id,
		Open: p.gate.open, MatchIn: p.gate.matched(alg.Out2In), MatchOut: p.gate.matched(alg.In2Out)}
	if p.gate.open {
		g.Inside, g.Profile = p.gate.client.inside, p.gate.session.profile.Name
		g.Since, g.Expires = p.gate.opened, p.gate.deadline()
	}
	if p.lock.state != Free {
		g.Inside, g.Profile, g.Since = p.lock.session.client.inside, p.lock.session.profile.Name, p.lock.since
		g.Expires, _ = p.lock.deadline(len(p.queue.messages) > 0)
	}
	for i := range maxGateSPIs {
		if s := p.gate.bound[alg.Out2In][i]; s != nil {
			g.SPIsIn = append(g.SPIsIn, s.spiIn)
		}
		if s := p.gate.bound[alg.In2Out][i]; s != nil {
			g.SPIsOut = append(g.SPIsOut, s.spiOut)
		}
	}
	for _, h := range p.queue.messages {
		g.Waiting = append(g.Waiting, Waiter{h.key.session.client.inside, h.key.ex.id, h.newest})
	}
	return g
}

// IKESessions yields the IKE sessions that f selects: up to inOrder by inside
// address, NAT address, server and initiator SPI, more in no order.
func (a *ALG) IKESessions(f Filter) iter.Seq[IKEInfo] {
	rows := paged(a, func(sh *shard, keys []*ikeSession) []*ikeSession {
		for _, row := range sh.ikes.rows {
			if c := row.what.client; f.pair(c.pair.key) && f.inside(c.inside) {
				keys = append(keys, row.what)
			}
		}
		return keys
	}, func(s *ikeSession) (IKEInfo, bool) { return s.info(), s.row != 0 })
	return sorted(rows, func(x, y IKEInfo) int {
		return cmp.Or(order(x.Inside, y.Inside), order(x.NAT, y.NAT), order(x.Server, y.Server), cmp.Compare(x.Initiator, y.Initiator))
	})
}

func (s *ikeSession) info() IKEInfo {
	k := s.client.pair.key
	return IKEInfo{Inside: s.client.inside, NAT: k.NAT, Server: k.Server, Initiator: s.initiator, Responder: s.responder,
		Version: s.version, State: s.state, Mapping: s.mapping, Profile: s.profile.Name,
		Created: s.created, LastSeen: s.lastSeen, Token: s.token}
}

// each visits every shard, locked.
func (a *ALG) each(visit func(*shard)) {
	for i := range a.shards {
		sh := &a.shards[i]
		sh.mu.Lock()
		visit(sh)
		sh.mu.Unlock()
	}
}

func order(x, y frame.Addr) int { return bytes.Compare(x[:], y[:]) }
