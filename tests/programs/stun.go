package programs

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/pion/stun/v3"
)

// Behaviour is what a NAT does, in the words of RFC 4787.
type Behaviour string

// The three behaviours, of mapping and of filtering alike.
const (
	EndpointIndependent     Behaviour = "ENDPOINT-INDEPENDENT"
	AddressDependent        Behaviour = "ADDRESS-DEPENDENT"
	AddressAndPortDependent Behaviour = "ADDRESS-PORT-DEPENDENT"
)

// Discover asks an RFC 5780 server how the NAT on the way maps and filters
// (sections 4.3 and 4.4): each question from a socket of its own, because the
// first would answer the second.
func Discover(server netip.AddrPort) (mapping, filtering Behaviour, err error) {
	if mapping, err = withSocket(server, discoverMapping); err != nil {
		return "", "", fmt.Errorf("mapping: %w", err)
	}
	if filtering, err = withSocket(server, discoverFiltering); err != nil {
		return "", "", fmt.Errorf("filtering: %w", err)
	}
	return mapping, filtering, nil
}

func withSocket(server netip.AddrPort, ask func(*client) (Behaviour, error)) (b Behaviour, err error) {
	conn, err := net.ListenUDP("udp4", nil)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	return ask(&client{conn, server})
}

type client struct {
	conn   *net.UDPConn
	server netip.AddrPort
}

// answer is what the server says: who we are, and its other address.
type answer struct{ mapped, other netip.AddrPort }

func discoverMapping(c *client) (Behaviour, error) {
	first, err := c.ask(c.server, 0)
	if err != nil {
		return "", err
	}
	addr, err := c.ask(netip.AddrPortFrom(first.other.Addr(), c.server.Port()), 0)
	if err != nil || addr.mapped == first.mapped {
		return EndpointIndependent, err
	}
	port, err := c.ask(first.other, 0)
	if err != nil || port.mapped == addr.mapped {
		return AddressDependent, err
	}
	return AddressAndPortDependent, nil
}

// Bits of CHANGE-REQUEST (RFC 5780 section 7.2).
const (
	changePort    = 2
	changeAddress = 4
)

func discoverFiltering(c *client) (Behaviour, error) {
	if _, err := c.ask(c.server, 0); err != nil {
		return "", err
	}
	for _, try := range []struct {
		change byte
		means  Behaviour
	}{{changeAddress | changePort, EndpointIndependent}, {changePort, AddressDependent}} {
		_, err := c.ask(c.server, try.change)
		if err == nil {
			return try.means, nil
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return "", err
		}
	}
	return AddressAndPortDependent, nil
}

// ask sends a request up to four times and waits for its answer.
func (c *client) ask(to netip.AddrPort, change byte) (answer, error) {
	setters := []stun.Setter{stun.TransactionID, stun.BindingRequest}
	if change != 0 {
		setters = append(setters, stun.RawAttribute{Type: stun.AttrChangeRequest, Length: 4, Value: []byte{0, 0, 0, change}})
	}
	request, err := stun.Build(append(setters, stun.Fingerprint)...)
	if err != nil {
		return answer{}, err
	}
	for range 4 {
		if _, err = c.conn.WriteToUDPAddrPort(request.Raw, to); err != nil {
			return answer{}, err
		}
		var a answer
		if a, err = c.await(request); !errors.Is(err, os.ErrDeadlineExceeded) {
			return a, err
		}
	}
	return answer{}, fmt.Errorf("%v: no answer: %w", to, err)
}

func (c *client) await(request *stun.Message) (answer, error) {
	if err := c.conn.SetReadDeadline(time.Now().Add(500 * time.Millisecond)); err != nil {
		return answer{}, err
	}
	buf := make([]byte, 1500)
	for {
		n, err := c.conn.Read(buf)
		if err != nil {
			return answer{}, err
		}
		m := &stun.Message{Raw: buf[:n]}
		if m.Decode() != nil || m.TransactionID != request.TransactionID {
			continue // an answer that came too late
		}
		var mapped stun.XORMappedAddress
		var other stun.OtherAddress
		if err := errors.Join(mapped.GetFrom(m), other.GetFrom(m)); err != nil {
			return answer{}, err
		}
		return answer{endpoint(mapped.IP, mapped.Port), endpoint(other.IP, other.Port)}, nil
	}
}

func endpoint(ip net.IP, port int) netip.AddrPort {
	a, _ := netip.AddrFromSlice(ip.To4())
	return netip.AddrPortFrom(a, uint16(port))
}
