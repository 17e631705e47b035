package wire

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"

	"spigate/configs"
	"spigate/netstack"
	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/link"
	"spigate/netstack/link/takeover"
)

// ports holds what the kernel gave up, and the drivers over it.
type ports struct {
	log   *slog.Logger
	drops *drop.Counters
	taken []*takeover.Port
	open  []link.Driver

	switches *switches // a port may be the end of one in software
}

// take takes every kernel port, then opens all drivers. All are taken before
// the first is opened, so that the kernel never forwards between one that we
// have and one that it still has.
func (p *ports) take(c *configs.Config, stateDir string) error {
	for _, port := range c.Ports {
		if !port.Driver.Ring() {
			continue
		}
		t, err := takeover.Take(port.Device, takeover.Config{Dir: stateDir, Log: p.log})
		if err != nil {
			return fmt.Errorf("port %s: %w", port.Name, err)
		}
		p.taken = append(p.taken, t)
	}
	for _, port := range c.Ports {
		d, err := p.driver(c, port)
		if err != nil {
			return fmt.Errorf("port %s: %w", port.Name, err)
		}
		p.open = append(p.open, d)
	}
	return nil
}

func (p *ports) driver(c *configs.Config, port *configs.Port) (link.Driver, error) {
	mac := frame.MAC(port.MAC)
	switch port.Driver {
	case configs.DriverSwitch:
		return p.switches.driver(c, port), nil
	case configs.DriverTAP:
		return link.OpenTAP(link.TAPConfig{Name: port.Device, MAC: mac, MTU: port.MTU})
	case configs.DriverPcap:
		return link.OpenPcap(link.PcapConfig{Source: port.Device, Sink: port.Sink, MAC: mac, MTU: port.MTU})
	}
	return link.OpenRing(link.RingConfig{
		Device: port.Device, MAC: mac, Threads: port.Threads, BlockSize: port.Ring.BlockSize, Blocks: port.Ring.Blocks,
		Retire: port.Ring.Retire, Drops: p.drops,
	})
}

// makeRoom lets every goroutine that receives run at once, and one more (see
// link.Lanes).
func makeRoom(drivers []link.Driver) {
	n := 1
	for _, d := range drivers {
		n += link.Lanes(d)
	}
	if n > runtime.GOMAXPROCS(0) {
		runtime.GOMAXPROCS(n)
	}
}

// close closes what is open and gives the kernel its ports back.
func (p *ports) close() error {
	var errs []error
	for _, d := range p.open {
		errs = append(errs, d.Close())
	}
	for _, t := range p.taken {
		errs = append(errs, t.Restore())
	}
	p.open, p.taken = nil, nil
	return errors.Join(errs...)
}

// vlanNumbers is the interface of each VLAN: from 1 in the order of the file.
func vlanNumbers(c *configs.Config) map[*configs.VLAN]frame.Interface {
	out := map[*configs.VLAN]frame.Interface{}
	for n, v := range c.VLANs {
		out[v] = frame.Interface(n + 1)
	}
	return out
}

// netstackPorts puts the VLANs on their ports.
func netstackPorts(c *configs.Config, drivers []link.Driver) []netstack.Port {
	out, numbers := make([]netstack.Port, len(c.Ports)), vlanNumbers(c)
	for i, p := range c.Ports {
		out[i] = netstack.Port{Name: p.Name, Driver: drivers[i]}
		for _, v := range c.VLANs {
			if v.Port == p {
				out[i].VLANs = append(out[i].VLANs, netstack.VLAN{
					ID: numbers[v], Name: v.Name, Tag: v.ID, Domain: v.Domain, Addresses: v.Addresses,
				})
			}
		}
	}
	return out
}
