package ipsec

import (
	"time"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// ActionKind says what the ALG asks its caller to do.
type ActionKind uint8

// The kinds of action.
const (
	Release       ActionKind = iota // re-inject the held Packet on interface In
	Discard                         // the held Packet dies for Reason
	MappingIdle                     // Mapping and its sessions now idle out after Idle (R40); 0: after what the NAT says
	MappingRemove                   // IKE on Mapping is over: it ends, but for what is no IKE or later than Seen (R47)
	FlowRemove                      // the flows of ESP session Session leave the flow table
	Log                             // Event happened (R34)
)

// Action is one thing to do, after the ALG's call has returned and in the
// order given.
type Action struct {
	Kind    ActionKind
	Packet  []byte // Release, Discard: the whole IPv4 packet as it came in; owned by the caller from now on
	In      frame.Interface
	Mark    uint32 // IKEPacket's
	Reason  drop.Reason
	Mapping uint64
	Idle    time.Duration
	Seen    int64 // monotonic nanoseconds
	Session uint64
	Event   *Event
}

// step is one call into the state machine: what it works on and the actions
// that it has collected.
type step struct {
	a       *ALG
	sh      *shard
	now     int64
	actions []Action
}

func (st *step) do(a Action) { st.actions = append(st.actions, a) }

func (st *step) log(e Event) {
	e.At = st.now
	st.do(Action{Kind: Log, Event: &e})
}

func (st *step) setMappingIdle(mapping uint64, idle int64) {
	st.do(Action{Kind: MappingIdle, Mapping: mapping, Idle: time.Duration(idle)})
}

// discard gives up a message that has already left the queue.
func (st *step) discard(p *pair, h *heldMessage, why drop.Reason) {
	st.unhold(h)
	c := st.sh.tally(h.key.session.tally)
	c.P2Dropped++
	c.Dropped++
	for _, part := range h.parts {
		st.do(Action{Kind: Discard, Packet: part.packet, In: h.in, Mark: part.mark, Reason: why})
	}
	st.log(h.key.session.event(p, "P2 DROPPED", why.String(), h.key.ex.id))
}
