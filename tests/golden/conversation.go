package golden

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Side is the end of a conversation that sends a Step.
type Side uint8

// The two ends: the client is inside the NAT, the gateway is the remote.
const (
	Client Side = iota
	Gateway
)

// String returns client or gateway.
func (s Side) String() string {
	if s == Client {
		return "client"
	}
	return "gateway"
}

// Other returns the opposite end.
func (s Side) Other() Side { return 1 - s }

// Kind tells IKE from ESP.
type Kind uint8

// The kinds of payload in a conversation.
const (
	IKE Kind = iota // UDP port 500
	ESP             // IP protocol 50
)

// String returns IKE or ESP.
func (k Kind) String() string {
	if k == IKE {
		return "IKE"
	}
	return "ESP"
}

// Port is the UDP port of IKE on both ends of a recording.
const Port = 500

// IKE exchange types that a replay needs to know (RFC 2408 section 3.1, RFC
// 7296 section 3.1).
const (
	ExchangeIdentity      = 2  // IKEv1 main mode
	ExchangeInfo          = 5  // IKEv1 informational
	ExchangeQuick         = 32 // IKEv1 quick mode
	ExchangeInit          = 34 // IKE_SA_INIT
	ExchangeAuth          = 35 // IKE_AUTH
	ExchangeChild         = 36 // CREATE_CHILD_SA
	ExchangeInformational = 37 // IKEv2 INFORMATIONAL
)

// Step is one packet of a conversation.
type Step struct {
	From    Side
	Kind    Kind
	At      time.Duration // since the first step of the recording
	Payload []byte        // after the UDP header for IKE, after the IP header for ESP
	TTL     uint8         // as recorded, at the client's side of the NAT
	TOS     uint8
	DF      bool // don't fragment
}

// SPI returns the ESP security parameters index, 0 for IKE.
func (s *Step) SPI() uint32 {
	if s.Kind != ESP {
		return 0
	}
	return binary.BigEndian.Uint32(s.Payload)
}

// Sequence returns the ESP sequence number, 0 for IKE.
func (s *Step) Sequence() uint32 {
	if s.Kind != ESP {
		return 0
	}
	return binary.BigEndian.Uint32(s.Payload[4:])
}

// Cookie returns the IKE initiator's cookie or SPI, 0 for ESP.
func (s *Step) Cookie() uint64 {
	if s.Kind != IKE {
		return 0
	}
	return binary.BigEndian.Uint64(s.Payload)
}

// Exchange returns the IKE exchange type, 0 for ESP.
func (s *Step) Exchange() uint8 {
	if s.Kind != IKE {
		return 0
	}
	return s.Payload[18]
}

// MessageID returns the IKE message id, 0 for ESP.
func (s *Step) MessageID() uint32 {
	if s.Kind != IKE {
		return 0
	}
	return binary.BigEndian.Uint32(s.Payload[20:])
}

// IsPhase2 reports whether the step can create an ESP SA (section 4.3 of the
// rules): quick mode, IKE_AUTH, CREATE_CHILD_SA.
func (s *Step) IsPhase2() bool {
	x := s.Exchange()
	return x == ExchangeQuick || x == ExchangeAuth || x == ExchangeChild
}

// String names the sender and the packet as a reader of a trace would.
func (s *Step) String() string { return s.From.String() + " " + s.Describe() }

// Describe names the packet without its sender.
func (s *Step) Describe() string {
	if s.Kind == ESP {
		return fmt.Sprintf("ESP spi=%08x seq=%d", s.SPI(), s.Sequence())
	}
	return fmt.Sprintf("IKE %s msgid=%08x %d bytes", exchangeName(s.Exchange()), s.MessageID(), len(s.Payload))
}

func exchangeName(x uint8) string {
	switch x {
	case ExchangeIdentity:
		return "main mode"
	case ExchangeInfo:
		return "informational"
	case ExchangeQuick:
		return "quick mode"
	case ExchangeInit:
		return "IKE_SA_INIT"
	case ExchangeAuth:
		return "IKE_AUTH"
	case ExchangeChild:
		return "CREATE_CHILD_SA"
	case ExchangeInformational:
		return "INFORMATIONAL"
	}
	return fmt.Sprintf("exchange %d", x)
}

// Conversation is everything that one client and its gateway said.
type Conversation struct {
	Name    string
	Client  netip.Addr // inside address
	Gateway netip.Addr // remote address
	Steps   []Step
}

// Rebase returns the conversation between other addresses. Steps are shared:
// they hold no addresses.
func (c Conversation) Rebase(client, gateway netip.Addr) Conversation {
	c.Client, c.Gateway = client, gateway
	return c
}

// Named returns the conversation under another name.
func (c Conversation) Named(name string) Conversation {
	c.Name = name
	return c
}

// Repeat returns the conversation with all its ESP packets sent again, rounds
// times, after its end, in the recorded order. Sequence numbers are repeated
// too: a NAT does not look at them once an SPI is bound (rule R65).
func (c Conversation) Repeat(rounds int) Conversation {
	steps := slices.Clone(c.Steps)
	for range rounds {
		for _, s := range c.Steps {
			if s.Kind == ESP {
				steps = append(steps, s)
			}
		}
	}
	c.Steps = steps
	return c
}

// Until returns the conversation up to the first step for which stop is true,
// without that step.
func (c Conversation) Until(stop func(i int, s *Step) bool) Conversation {
	for i := range c.Steps {
		if stop(i, &c.Steps[i]) {
			c.Steps = c.Steps[:i:i]
			break
		}
	}
	return c
}

// First returns the index of the first step for which is holds, -1 if none.
func (c Conversation) First(is func(s *Step) bool) int {
	for i := range c.Steps {
		if is(&c.Steps[i]) {
			return i
		}
	}
	return -1
}

// Count returns how many steps of one kind one side sends.
func (c Conversation) Count(from Side, kind Kind) int {
	n := 0
	for _, s := range c.Steps {
		if s.From == from && s.Kind == kind {
			n++
		}
	}
	return n
}

// SPIs returns the SPIs that one side sends to, in order of appearance.
func (c Conversation) SPIs(from Side) []uint32 {
	var spis []uint32
	for _, s := range c.Steps {
		if s.Kind == ESP && s.From == from && !slices.Contains(spis, s.SPI()) {
			spis = append(spis, s.SPI())
		}
	}
	return spis
}
