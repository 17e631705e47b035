package netstack

import (
	"spigate/alg/ipsec"
	"spigate/netstack/keying"
	"spigate/netstack/lsn"
)

// What an operator may do. All of it is safe for concurrent use, and does
// nothing once the Router has ended.

// FlushedALG counts what FlushALG removed.
type FlushedALG struct {
	ESP  int // ESP sessions, HALF ones included
	IKE  int // IKE sessions
	Held int // phase-2 messages that waited; their packets are dropped
}

// FlushALG removes the ESP sessions, gates, locks, held messages and IKE
// sessions that f selects, with their flows and the mappings that carried
// nothing but the IKE (section 1.3, N29). A lock that becomes free goes to the next waiter
// outside of f. Selecting nothing is no error.
func (r *Router) FlushALG(f ipsec.Filter) (n FlushedALG) {
	r.fire(func(now int64) {
		r.alg.Flush(f, now, func(actions []ipsec.Action) {
			for i := range actions {
				n.count(&actions[i])
			}
			r.actAtOnce(actions)
		})
		r.armDeadline()
	})
	return n
}

// count reads what happened from the log lines (R34): the ALG writes exactly
// one for each session and message that goes.
func (n *FlushedALG) count(a *ipsec.Action) {
	if a.Kind != ipsec.Log {
		return
	}
	switch a.Event.What {
	case "ESP DELETED":
		n.ESP++
	case "IKE DELETED":
		n.IKE++
	case "P2 DROPPED":
		n.Held++
	}
}

// FlushedLSN counts what FlushLSN removed.
type FlushedLSN struct{ Sessions, Mappings int }

// FlushLSN removes the mappings that f selects, with their sessions, their
// flows and the IKE sessions on them (R47). ESP sessions stay.
func (r *Router) FlushLSN(f lsn.Filter) (n FlushedLSN) {
	r.fire(func(int64) { n.Sessions, n.Mappings = r.lsn.Flush(f) })
	return n
}

// AskKeying passes what an operator wants of IKE on to it, and lets it begin at
// once. do must only call methods that queue.
func (r *Router) AskKeying(do func(*keying.Keyer) error) (err error) {
	r.fire(func(int64) { err = do(r.keyer) })
	return err
}
