package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// pinArg begins "agent pin CLIENT=INNER...", run in a gateway's namespace.
const pinArg = "pin"

// A pinned client: where it is, and what the gateway's policy for it names as
// its destination.
type pinned struct {
	inner string // as in 10.98.1.1/32
	at    *netlink.Handle
}

// pin binds the gateway's policy for each client to the newest outbound SA
// whose SPI that client has, until it is killed. OpenIKED's policies name no SA
// on Linux, and the kernel then encrypts for several clients on one address
// with whichever SA came last. It follows the kernels' own events: between a
// new SA and the policy that uses it there is no more than a moment.
func pin(args []string) error {
	// What kills a client's processes goes by the namespace of their first
	// thread: that one must not be lent to within.
	runtime.LockOSThread()
	changed := make(chan struct{}, 1)
	gateway, err := netlink.NewHandle(unix.NETLINK_XFRM)
	if err != nil {
		return err
	}
	if err := listen(changed); err != nil {
		return err
	}
	var clients []pinned
	for _, a := range args {
		name, inner, _ := strings.Cut(a, "=")
		p := pinned{inner: inner}
		err := within(name, func() (err error) {
			p.at, err = netlink.NewHandle(unix.NETLINK_XFRM)
			return errors.Join(err, listen(changed))
		})
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		clients = append(clients, p)
	}
	for {
		if err := pinAll(gateway, clients); err != nil {
			fmt.Println("pin:", err) // an SA may go while one looks
		}
		<-changed
	}
}

// within does something in the namespace of a host.
func within(host string, do func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlock: the thread ends with this goroutine
		f, err := os.Open("/run/netns/" + host)
		if err == nil {
			err = errors.Join(unix.Setns(int(f.Fd()), unix.CLONE_NEWNET), f.Close())
		}
		if err == nil {
			err = do()
		}
		done <- err
	}()
	return <-done
}

// listen lets every change of SAs and policies in the namespace be felt.
func listen(changed chan<- struct{}) error {
	s, err := nl.Subscribe(unix.NETLINK_XFRM, nl.XFRMNLGRP_SA, nl.XFRMNLGRP_POLICY)
	if err != nil {
		return err
	}
	go func() {
		for {
			_, _, err := s.Receive()
			if err != nil && !errors.Is(err, unix.ENOBUFS) && !errors.Is(err, unix.EINTR) {
				fmt.Println("pin:", err)
				return
			}
			select {
			case changed <- struct{}{}:
			default: // somebody will look in any case
			}
		}
	}()
	return nil
}

// pinAll looks at everything once. Policies that are right stay as they are,
// so that its own changes do not keep it busy.
func pinAll(gateway *netlink.Handle, clients []pinned) error {
	own, err := gateway.XfrmStateList(netlink.FAMILY_V4)
	if err != nil {
		return err
	}
	policies, err := gateway.XfrmPolicyList(netlink.FAMILY_V4)
	if err != nil {
		return err
	}
	for _, c := range clients {
		theirs, lerr := c.at.XfrmStateList(netlink.FAMILY_V4)
		sa, found := newest(own, theirs)
		if lerr != nil || !found {
			err = errors.Join(err, lerr)
			continue
		}
		for _, p := range policies {
			if p.Dir == netlink.XFRM_DIR_OUT && p.Dst.String() == c.inner && len(p.Tmpls) == 1 && p.Tmpls[0].Spi != sa.Spi {
				err = errors.Join(err, bind(gateway, p, sa))
			}
		}
	}
	return err
}

// newest returns the gateway's newest SA that a client has, too, with keys at
// both ends: before that, nothing is to be sent with it. The kernel lists the
// newest first.
func newest(own, theirs []netlink.XfrmState) (netlink.XfrmState, bool) {
	for _, sa := range own {
		for _, t := range theirs {
			if sa.Spi == t.Spi && keyed(sa) && keyed(t) && !t.Src.Equal(net.IPv4zero) && t.Src.Equal(sa.Src) {
				return sa, true
			}
		}
	}
	return netlink.XfrmState{}, false
}

func keyed(sa netlink.XfrmState) bool { return sa.Crypt != nil || sa.Aead != nil }

func bind(gateway *netlink.Handle, p netlink.XfrmPolicy, sa netlink.XfrmState) error {
	p.Tmpls[0].Src, p.Tmpls[0].Dst, p.Tmpls[0].Spi = sa.Src, sa.Dst, sa.Spi
	if err := gateway.XfrmPolicyUpdate(&p); err != nil {
		return fmt.Errorf("policy for %v with SPI %#08x: %w", p.Dst, sa.Spi, err)
	}
	return nil
}
