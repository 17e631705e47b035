package wire

import (
	"net"
	"net/netip"
	"slices"

	"spigate/cmd/internal/web"
	"spigate/configs"
	"spigate/netstack"
)

// openPort listens for the web pages. An address of one of the router's own
// interfaces the kernel of the machine does not have: the router's stack serves
// there, to those behind that interface.
func (d *Daemon) openPort(address string) (net.Listener, error) {
	if at, err := netip.ParseAddrPort(address); err == nil && d.chassis.Owns(at.Addr()) {
		return d.chassis.ListenTCP(at)
	}
	return net.Listen("tcp", address)
}

// withPages gives the router TCP of its own whose address the pages have.
func withPages(c *configs.Config, routers []netstack.RouterConfig) {
	at, err := netip.ParseAddrPort(c.Control.HTTP)
	if err != nil {
		return
	}
	for _, v := range c.VLANs {
		if !slices.ContainsFunc(v.Addresses, func(a netip.Prefix) bool { return a.Addr() == at.Addr() }) {
			continue
		}
		for i := range routers {
			routers[i].OwnTCP = routers[i].OwnTCP || v.Domain == routers[i].Domain
		}
	}
}

// openWeb makes the server of the web pages and listens, if there is to be one.
func (d *Daemon) openWeb() error {
	c := d.config
	if c.Control.HTTP == "" {
		return nil
	}
	server, err := web.New(web.Config{
		Address: c.Control.HTTP, Backend: d.views, Editor: d.views, Web: c.Web, StateDir: c.System.StateDir, Hostname: c.System.Hostname,
		Extra: d.monitors, Log: d.log, Open: d.openPort,
	})
	if err != nil {
		return err
	}
	if err := server.Listen(); err != nil {
		return err
	}
	d.web = server
	return nil
}

func (d *Daemon) closeWeb() {
	if d.web != nil {
		d.web.Close()
	}
}
