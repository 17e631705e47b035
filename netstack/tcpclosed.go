package netstack

import (
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/header/parse"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/waiter"
)

// tcpClosed is TCP as the router itself has it: every port is closed, and who
// tries one is told by a reset (RFC 9293 section 3.10.7.1). gVisor's own, with
// connections and a goroutine for each processor, would take a third of a
// megabyte of flash for no more than that.
type tcpClosed struct {
	noEndpoints
	stack *stack.Stack
}

var _ stack.TransportProtocol = tcpClosed{}

func newTCPClosed(s *stack.Stack) stack.TransportProtocol { return tcpClosed{stack: s} }

// Number implements stack.TransportProtocol.
func (tcpClosed) Number() tcpip.TransportProtocolNumber { return header.TCPProtocolNumber }

// MinimumPacketSize implements stack.TransportProtocol.
func (tcpClosed) MinimumPacketSize() int { return header.TCPMinimumSize }

// ParsePorts implements stack.TransportProtocol.
func (tcpClosed) ParsePorts(b []byte) (src, dst uint16, err tcpip.Error) {
	h := header.TCP(b)
	return h.SourcePort(), h.DestinationPort(), nil
}

// Parse implements stack.TransportProtocol.
func (tcpClosed) Parse(pk *stack.PacketBuffer) bool { return parse.TCP(pk) }

// HandleUnknownDestinationPacket implements stack.TransportProtocol: it resets
// whatever is whole and no reset itself.
func (t tcpClosed) HandleUnknownDestinationPacket(id stack.TransportEndpointID, pk *stack.PacketBuffer) stack.UnknownDestinationPacketDisposition {
	h := header.TCP(pk.TransportHeader().Slice())
	size := uint16(pk.Data().Size())
	_, sum, ok := header.TCPValid(h, func() uint16 { return pk.Data().Checksum() }, size,
		id.RemoteAddress, id.LocalAddress, pk.RXChecksumValidated)
	if !ok || !sum {
		return stack.UnknownDestinationPacketMalformed
	}
	if !h.Flags().Contains(header.TCPFlagRst) {
		t.reset(id, pk, resetOf(h, size))
	}
	return stack.UnknownDestinationPacketHandled
}

// resetOf is the reset that answers a segment with size bytes of data.
func resetOf(h header.TCP, size uint16) header.TCPFields {
	f := header.TCPFields{
		SrcPort: h.DestinationPort(), DstPort: h.SourcePort(),
		DataOffset: header.TCPMinimumSize, Flags: header.TCPFlagRst,
	}
	if h.Flags().Contains(header.TCPFlagAck) {
		f.SeqNum = h.AckNumber()
		return f
	}
	f.Flags |= header.TCPFlagAck
	f.AckNum = h.SequenceNumber() + uint32(size)
	for _, counts := range []header.TCPFlags{header.TCPFlagSyn, header.TCPFlagFin} {
		if h.Flags().Contains(counts) {
			f.AckNum++
		}
	}
	return f
}

// reset sends one back the way the segment came. If there is no way, nobody is
// told.
func (t tcpClosed) reset(id stack.TransportEndpointID, pk *stack.PacketBuffer, f header.TCPFields) {
	route, err := t.stack.FindRoute(pk.NICID, id.LocalAddress, id.RemoteAddress, pk.NetworkProtocolNumber, false)
	if err != nil {
		return
	}
	defer route.Release()
	out := stack.NewPacketBuffer(stack.PacketBufferOptions{ReserveHeaderBytes: header.TCPMinimumSize + int(route.MaxHeaderLength())})
	defer out.DecRef()
	out.TransportProtocolNumber = header.TCPProtocolNumber
	h := header.TCP(out.TransportHeader().Push(header.TCPMinimumSize))
	h.Encode(&f)
	h.SetChecksum(^h.CalculateChecksum(route.PseudoHeaderChecksum(header.TCPProtocolNumber, header.TCPMinimumSize)))
	_ = route.WritePacket(stack.NetworkHeaderParams{
		Protocol: header.TCPProtocolNumber, TTL: route.DefaultTTL(), TOS: stack.DefaultTOS,
	}, out) // the stack counts what it could not send
}

// noEndpoints is what protocols of the stack have in common at which nobody can
// open an endpoint, and of which nothing runs.
type noEndpoints struct{}

// NewEndpoint implements stack.TransportProtocol.
func (noEndpoints) NewEndpoint(tcpip.NetworkProtocolNumber, *waiter.Queue) (tcpip.Endpoint, tcpip.Error) {
	return nil, &tcpip.ErrNotSupported{}
}

// NewRawEndpoint implements stack.TransportProtocol.
func (noEndpoints) NewRawEndpoint(tcpip.NetworkProtocolNumber, *waiter.Queue) (tcpip.Endpoint, tcpip.Error) {
	return nil, &tcpip.ErrNotSupported{}
}

// SetOption implements stack.TransportProtocol.
func (noEndpoints) SetOption(tcpip.SettableTransportProtocolOption) tcpip.Error {
	return &tcpip.ErrUnknownProtocolOption{}
}

// Option implements stack.TransportProtocol.
func (noEndpoints) Option(tcpip.GettableTransportProtocolOption) tcpip.Error {
	return &tcpip.ErrUnknownProtocolOption{}
}

// Close implements stack.TransportProtocol: there is nothing that runs.
func (noEndpoints) Close() {}

// Wait implements stack.TransportProtocol.
func (noEndpoints) Wait() {}

// Pause implements stack.TransportProtocol.
func (noEndpoints) Pause() {}

// Resume implements stack.TransportProtocol.
func (noEndpoints) Resume() {}

// Restore implements stack.TransportProtocol.
func (noEndpoints) Restore() {}
