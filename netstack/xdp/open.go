//go:build linux && !noxdp

package xdp

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"

	"github.com/cilium/ebpf"

	"spigate/netstack/flow/bucket"
	"spigate/netstack/frame"
	"spigate/netstack/xdp/bpf"
)

// Open makes the maps, loads a program for each port and attaches it, in the
// network namespace of the calling thread. A port that cannot be had, or not
// yet, is no error: Status and the log say why, and Check tries again. The error
// is that this kernel or process cannot do it at all, or that the configuration
// is wrong; it fits on a line, and the router runs without.
func Open(c Config) (*Offload, error) {
	if c.Flows <= 0 {
		c.Flows = DefaultFlows
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	slots := bucket.Slots(c.Flows)
	maps, err := bpf.NewMaps(bpf.Config{Buckets: slots / bucket.Ways, Ports: len(c.Ports)})
	if err != nil {
		return nil, unable(err)
	}
	o, err := open(c, maps)
	if err != nil {
		return nil, errors.Join(unable(err), maps.Close())
	}
	return o, nil
}

func open(c Config, maps *bpf.Maps) (*Offload, error) {
	var seed bucket.Seed
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	seed[0], seed[1] = binary.NativeEndian.Uint64(b[:]), binary.NativeEndian.Uint64(b[8:])
	load := func(number int, mac frame.MAC) (*ebpf.Program, error) {
		return maps.Load(bpf.Constants{Seed: seed, Port: number, MAC: mac})
	}
	// Whether this kernel takes the program at all is known before a port is
	// touched.
	trial, err := load(0, frame.MAC{})
	if err != nil {
		return nil, err
	}
	_ = trial.Close()

	o := &Offload{maps: maps, outside: make([]outside, len(c.Ports))}
	o.ports = ports{mode: c.Mode, log: c.Log, load: load, publish: maps.SetPort, pause: o.pause}
	o.hops.maps, o.hops.exit = maps, o.exit
	if err := o.addPorts(c.Ports); err != nil {
		return nil, err
	}
	if o.flows, err = newFlows(maps.Flows(), seed, c.Flows); err != nil {
		return nil, err
	}
	o.checkPorts()
	return o, nil
}

// addPorts numbers the ports and their VLANs.
func (o *Offload) addPorts(list []Port) error {
	for i, p := range list {
		if p.Device == "" {
			p.Device = p.Name
		}
		o.ports.list = append(o.ports.list, &port{Port: p, number: i})
		for vlan, id := range p.Interfaces {
			if id == 0 || vlan >= bpf.VLANs || o.inside[id].known {
				return fmt.Errorf("port %s: VLAN %d cannot be interface %d", p.Name, vlan, id)
			}
			o.inside[id] = inside{port: i, vlan: vlan, known: true}
			o.maps.SetContext(i, vlan, id)
		}
	}
	return nil
}

// punts is what the programs left to the stack.
func (o *Offload) punts() (out []Punt) {
	n, err := o.maps.Punts()
	if err != nil {
		return nil
	}
	for r, packets := range n {
		if packets != 0 {
			out = append(out, Punt{Reason: bpf.Reason(r).String(), Packets: packets})
		}
	}
	return out
}
