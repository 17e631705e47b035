package netns

import (
	"slices"
	"time"

	"spigate/tests/golden"
)

// Patience says how long a host waits for what does not come.
type Patience struct {
	ESP   time.Duration // then a missing ESP packet is given up, as hosts do
	IKE   time.Duration // before the first retransmission; doubled each time
	Tries int           // retransmissions of one IKE message
}

// DefaultPatience is that of a host on a working network, where the router may
// hold an IKE message for seconds.
func DefaultPatience() Patience {
	return Patience{ESP: 15 * time.Second, IKE: time.Second, Tries: 6}
}

// script plays one end of one conversation. It does no I/O and has no clock:
//
//	     own step, not paused: send            other's step: wait
//	next ─────────────────────► next+1 ... next ──────────────► next+1
//	                                         │ arrived, or ESP given up
//	                                         └ IKE unanswered: send the last
//	                                           request again, then twice as late
//
// Steps are played in the recorded order, so a step is sent only when every
// earlier step of the other end has arrived or was given up.
type script struct {
	side golden.Side
	conv golden.Conversation
	wait Patience

	pauseAt int // own step before which to stop, -1 none
	next    int
	got     []bool
	left    map[string][]int // payload → its steps of the other end not yet arrived
	step    map[string]int   // payload → its first step of the other end

	request int   // own last IKE step, -1 none
	again   int64 // when to send it again
	backoff int64
	tries   int
	waiting int   // the step waited for, -1 none
	since   int64 // since when

	resent, duplicates int
}

func newScript(side golden.Side, c golden.Conversation, wait Patience) *script {
	s := &script{
		side: side, conv: c, wait: wait, pauseAt: -1, request: -1, waiting: -1,
		got:  make([]bool, len(c.Steps)),
		left: map[string][]int{},
		step: map[string]int{},
	}
	for i, st := range c.Steps {
		if st.From == side {
			continue
		}
		k := string(st.Payload)
		if len(s.left[k]) == 0 {
			s.step[k] = i
		}
		s.left[k] = append(s.left[k], i)
	}
	return s
}

// finished reports whether there is nothing more to send or to wait for.
func (s *script) finished() bool { return s.next == len(s.conv.Steps) }

// paused reports whether the script stands before the step to pause at.
func (s *script) paused() bool { return s.next == s.pauseAt }

func (s *script) resume() { s.pauseAt = -1 }

// knows reports whether the payload is one of the other end's steps.
func (s *script) knows(payload []byte) bool {
	_, ok := s.step[string(payload)]
	return ok
}

// arrived takes a payload that knows accepted. It returns the step, whether it
// is new, and the own steps to send again because a repeated IKE message means
// that the answer was lost.
func (s *script) arrived(payload []byte) (step int, fresh bool, again []int) {
	k := string(payload)
	if left := s.left[k]; len(left) > 0 {
		// Repeated ESP has equal steps. One that was given up is filled last:
		// otherwise each later round would miss the packet that filled it.
		i := max(0, slices.IndexFunc(left, func(i int) bool { return i >= s.next }))
		step = left[i]
		s.left[k] = slices.Delete(left, i, i+1)
		s.got[step] = true
		return step, true, nil
	}
	step = s.step[k]
	if s.conv.Steps[step].Kind == golden.ESP {
		s.duplicates++ // nobody repeats ESP
		return step, false, nil
	}
	again = s.answers(step)
	s.resent += len(again)
	return step, false, again
}

// answers returns the own IKE steps that answered step i, or none if the other
// end has gone on since, which shows that the answer arrived.
func (s *script) answers(i int) []int {
	var own []int
	for j := i + 1; j < len(s.conv.Steps); j++ {
		st := &s.conv.Steps[j]
		switch {
		case st.From != s.side && s.got[j]:
			return nil
		case st.From != s.side:
			return own
		case j < s.next && st.Kind == golden.IKE && sameExchange(&s.conv.Steps[i], st):
			own = append(own, j)
		}
	}
	return own
}

// due returns the steps to send now. The result is in order; a step that was
// sent before is a retransmission.
func (s *script) due(now int64) (send []int) {
	for ; !s.finished() && !s.paused(); s.next++ {
		st := &s.conv.Steps[s.next]
		if st.From == s.side {
			send = append(send, s.next)
			if st.Kind == golden.IKE {
				s.request, s.tries = s.next, 0
				s.backoff = int64(s.wait.IKE)
				s.again = now + s.backoff
			}
			continue
		}
		if s.got[s.next] {
			continue
		}
		if s.waiting != s.next {
			s.waiting, s.since = s.next, now
		}
		if st.Kind == golden.ESP && now-s.since >= int64(s.wait.ESP) {
			continue
		}
		return append(send, s.retransmit(st, now)...)
	}
	return send
}

// retransmit returns the own request again if st answers it and time is up.
func (s *script) retransmit(st *golden.Step, now int64) []int {
	if !s.expects(st) || now < s.again {
		return nil
	}
	s.tries++
	s.resent++
	s.backoff *= 2
	s.again = now + s.backoff
	return []int{s.request}
}

// expects reports whether st answers an own request that may be sent again.
func (s *script) expects(st *golden.Step) bool {
	return st.Kind == golden.IKE && s.request >= 0 && s.tries < s.wait.Tries &&
		sameExchange(&s.conv.Steps[s.request], st)
}

// sameExchange reports whether b can be the answer to a. IKEv1 answers dead
// peer detection (RFC 3706) under a message id of its own.
func sameExchange(a, b *golden.Step) bool {
	if a.Exchange() != b.Exchange() {
		return false
	}
	return a.MessageID() == b.MessageID() || a.Exchange() == golden.ExchangeInfo
}

// deadline returns when due may have something to send without a packet
// arriving, 0 for never.
func (s *script) deadline() int64 {
	if s.finished() || s.paused() {
		return 0
	}
	st := &s.conv.Steps[s.next]
	switch {
	case st.From == s.side:
		return 0
	case st.Kind == golden.ESP:
		return s.since + int64(s.wait.ESP)
	case s.expects(st):
		return s.again
	}
	return 0
}

// missing returns the steps of the other end that never arrived.
func (s *script) missing() []golden.Step {
	var m []golden.Step
	for i, st := range s.conv.Steps {
		if st.From != s.side && !s.got[i] {
			m = append(m, st)
		}
	}
	return m
}

// count returns how many steps of a kind arrived and how many should.
func (s *script) count(k golden.Kind) (got, want int) {
	for i, st := range s.conv.Steps {
		if st.From != s.side && st.Kind == k {
			want++
			if s.got[i] {
				got++
			}
		}
	}
	return got, want
}
