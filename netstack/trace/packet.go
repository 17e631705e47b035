package trace

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// Event is what one step did with a packet.
type Event struct {
	At         int64  // monotonic nanoseconds
	Hook, Step string // as the router has them; Step is "" where the stack has none
	Verdict    string // its word
	Reason     drop.Reason
	Src, Dst   frame.Endpoint // behind the step
	Says       string         // a sentence without its full stop, or ""
	Rule       string
	Kind, Name string // the object of the configuration that decided, or ""
}

// Fate is how a walk ended. Its words are those of explanations.
type Fate struct {
	End        string      // "": it has not ended
	Reason     drop.Reason // of a drop; drop.None: Stack says it
	Stack      string      // the stack's own reason, as its counters have it
	Told       string      // what the sender was told, as far as that is known
	Out        frame.Interface
	Next       frame.Addr // the neighbour that it was sent to
	Waits      bool       // for the neighbour's MAC address
	Src, Dst   frame.Endpoint
	Selector   string
	SPI        uint32
	To         frame.Endpoint // the other end of a tunnel
	Label      frame.Interface
	InFastPath bool // the steps were not asked: its flow was in the table
}

// Packet is one packet on its way. It is safe for concurrent use.
type Packet struct {
	id    uint32
	trace *Trace

	Number int   // from 1, in its trace
	At     int64 // when it came, monotonic nanoseconds
	In     frame.Interface
	Length int    // of the IPv4 packet, in bytes
	Head   []byte // the packet's beginning, for a summary; read only
	Again  string // why it came in without a frame: "held", "opened"; "": it came by a port

	Foretold Fate // what the router would have said beforehand, End "": nothing

	mu      sync.Mutex
	expects []Event // what the router would have said of it beforehand
	events  []Event
	more    int // events that found no room
	fate    Fate
}

// HeadLen is how many bytes of a packet are kept.
const HeadLen = 64

// Add appends an event.
func (p *Packet) Add(e Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.events) == MaxEvents {
		p.more++
		return
	}
	p.events = append(p.events, e)
}

// End ends the walk, unless it has ended otherwise than by waiting.
func (p *Packet) End(f Fate) {
	p.Change(func(old *Fate) bool {
		if old.End != "" && old.End != "held" && !old.Waits {
			return false
		}
		*old = f
		return true
	})
}

// Foresaid adds what was said beforehand for hooks that have no steps of the
// router's.
func (p *Packet) Foresaid(now int64, hooks ...string) {
	p.mu.Lock()
	said := p.expects
	p.mu.Unlock()
	for _, e := range said {
		if slices.Contains(hooks, e.Hook) && e.Step == "" {
			e.At = now
			p.Add(e)
		}
	}
}

// Change gives fn how the walk has ended, End "" if it has not, and keeps what fn
// makes of it if fn returns true. Nobody changes it in between: several goroutines
// tell of one packet, where it is sealed or opened. fn must not call the packet.
func (p *Packet) Change(fn func(*Fate) bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.fate
	if !fn(&f) {
		return false
	}
	p.fate = f
	return true
}

// Step appends an event with the words that stood for it beforehand, if those are of
// the same outcome: there may be several, of which the last one has the outcome. It
// reports whether there were any; if not, nothing was appended.
func (p *Packet) Step(e Event) bool {
	p.mu.Lock()
	var said []Event
	for _, x := range p.expects {
		if x.Hook == e.Hook && x.Step == e.Step {
			said = append(said, x)
		}
	}
	p.mu.Unlock()
	if n := len(said); n == 0 || said[n-1].Verdict != e.Verdict || said[n-1].Reason != e.Reason || said[n-1].Says == "" {
		return false
	}
	for _, x := range said {
		x.At, x.Src, x.Dst = e.At, e.Src, e.Dst
		p.Add(x)
	}
	return true
}

// Ends are the packet's ends behind the last step that it met.
func (p *Packet) Ends() (src, dst frame.Endpoint) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := len(p.events) - 1; i >= 0 && src == (frame.Endpoint{}); i-- {
		src, dst = p.events[i].Src, p.events[i].Dst
	}
	return src, dst
}

// Ended reports whether the walk has ended, and how.
func (p *Packet) Ended() (Fate, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fate, p.fate.End != ""
}

// Walk is a packet's way as it stands now.
type Walk struct {
	Trace   string
	Number  int
	At      int64 // since the trace began, nanoseconds
	Came    int64 // when the packet came, monotonic nanoseconds
	In      frame.Interface
	Length  int
	Head    []byte
	Again   string
	Events  []Event
	More    int // events for which there was no room
	Fate    Fate
	Packets int // that walked like this one; of a single one: 1
}

func (p *Packet) walk() Walk {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Walk{
		Trace: p.trace.Name, Number: p.Number, At: p.At - p.trace.began, Came: p.At, In: p.In, Length: p.Length, Head: p.Head, Again: p.Again,
		Events: append([]Event(nil), p.events...), More: p.more, Fate: p.fate, Packets: 1,
	}
}

// kind is what walks that are grouped have in common: steps, verdicts and the end,
// but no address and no number.
func (w *Walk) kind() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %s", w.In, w.Again)
	for i := range w.Events {
		e := &w.Events[i]
		fmt.Fprintf(&b, "|%s %s %s %d %s", e.Hook, e.Step, e.Verdict, e.Reason, e.Name)
	}
	fmt.Fprintf(&b, "|%s %d %s %d %v %s", w.Fate.End, w.Fate.Reason, w.Fate.Stack, w.Fate.Out, w.Fate.Waits, w.Fate.Selector)
	return b.String()
}
