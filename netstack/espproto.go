package netstack

import (
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"spigate/netstack/frame"
)

// espProtocol makes protocol 50 known to the stack, which then hands whole
// packets of it for our own addresses to espHandler.
type espProtocol struct{ noEndpoints }

var _ stack.TransportProtocol = espProtocol{}

func newESPProtocol(*stack.Stack) stack.TransportProtocol { return espProtocol{} }

// espMinimum is SPI and sequence number (RFC 4303 section 2).
const espMinimum = 8

// Number implements stack.TransportProtocol.
func (espProtocol) Number() tcpip.TransportProtocolNumber { return frame.ProtoESP }

// MinimumPacketSize implements stack.TransportProtocol.
func (espProtocol) MinimumPacketSize() int { return espMinimum }

// ParsePorts implements stack.TransportProtocol. ESP has none.
func (espProtocol) ParsePorts([]byte) (src, dst uint16, err tcpip.Error) { return 0, 0, nil }

// HandleUnknownDestinationPacket implements stack.TransportProtocol. The handler
// has said whatever is to be said.
func (espProtocol) HandleUnknownDestinationPacket(stack.TransportEndpointID, *stack.PacketBuffer) stack.UnknownDestinationPacketDisposition {
	return stack.UnknownDestinationPacketHandled
}

// Parse implements stack.TransportProtocol.
func (espProtocol) Parse(pk *stack.PacketBuffer) bool {
	_, ok := pk.TransportHeader().Consume(espMinimum)
	return ok
}
