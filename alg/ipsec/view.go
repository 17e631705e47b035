package ipsec

import (
	"bytes"
	"cmp"
	"slices"

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

// Sessions returns the ESP sessions that f selects, by inside address, NAT
// address, server and id.
func (a *ALG) Sessions(f Filter) []SessionInfo {
	var out []SessionInfo
	a.each(func(sh *shard) {
		for _, s := range sh.byID {
			if f.pair(pairKey{s.nat, s.server}) && f.inside(s.client.inside) {
				out = append(out, s.info())
			}
		}
	})
	slices.SortFunc(out, func(x, y SessionInfo) int {
		return cmp.Or(order(x.Inside, y.Inside), order(x.NAT, y.NAT), order(x.Server, y.Server), cmp.Compare(x.ID, y.ID))
	})
	return out
}

func (s *espSession) info() SessionInfo {
	in, out := s.count[alg.Out2In], s.count[alg.In2Out]
	return SessionInfo{ID: s.id, Inside: s.client.inside, NAT: s.nat, Server: s.server, SPIIn: s.spiIn, SPIOut: s.spiOut,
		State: s.state, Profile: s.profile.Name, Created: s.created, LastSeen: s.lastSeen(),
		RxPackets: in.packets, RxBytes: in.bytes, TxPackets: out.packets, TxBytes: out.bytes}
}

// Gates returns the pairs that f selects and on which something goes on, by
// NAT address and server. A filter by inside address selects lock holders.
func (a *ALG) Gates(f Filter) []GateInfo {
	var out []GateInfo
	a.each(func(sh *shard) {
		for _, row := range sh.busy.rows {
			p := row.what
			if g := p.info(); f.pair(p.key) && f.inside(g.Inside) {
				out = append(out, g)
			}
		}
	})
	slices.SortFunc(out, func(x, y GateInfo) int { return cmp.Or(order(x.NAT, y.NAT), order(x.Server, y.Server)) })
	return out
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

// IKESessions returns the IKE sessions that f selects, by inside address, NAT
// address, server and initiator SPI.
func (a *ALG) IKESessions(f Filter) []IKEInfo {
	var out []IKEInfo
	a.each(func(sh *shard) {
		for k, p := range sh.pairs {
			if f.pair(k) {
				out = p.ike(out, f)
			}
		}
	})
	slices.SortFunc(out, func(x, y IKEInfo) int {
		return cmp.Or(order(x.Inside, y.Inside), order(x.NAT, y.NAT), order(x.Server, y.Server), cmp.Compare(x.Initiator, y.Initiator))
	})
	return out
}

func (p *pair) ike(out []IKEInfo, f Filter) []IKEInfo {
	for inside, c := range p.clients {
		if !f.inside(inside) {
			continue
		}
		for _, s := range c.sessions {
			out = append(out, IKEInfo{Inside: inside, NAT: p.key.NAT, Server: p.key.Server, Initiator: s.initiator,
				Responder: s.responder, Version: s.version, State: s.state, Mapping: s.mapping, Profile: s.profile.Name,
				Created: s.created, LastSeen: s.lastSeen, Token: s.token})
		}
	}
	return out
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
