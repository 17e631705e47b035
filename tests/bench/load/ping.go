package load

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"spigate/tests/netns"
)

// pingPatience is how long an answer may take, and pingsLost how many may take
// longer.
const (
	pingPatience = time.Second
	pingsLost    = 3
)

// Ping asks a host count times from a namespace, with a pause between, so that
// everything falls asleep, and returns how long each answer took. The first
// question, for which neighbours are looked up and flows set up, is asked
// beforehand, and again if nobody answers. A few answers that do not come are
// left out.
func Ping(ctx context.Context, from *netns.Namespace, to netip.Addr, count int, pause time.Duration) (trips []time.Duration, err error) {
	var c net.PacketConn
	err = from.Do(func() (err error) {
		c, err = net.ListenPacket("ip4:icmp", "0.0.0.0")
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("ping: %w", err)
	}
	defer c.Close()
	for range 5 {
		if _, err = ask(c, to, 0); err == nil {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("ping %v: %w", to, err)
	}
	tick := time.NewTicker(pause)
	defer tick.Stop()
	lost := 0
	for n := range count {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return trips, ctx.Err()
		}
		d, err := ask(c, to, uint16(n+1))
		if err != nil && lost < pingsLost {
			lost++
			continue
		}
		if err != nil {
			return trips, fmt.Errorf("ping %v: %w", to, err)
		}
		trips = append(trips, d)
	}
	return trips, nil
}

// pingID is the identifier of our questions.
const pingID = 0x5047

func ask(c net.PacketConn, to netip.Addr, n uint16) (time.Duration, error) {
	b := header.ICMPv4(make([]byte, 64))
	b.SetType(header.ICMPv4Echo)
	b.SetIdent(pingID)
	b.SetSequence(n)
	b.SetChecksum(^checksum.Checksum(b, 0))
	start := netns.Monotonic()
	if _, err := c.WriteTo(b, &net.IPAddr{IP: to.AsSlice()}); err != nil {
		return 0, err
	}
	if err := c.SetReadDeadline(time.Now().Add(pingPatience)); err != nil {
		return 0, err
	}
	answer := make([]byte, 256)
	for {
		got, _, err := c.ReadFrom(answer)
		if err != nil {
			return 0, errors.Join(errors.New("no answer"), err)
		}
		if isAnswer(answer[:got], n) {
			return time.Duration(netns.Monotonic() - start), nil
		}
	}
}

func isAnswer(b []byte, n uint16) bool {
	return len(b) >= header.ICMPv4MinimumSize && header.ICMPv4(b).Type() == header.ICMPv4EchoReply &&
		binary.BigEndian.Uint16(b[4:]) == pingID && binary.BigEndian.Uint16(b[6:]) == n
}
