package ltm

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"
)

// A server that rejects, and one that is full, say so at once: TCP by a RST,
// UDP by an ICMP error (VR9, VR18).
func TestWhoIsRefusedIsToldAtOnce(t *testing.T) {
	p := settle(t, ipsec0+"connection_limit = 1\n"+
		"[ltm.virtual.hole]\ndestination = \"10.1.1.128/25:any\"\nreject = true\n")
	p.serve(p.far, netip.AddrPortFrom(far, 80))
	hole := netip.MustParseAddr("10.1.1.200")
	refused := func(what string, to netip.AddrPort) {
		t.Helper()
		if _, err := p.dial(p.local, to, soon); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("%s: %v", what, err)
		}
	}
	refused("a server that rejects", netip.AddrPortFrom(hole, 80))
	p.dropped("vs_rejected", 1)
	first := p.talk(netip.AddrPortFrom(far, 80), 1000)
	refused("a server that is full", netip.AddrPortFrom(far, 80))
	p.dropped("connection_limit", 1)
	if err := exchange(first, 1000); err != nil {
		t.Errorf("the one that it has: %v", err)
	}
	var c net.Conn
	p.must(p.local.Do(func() (err error) {
		c, err = net.Dial("udp4", netip.AddrPortFrom(hole, 53).String())
		return err
	}))
	defer c.Close()
	p.must(c.SetDeadline(time.Now().Add(soon)))
	_, err := c.Write([]byte("anybody there?"))
	p.must(err)
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.EHOSTUNREACH) {
		t.Errorf("UDP: %v", err)
	}
	p.dropped("vs_rejected", 2)
}
