package ltm

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"
)

// A client that has ended its connection by a RST begins another one from the
// same port at once: it is a new one in every respect, whatever became of its
// source.
func TestAClientUsesItsPortAgainAtOnce(t *testing.T) {
	p := settle(t, servers("fastL4"))
	for i := range uint16(3) {
		to := netip.AddrPortFrom(far, 81+i)
		p.serve(p.far, to)
		for range 10 {
			c, err := p.dialFrom(p.local, netip.AddrPortFrom(local, 6000+i), to, soon)
			p.must(err)
			p.must(c.SetDeadline(time.Now().Add(soon)))
			for range 5 {
				_, err = c.Write([]byte("word"))
				p.must(err)
				_, err = c.Read(make([]byte, 4))
				p.must(err)
			}
			p.must(c.(*net.TCPConn).SetLinger(0))
			p.must(c.Close())
		}
		p.eventually("the counters", func() error {
			if got, err := p.counted("virtual", fmt.Sprint("vs", i)); err != nil || got.Total != 10 || got.Resets != 10 || got.Current != 0 {
				return fmt.Errorf("%+v %w", got, err)
			}
			return nil
		})
	}
}
