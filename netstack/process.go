package netstack

import "spigate/netstack/trace"

// step looks at one packet and may rewrite it.
type step struct {
	name string
	run  func(*Router, *packet) outcome
}

// What happens to a packet, hook by hook. A destination can only be rewritten
// before routing; a source only after it, where the egress is known.
var (
	// prerouting meets a packet as it came in.
	prerouting = []step{
		{"cast", (*Router).cast},             // to one, in a frame for one; or to all, on their own network
		{"shape", (*Router).shape},           // can it be translated at all
		{"spoofed", (*Router).spoofed},       // does its source live where it comes from
		{"internal", (*Router).internal},     // IKE and ESP for an end of a tunnel: nobody else is asked (VR1)
		{"inClear", (*Router).inClear},       // should it have come sealed (VR32)
		{"expiring", (*Router).expiring},     // TTL 1: answered by the stack, not forwarded with 0
		{"connection", (*Router).connection}, // of a flow that a listener admitted: its destination is put back (VR4)
		{"hairpin", (*Router).hairpin},       // a subscriber to a NAT address: gets its own one as the source (R26)
		{"piecesIn", (*Router).piecesIn},     // a fragment to a NAT address: as its datagram's first (R29)
		{"icmpIn", (*Router).icmpIn},         // an ICMP error about a translated packet (R74)
		{"espIn", (*Router).espIn},           // ESP to a NAT address: by SPI (section 5)
		{"out2in", (*Router).out2in},         // the rest to a NAT address: by mapping (R19), then the ALG (R38)
		{"listener", (*Router).listener},     // a new flow: who admits it, and as whom does it leave (VR2, VR3)
		{"guard", (*Router).guard},           // an outsider to an inside address, unless exempt (R13)
	}

	// input meets what is for us, before the stack puts pieces together.
	input = []step{
		{"espInUDP", (*Router).espInUDP}, // ESP on port 4500: the rest there is IKE
	}

	// forward meets it with its route, still untranslated.
	forward = []step{
		{"passing", (*Router).passing},     // of a connection: counted, its timer wound (VR16)
		{"icmpOut", (*Router).icmpOut},     // an ICMP error from inside about a packet that we let in (R74)
		{"exempt", (*Router).exempt},       // not from a subscriber, to one, or exempt: routed as it is (R13)
		{"carry", (*Router).carry},         // can this be translated at all
		{"piecesOut", (*Router).piecesOut}, // a fragment: as its datagram's first (R29)
		{"espOut", (*Router).espOut},       // ESP: by SPI (section 5)
		{"in2out", (*Router).in2out},       // the rest: mapping (R14-R19), then the ALG (R58)
	}

	// postrouting meets the copy that leaves. What it needs it looks up again:
	// forward has made it.
	postrouting = []step{
		{"cache", (*Router).cache},       // established: what the fast path would need to know
		{"depart", (*Router).depart},     // of a connection: the source that its server, NAT or SNAT gives it (VR19)
		{"helpOut", (*Router).helpOut},   // FTP, TFTP: what is asked for in its text
		{"source", (*Router).source},     // the subscriber's address becomes the NAT address
		{"discreet", (*Router).discreet}, // and no inside address is left in it
		{"anew", (*Router).anew},         // what a helper has rewritten leaves in its place
		{"pieces", (*Router).pieces},     // what came cut shorter than the way out leaves so
	}

	// output meets what the stack itself says.
	output = []step{
		{"icmpSelf", (*Router).icmpSelf}, // its ICMP errors quote packets on the wrong side of the NAT
		{"homeward", (*Router).homeward}, // its answers leave by the route to the asker
		{"discreet", (*Router).discreet}, // and show no inside address outside
	}

	// egress meets whatever postrouting and output let go, as it will leave (VR25).
	egress = []step{
		{"protect", (*Router).protect}, // a selector is about it: sealed; in clear though it must not be: lost
		{"insert", (*Router).insert},   // in clear and established: the next packet takes the fast path
	}
)

// walk asks each step of a hook in turn. The first verdict other than Continue
// wins.
func (r *Router) walk(hook string, steps []step, p *packet) outcome {
	if p.watched>>trace.MarkShift != 0 {
		return r.tracedWalk(hook, steps, p)
	}
	for i := range steps {
		if o := steps[i].run(r, p); o.verdict != Continue {
			return o
		}
	}
	return goOn
}
