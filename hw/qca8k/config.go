package qca8k

import (
	"errors"
	"fmt"
	"slices"
	"sort"

	"spigate/hw"
)

// Port is a port that the configuration names.
type Port struct {
	Name   string
	Number int // of the chip, 0 to 6
}

// Config is what the driver must be told.
type Config struct {
	Bus     Bus    // nil for Capabilities
	Driver  string // "qca8337" or "ar8327"
	Ports   []Port // without the router's own
	CPU     int    // the chip's port that the router is at: 0 or 6
	CPUName string
}

// MaxMTU is the greatest MTU of IP in bytes (qca8k MAX_MTU).
const MaxMTU = 9000

// model is what differs between the chips.
type model struct {
	title string
	id    uint32
	rx    []uint32 // counters whose sum is frames that came in
	tx    []uint32
}

func modelOf(driver string) (model, bool) {
	switch driver {
	case "qca8337":
		return model{title: "QCA8337", id: idQCA8337, rx: framesRx(true), tx: framesTx(true)}, true
	case "ar8327":
		return model{title: "AR8327", id: idAR8327, rx: framesRx(false), tx: framesTx(false)}, true
	}
	return model{}, false
}

// Check returns everything that is wrong about a configuration, joined.
func (c Config) Check() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if _, ok := modelOf(c.Driver); !ok {
		fault("driver %q: there are qca8337 and ar8327", c.Driver)
	}
	if c.CPU != 0 && c.CPU != 6 {
		fault("the router can be at port 0 or 6 of the chip, not %d", c.CPU)
	}
	if len(c.Ports) == 0 {
		fault("the switch has no ports but the router's")
	}
	names, numbers := map[string]bool{c.CPUName: true}, map[int]string{c.CPU: c.CPUName}
	for _, p := range c.Ports {
		if p.Name == "" || names[p.Name] {
			fault("port %q: the name is empty or there already", p.Name)
		}
		if p.Number < 0 || p.Number >= ports {
			fault("port %s: the chip has ports 0 to %d, not %d", p.Name, ports-1, p.Number)
		} else if other, ok := numbers[p.Number]; ok {
			fault("port %s: number %d is port %s already", p.Name, p.Number, other)
		}
		names[p.Name], numbers[p.Number] = true, p.Name
	}
	return errors.Join(faults...)
}

// all lists the ports by their numbers, the router's among them.
func (c Config) all() []Port {
	out := append(slices.Clone(c.Ports), Port{Name: c.CPUName, Number: c.CPU})
	sort.Slice(out, func(i, j int) bool { return out[i].Number < out[j].Number })
	return out
}

// Capabilities are those of a chip that nobody has asked: for the check of a
// configuration. Chip is without a revision.
func Capabilities(c Config) hw.Capabilities {
	m, _ := modelOf(c.Driver)
	out := hw.Capabilities{Driver: c.Driver, Chip: m.title, MaxMTU: MaxMTU}
	for _, p := range c.all() {
		out.Ports = append(out.Ports, hw.Port{Name: p.Name, CPU: p.Number == c.CPU})
	}
	return out
}
