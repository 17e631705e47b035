package wire

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"spigate/configs"
	"spigate/hw"
	"spigate/hw/swsim"
	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/link"
	"spigate/netstack/link/takeover"
)

// lookEvery is how often a switch in software asks its devices for their links.
const lookEvery = 200 * time.Millisecond

// softPort is a port of a switch in software.
type softPort struct {
	name   string
	device string // the kernel's name
	tap    bool   // a TAP device; else one that is taken from the kernel
}

// softSwitch says what a switch in software is made of.
type softSwitch struct {
	name, cpu string
	mac       frame.MAC // of the router's end; zero: the first device's
	mtu       int       // bytes of IP on TAP devices; 0: their own
	ageing    time.Duration
	ports     []softPort
	stateDir  string // see takeover.Config
	log       *slog.Logger
	now       func() int64
}

// openSoft makes the switch of a configuration.
func openSoft(sw *configs.Switch, log *slog.Logger) (openedChip, error) {
	began := time.Now()
	s := softSwitch{
		name: sw.Name, cpu: sw.CPUPort.Name, mac: frame.MAC(sw.CPUPort.MAC), mtu: sw.MTU, ageing: sw.Ageing,
		stateDir: stateDir(), log: log, now: func() int64 { return int64(time.Since(began)) },
	}
	for _, p := range sw.Ports {
		s.ports = append(s.ports, softPort{p.Name, p.Device, p.Driver == configs.DriverTAP})
	}
	return s.open()
}

// softLimits is what a switch in software can do, before its devices are known.
func softLimits(sw *configs.Switch) hw.Capabilities {
	names := []string{sw.CPUPort.Name}
	for _, p := range sw.Ports {
		names = append(names, p.Name)
	}
	return swsim.Limits(sw.CPUPort.Name, names, math.MaxUint16)
}

// softParts is what was opened for a switch, to be undone.
type softParts struct {
	taken   []*takeover.Port
	drivers []link.Driver // of the ports, and last of the switch's end of the cable
}

// open takes and opens the devices, lays the cable to the router and makes the
// switch over them. Nothing moves before run.
func (c softSwitch) open() (openedChip, error) {
	parts := &softParts{}
	out, err := c.build(parts)
	if err != nil {
		return openedChip{}, errors.Join(err, parts.close())
	}
	return out, nil
}

func (c softSwitch) build(parts *softParts) (openedChip, error) {
	if len(c.ports) == 0 {
		return openedChip{}, errors.New("a switch in software needs ports")
	}
	if err := parts.take(c); err != nil {
		return openedChip{}, err
	}
	made := swsim.Config{Name: c.name, CPU: c.cpu, Ageing: c.ageing, Now: c.now, Log: c.log, MTU: math.MaxUint16}
	for _, p := range c.ports {
		drops := new(drop.Counters)
		d, err := p.open(c.mtu, drops)
		if err != nil {
			return openedChip{}, fmt.Errorf("port %s: %w", p.name, err)
		}
		parts.drivers = append(parts.drivers, d)
		made.Ports = append(made.Ports, swsim.NamedPort{Name: p.name, Port: newSoftDevice(d, drops)})
		made.MTU = min(made.MTU, d.MTU())
		if c.mac == (frame.MAC{}) {
			c.mac = d.MAC()
		}
	}
	router, far, err := link.NewCable(link.CableConfig{A: c.mac, B: c.mac, MTU: made.MTU})
	if err != nil {
		return openedChip{}, err
	}
	parts.drivers = append(parts.drivers, far)
	made.Ports = append(made.Ports, swsim.NamedPort{Name: c.cpu, Port: newSoftDevice(far, new(drop.Counters))})
	chip, err := swsim.New(made)
	if err != nil {
		return openedChip{}, err
	}
	run := func(ctx context.Context) error { return runSoft(ctx, chip) }
	return openedChip{chip: chip, cpu: router, run: run, remove: func() error { return errors.Join(chip.Close(), parts.close()) }}, nil
}

// take takes all devices from the kernel before the first is opened, as
// ports.take does.
func (s *softParts) take(c softSwitch) error {
	for _, p := range c.ports {
		if p.tap {
			continue
		}
		t, err := takeover.Take(p.device, takeover.Config{Dir: c.stateDir, Log: c.log})
		if err != nil {
			return fmt.Errorf("port %s: %w", p.name, err)
		}
		s.taken = append(s.taken, t)
	}
	return nil
}

// close closes the devices, those that are closed already too, and gives the
// kernel its own back.
func (s *softParts) close() error {
	var errs []error
	for _, d := range s.drivers {
		errs = append(errs, d.Close())
	}
	for _, t := range s.taken {
		errs = append(errs, t.Restore())
	}
	s.drivers, s.taken = nil, nil
	return errors.Join(errs...)
}

func (p softPort) open(mtu int, drops *drop.Counters) (link.Driver, error) {
	if p.tap {
		return link.OpenTAP(link.TAPConfig{Name: p.device, MTU: mtu, Drops: drops})
	}
	return link.OpenRing(link.RingConfig{Device: p.device, Threads: 1, Promiscuous: true, KeepTags: true, Drops: drops})
}

// runSoft moves frames and watches the links until ctx ends.
func runSoft(ctx context.Context, chip *swsim.Switch) error {
	done := make(chan error, 1)
	go func() { done <- chip.Run(ctx) }()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			return err
		case <-tick.C:
			chip.Look()
		}
	}
}
