package bpf

// Reason says why the program left a frame to the stack. It is no drop: the stack
// judges the frame by itself.
type Reason uint32

// The reasons, in the order of the program's enum.
const (
	Short        Reason = iota + 1 // cut before the end of its headers
	NotOurs                        // not for the port's address, or from it
	Type                           // not IPv4 in at most one 802.1Q tag
	VLAN                           // of no interface
	Options                        // IPv4 options, or another version
	Length                         // lengths that contradict each other
	Fragment                       // a fragment
	TTL                            // 1 or less
	Checksum                       // of the IPv4 header
	Protocol                       // not ESP, UDP or TCP
	Flags                          // TCP with SYN, FIN or RST
	IKE                            // for the ALG, which must see all of it (R50)
	Miss                           // no such flow
	Changed                        // its flow, or the next hop, changed while it was looked at
	Extended                       // its flow needs more than a rewrite
	Fragmentable                   // DF is clear, and the stack gives it an id (R29)
	Hop                            // the next hop is not valid
	MTU                            // too long for the next hop's link
	Due                            // the one that keeps the next hop's neighbour entry in use
	Port                           // the port that it would leave by is not there
	Room                           // no room for a tag

	Reasons // how many, with 0, which is none
)

// String returns the reason in words with dashes.
func (r Reason) String() string {
	if r < Reasons {
		return reasonNames[r]
	}
	return "unknown"
}

var reasonNames = [Reasons]string{
	"none", "short", "not-ours", "type", "vlan", "options", "length", "fragment", "ttl", "checksum", "protocol",
	"flags", "ike", "miss", "changed", "extended", "fragmentable", "hop", "mtu", "due", "port", "room",
}
