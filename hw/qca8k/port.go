package qca8k

import (
	"fmt"

	"spigate/hw"
)

// hasPHY reports whether a port's PHY is in the chip (qca8k port_to_phy).
func hasPHY(port int) bool { return port >= 1 && port <= 5 }

// alive are the bits of a MAC that passes frames: told by its PHY, or on.
func alive(port int) uint32 {
	if hasPHY(port) {
		return statusAuto
	}
	return statusTx | statusRx
}

// portState adds what a port does to a table.
func (x *chip) portState(p Port, t *hw.Table) error {
	lookup, err := x.read(regLookup(p.Number))
	if err != nil {
		return err
	}
	status, err := x.read(regStatus(p.Number))
	if err != nil {
		return err
	}
	if need := alive(p.Number); lookup&lookupState == lookupForward && status&need == need {
		t.On[p.Name] = true
	}
	id, err := x.pvid(p.Number)
	if id != 0 {
		t.PVID[p.Name] = id
	}
	return err
}

func (x *chip) pvid(port int) (uint16, error) {
	tagging, err := x.read(regTagging(port))
	if err != nil || tagging&taggingIn == taggingOnly {
		return 0, err
	}
	v, err := x.read(regDefault(port))
	return uint16(v >> defaultCustomer & idMask), err
}

// SetPVID implements hw.Chip. Frames without a tag are refused by the port
// itself, and their VLAN is 0 besides, of which there is no row.
func (x *chip) SetPVID(name string, vlan uint16) error {
	port, err := x.port(name)
	if err != nil {
		return err
	}
	if vlan > hw.MaxVLAN {
		return fmt.Errorf("VLAN %d: there are 1 to %d", vlan, hw.MaxVLAN)
	}
	if err := x.begin(); err != nil {
		return err
	}
	ids := uint32(vlan)<<defaultCustomer | uint32(vlan)
	if vlan == 0 {
		if err := x.change(regTagging(port), taggingIn, taggingOnly); err != nil {
			return err
		}
		return x.change(regDefault(port), defaultMask, ids)
	}
	if err := x.change(regDefault(port), defaultMask, ids); err != nil {
		return err
	}
	return x.change(regTagging(port), taggingIn, 0)
}

// SetPort implements hw.Chip. A port that is off still shows its cable.
func (x *chip) SetPort(name string, on bool) error {
	port, err := x.port(name)
	if err != nil {
		return err
	}
	if err := x.begin(); err != nil {
		return err
	}
	if !on {
		return x.change(regLookup(port), lookupState, lookupOff)
	}
	if err := x.change(regStatus(port), alive(port), alive(port)); err != nil {
		return err
	}
	return x.change(regLookup(port), lookupState, lookupForward)
}

// Flush implements hw.Chip.
func (x *chip) Flush(name string) error {
	port, err := x.port(name)
	if err != nil {
		return err
	}
	if err := x.begin(); err != nil {
		return err
	}
	_, err = x.command(regATU, atuBusy, uint32(port)<<atuPort|atuPortOn|atuFlushPort, nil)
	return err
}

// SetMTU implements hw.Chip. The ports without a PHY are off for the moment, or
// the chip would hang.
func (x *chip) SetMTU(mtu int) error {
	if mtu < 68 || mtu > MaxMTU {
		return fmt.Errorf("mtu %d: it can be 68 to %d", mtu, MaxMTU)
	}
	if err := x.begin(); err != nil {
		return err
	}
	frame := uint32(mtu + frameMore)
	is, err := x.read(regFrame)
	if err != nil || is&frameMask == frame {
		return err
	}
	return x.stopped([]int{0, 6}, func() error { return x.change(regFrame, frameMask, frame) })
}

// stopped does something while MACs neither send nor receive. Those that did go
// on afterwards, whatever came of it.
func (x *chip) stopped(macs []int, do func() error) (err error) {
	for _, port := range macs {
		was, failed := x.read(regStatus(port))
		if failed != nil {
			return failed
		}
		if was&(statusTx|statusRx) == 0 {
			continue
		}
		if failed := x.write(regStatus(port), was&^(statusTx|statusRx)); failed != nil {
			return failed
		}
		defer func() {
			if again := x.write(regStatus(port), was); err == nil {
				err = again
			}
		}()
	}
	return do()
}

// Links implements hw.Chip.
func (x *chip) Links() ([]hw.Link, error) {
	if err := x.begin(); err != nil {
		return nil, err
	}
	var out []hw.Link
	for _, p := range x.config.all() {
		v, err := x.read(regStatus(p.Number))
		if err != nil {
			return nil, err
		}
		out = append(out, linkOf(p, v))
	}
	return out, nil
}

// linkOf reads a status. A MAC without a PHY in the chip has no cable: it is up
// as it was told (ar8327 read_port_link).
func linkOf(p Port, status uint32) hw.Link {
	l := hw.Link{Port: p.Name}
	if status&statusAuto != 0 {
		l.Up = status&statusUp != 0
	} else {
		l.Up = status&(statusTx|statusRx) == statusTx|statusRx
	}
	if !l.Up {
		return l
	}
	l.Duplex = status&statusDuplex != 0
	switch status & statusSpeed {
	case 0:
		l.Speed = 10
	case 1:
		l.Speed = 100
	case 2:
		l.Speed = 1000
	}
	return l
}
