package netstack

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/waiter"

	"spigate/netstack/frame"
	"spigate/netstack/link"
)

// pagesAt is where the router of these tests serves its pages.
var pagesAt = netip.MustParseAddrPort("192.0.2.1:443")

// running is a router with real time that runs until the test ends. Two of them
// at one cable are a host and the router that it asks.
func running(t *testing.T, ports []Port, routes ...Route) *Router {
	t.Helper()
	r, err := New(Config{ChassisConfig{Ports: ports, Flows: 64}, RouterConfig{Routes: routes, OwnTCP: true}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return r
}

// cabled is one port with one VLAN.
func cabled(name string, d link.Driver, id frame.Interface, address string) Port {
	return Port{Name: name, Driver: d, VLANs: []VLAN{{ID: id, Name: name, Addresses: prefixes(address)}}}
}

// hostsAround is a router with an inside and an outside, and a host on either.
func hostsAround(t *testing.T) (router, inside, outside *Router) {
	near, far := link.NewPair(lanMAC, frame.MAC{2, 0, 0, 0, 1, 1}, 1500)
	near2, far2 := link.NewPair(wanMAC, frame.MAC{2, 0, 0, 0, 1, 2}, 1500)
	router = running(t, []Port{cabled("lan", near, lanIf, "192.0.2.1/24"), cabled("wan", near2, wanIf, "203.0.113.1/24")})
	inside = running(t, []Port{cabled("eth0", far, 1, "192.0.2.11/24")})
	toAll := Route{To: netip.MustParsePrefix("0.0.0.0/0"), Via: wanAddr.Netip()}
	outside = running(t, []Port{cabled("eth0", far2, 1, "203.0.113.254/24")}, toAll)
	return router, inside, outside
}

// dial connects from a host to an address of the router.
func dial(ctx context.Context, from *Router, to netip.AddrPort) (net.Conn, error) {
	return gonet.DialContextTCP(ctx, from.stack, tcpip.FullAddress{Addr: tcpip.AddrFrom4(to.Addr().As4()), Port: to.Port()}, ipv4.ProtocolNumber)
}

func TestAPageIsServedAtAnAddressOfTheRouter(t *testing.T) {
	router, inside, _ := hostsAround(t)
	l, err := router.ListenTCP(pagesAt)
	if err != nil {
		t.Fatal(err)
	}
	page := make([]byte, 200_000) // many segments, and more than its buffers hold
	for i := range page {
		page[i] = byte(i * i >> 8)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(page) })}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, inside, pagesAt) }}
	answer, err := (&http.Client{Transport: transport}).Get("http://192.0.2.1:443/")
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(answer.Body)
	if err != nil || string(got) != string(page) {
		t.Errorf("%d bytes came of %d (%v)", len(got), len(page), err)
	}
	answer.Body.Close()
	transport.CloseIdleConnections()
	server.Close()
	<-ended
}

func TestAnAddressOfTheInsideIsNotServedToTheOutside(t *testing.T) {
	router, inside, outside := hostsAround(t)
	l, err := router.ListenTCP(pagesAt)
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan string)
	go func() {
		defer close(accepted)
		for c, err := l.Accept(); err == nil; c, err = l.Accept() {
			accepted <- c.RemoteAddr().(*net.TCPAddr).IP.String()
			_ = c.Close()
		}
	}()
	for _, from := range []*Router{outside, inside} {
		c, err := dial(t.Context(), from, pagesAt)
		if err != nil {
			t.Fatal(err)
		}
		if from == inside {
			if who := <-accepted; who != client1.String() {
				t.Errorf("%s was accepted", who)
			}
		}
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("something was said")
		}
		c.Close()
	}
	if c, err := dial(t.Context(), inside, netip.AddrPortFrom(pagesAt.Addr(), 22)); err == nil {
		c.Close()
		t.Error("a port at which nobody listens is open")
	}
	l.Close()
	for who := range accepted {
		t.Errorf("%s was accepted, too", who)
	}
}

func TestNobodyListensAtWhatIsNotTheRouters(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.OwnTCP = true })
	for _, at := range []string{"192.0.2.11:443", "[::1]:443", "203.0.113.3:443"} {
		if l, err := w.r.ListenTCP(netip.MustParseAddrPort(at)); err == nil {
			l.Close()
			t.Errorf("listens at %s", at)
		}
	}
	if !w.r.Owns(lanAddr.Netip()) || w.r.Owns(natAddr.Netip()) {
		t.Error("it does not know its addresses")
	}
}

func TestARouterWithoutTCPOfItsOwnSaysSo(t *testing.T) {
	w := newWorld(t)
	if _, err := w.r.ListenTCP(pagesAt); err == nil {
		t.Error("listens without TCP")
	}
}

// Who takes nothing of what a page has left to send, and answers every probe,
// would keep a closed connection for ever: the stack gives up after ownPatience,
// which a connection has from the port that it came to.
func TestAConnectionHasThePatienceOfItsPort(t *testing.T) {
	router, inside, _ := hostsAround(t)
	var queue waiter.Queue
	came := make(chan struct{}, 1)
	entry := waiter.NewFunctionEntry(waiter.ReadableEvents, func(waiter.EventMask) {
		select {
		case came <- struct{}{}:
		default:
		}
	})
	queue.EventRegister(&entry)
	port, err := router.ownPort(tcpip.FullAddress{NIC: tcpip.NICID(lanIf), Addr: tcpip.AddrFrom4(lanAddr), Port: 443}, &queue)
	if err != nil {
		t.Fatal(err)
	}
	defer port.Close()
	c, err := dial(t.Context(), inside, pagesAt)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	<-came
	accepted, _, fault := port.Accept(nil)
	if fault != nil {
		t.Fatal(fault)
	}
	defer accepted.Close()
	var patience tcpip.TCPUserTimeoutOption
	if fault := accepted.GetSockOpt(&patience); fault != nil || time.Duration(patience) != ownPatience {
		t.Errorf("%v (%v), want %v", time.Duration(patience), fault, ownPatience)
	}
}
