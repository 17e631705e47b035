package wire

import (
	"context"
	"log/slog"
	"time"

	"spigate/cmd/internal/control"
	"spigate/configs"
	"spigate/netstack"
	"spigate/netstack/flow"
	"spigate/netstack/frame"
	"spigate/netstack/link"
	"spigate/netstack/xdp"
)

// offload is what forwards busy flows below the router: the kernel, between the
// ports that have XDP. Without such ports, or where the kernel cannot, it is
// nothing, and the router forwards all by itself.
type offload struct {
	wanted map[string]bool // ports that shall take part, by name
	xdp    *xdp.Offload    // nil: none
	why    string          // if there is none although there should be
}

// openOffload puts the programs on the ports that want one. The drivers are those
// of c's ports, in order. What fails is logged and no error.
func openOffload(c *configs.Config, drivers []link.Driver, log *slog.Logger) (o offload) {
	o.wanted = map[string]bool{}
	config := xdp.Config{Flows: c.Offload.Flows, Mode: offloadModes()[c.Offload.Mode], Log: log}
	for i, p := range c.Ports {
		if p.XDP {
			o.wanted[p.Name] = true
			config.Ports = append(config.Ports, offloadPort(c, p, drivers[i]))
		}
	}
	if len(config.Ports) == 0 {
		return o
	}
	opened, err := xdp.Open(config)
	if err != nil {
		o.why = err.Error()
		log.Warn("no flow can be offloaded: the router forwards all of them by itself", "error", err)
		return o
	}
	o.xdp = opened
	return o
}

func offloadModes() map[configs.OffloadMode]xdp.Mode {
	return map[configs.OffloadMode]xdp.Mode{
		configs.OffloadAuto: xdp.Auto, configs.OffloadNative: xdp.Native, configs.OffloadGeneric: xdp.Generic,
	}
}

func offloadPort(c *configs.Config, p *configs.Port, d link.Driver) xdp.Port {
	out := xdp.Port{Name: p.Name, Device: p.Device, MAC: d.MAC(), Interfaces: map[uint16]frame.Interface{}}
	for v, number := range vlanNumbers(c) {
		if v.Port == p {
			out.Interfaces[v.ID] = number
		}
	}
	if r, ok := d.(interface { // a ring
		Index() int
		Unfinished() uint64
	}); ok {
		out.Index, out.Unfinished = r.Index(), r.Unfinished
	}
	return out
}

// into tells the flow table of it.
func (o *offload) into(c *netstack.ChassisConfig, after int) {
	c.OffloadAfter = uint64(after)
	if o.xdp != nil { // an interface around a nil pointer is not nil
		c.Offload = o.xdp
	}
}

// watch looks after the ports once a second until ctx ends; now is the router's
// clock.
func (o *offload) watch(ctx context.Context, now func() int64) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			o.xdp.Check(now())
		}
	}
}

// close takes the programs off the ports.
func (o *offload) close() error {
	if o.xdp == nil {
		return nil
	}
	return o.xdp.Close()
}

// show adds to the status what is offloaded, and how each port takes part.
func (o *offload) show(st *control.Status, flows flow.Stats) {
	ports := map[string]xdp.PortStatus{}
	if o.xdp != nil {
		s := o.xdp.Status()
		st.Offload = control.Offload{
			Flows: uint64(flows.Offloaded), Capacity: uint64(s.Capacity), Packets: flows.OffloadPackets, Refused: flows.OffloadRefused,
		}
		for _, p := range s.Punts {
			st.Offload.Left = append(st.Offload.Left, control.OffloadLeft{Reason: p.Reason, Frames: p.Packets})
		}
		for _, p := range s.Ports {
			ports[p.Name] = p
		}
	}
	for i := range st.Ports {
		switch p := &st.Ports[i]; {
		case !o.wanted[p.Port]:
			p.Offload = "none"
		case o.xdp == nil:
			p.Offload, p.OffloadWhy = "off", o.why
		default:
			p.Offload, p.OffloadWhy = ports[p.Port].Mode, ports[p.Port].Why
		}
	}
}
