package netstack

import (
	"errors"
	"fmt"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// FrameQuestion is a whole frame about which ExplainFrame is asked.
type FrameQuestion struct {
	In       frame.Interface // of the port by which it comes in; its tag says by which VLAN there
	Ethernet []byte          // from the destination MAC address on, with its tag; it is not changed

	Unsealed bool // as that of Question
}

// ErrNotByFrame refuses frames of what has none.
var ErrNotByFrame = errors.New("frames come in by VLANs: of what comes out of a tunnel, ask about the packet")

// ExplainFrame is Explain for a whole frame, malformed ones included: it tells
// what the port, the fast path and the stack would do with it. in is the interface
// that it comes in by, 0 if by none.
func (ch *Chassis) ExplainFrame(q FrameQuestion) (x Explanation, in frame.Interface, err error) {
	i := ch.interfaces[q.In]
	if i == nil {
		return x, 0, ErrNotByFrame
	}
	f := frame.Copy(q.Ethernet, 0)
	in, why := i.Judge(&f)
	if why != drop.None {
		says := fmt.Sprintf("port %s: %s", i.PortName(), withoutStop(why.Info().Means))
		if why == drop.VLANUnknown || why == drop.DoubleTagged {
			says += fmt.Sprintf(" (its tag says %d)", f.VLAN)
		}
		found := Finding{Hook: "port", Says: says, Rule: why.Info().Rule, Verdict: Dropped, Reason: why}
		return Explanation{[]Finding{found}, Fate{End: EndDropped, Reason: why}}, in, nil
	}
	if f.EtherType() == frame.TypeARP {
		found := Finding{Hook: "port", Says: "an ARP message: it is for the router itself, and goes no further", Rule: "RFC 826"}
		return Explanation{[]Finding{found}, Fate{End: EndDelivered}}, in, nil
	}
	x, err = ch.routerOf[in].Explain(Question{In: in, Packet: f.Payload(), Unsealed: q.Unsealed, Group: f.Dst().IsGroup()})
	return x, in, err
}
