package netstack

import (
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/waiter"

	"spigate/netstack/frame"
)

// espProtocol makes protocol 50 known to the stack, which then hands whole
// packets of it for our own addresses to espHandler. There are no endpoints.
type espProtocol struct{}

var _ stack.TransportProtocol = espProtocol{}

func newESPProtocol(*stack.Stack) stack.TransportProtocol { return espProtocol{} }

// espMinimum is SPI and sequence number (RFC 4303 section 2).
const espMinimum = 8

// Number implements stack.TransportProtocol.
func (espProtocol) Number() tcpip.TransportProtocolNumber { return frame.ProtoESP }

// NewEndpoint implements stack.TransportProtocol.
func (espProtocol) NewEndpoint(tcpip.NetworkProtocolNumber, *waiter.Queue) (tcpip.Endpoint, tcpip.Error) {
	return nil, &tcpip.ErrNotSupported{}
}

// NewRawEndpoint implements stack.TransportProtocol.
func (espProtocol) NewRawEndpoint(tcpip.NetworkProtocolNumber, *waiter.Queue) (tcpip.Endpoint, tcpip.Error) {
	return nil, &tcpip.ErrNotSupported{}
}

// MinimumPacketSize implements stack.TransportProtocol.
func (espProtocol) MinimumPacketSize() int { return espMinimum }

// ParsePorts implements stack.TransportProtocol. ESP has none.
func (espProtocol) ParsePorts([]byte) (src, dst uint16, err tcpip.Error) { return 0, 0, nil }

// HandleUnknownDestinationPacket implements stack.TransportProtocol. The handler
// has said whatever is to be said.
func (espProtocol) HandleUnknownDestinationPacket(stack.TransportEndpointID, *stack.PacketBuffer) stack.UnknownDestinationPacketDisposition {
	return stack.UnknownDestinationPacketHandled
}

// SetOption implements stack.TransportProtocol.
func (espProtocol) SetOption(tcpip.SettableTransportProtocolOption) tcpip.Error {
	return &tcpip.ErrUnknownProtocolOption{}
}

// Option implements stack.TransportProtocol.
func (espProtocol) Option(tcpip.GettableTransportProtocolOption) tcpip.Error {
	return &tcpip.ErrUnknownProtocolOption{}
}

// Close implements stack.TransportProtocol: there is nothing that runs.
func (espProtocol) Close() {}

// Wait implements stack.TransportProtocol.
func (espProtocol) Wait() {}

// Pause implements stack.TransportProtocol.
func (espProtocol) Pause() {}

// Resume implements stack.TransportProtocol.
func (espProtocol) Resume() {}

// Restore implements stack.TransportProtocol.
func (espProtocol) Restore() {}

// Parse implements stack.TransportProtocol.
func (espProtocol) Parse(pk *stack.PacketBuffer) bool {
	_, ok := pk.TransportHeader().Consume(espMinimum)
	return ok
}
