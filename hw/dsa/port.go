package dsa

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"spigate/hw"
)

// minMTU is the least that the kernel takes for IPv4 (RFC 791).
const minMTU = 68

// SetPort implements hw.Chip. A port that is off has no link either.
func (s *chip) SetPort(port string, on bool) error {
	l, err := s.get(port)
	if err != nil || l.up() == on {
		return err
	}
	if err := s.kernel.setUp(l, on); err != nil {
		return fmt.Errorf("port %s: %w", port, err)
	}
	return nil
}

// SetMTU implements hw.Chip. DSA itself makes room at the conduit for the chip's
// own tag, and refuses what does not fit.
func (s *chip) SetMTU(mtu int) error {
	if s.kernel == nil {
		return errClosed
	}
	if most := s.caps.MaxMTU; mtu < minMTU || most != 0 && mtu > most {
		return fmt.Errorf("mtu %d: %s passes packets from %d to %d bytes", mtu, s.caps.Chip, minMTU, most)
	}
	for _, p := range s.caps.Ports {
		l, err := s.get(p.Name)
		if err != nil {
			return err
		}
		if l.MTU == mtu {
			continue
		}
		if err := s.kernel.setMTU(l, mtu); err != nil {
			return fmt.Errorf("port %s: mtu %d: %w", p.Name, mtu, err)
		}
	}
	return nil
}

// States of a bridge port (linux/if_bridge.h).
const (
	stateForwarding = 3
	stateBlocking   = 4
)

// Flush implements hw.Chip. At the router's own port nothing is learned. The
// bridge forgets when it is told; a chip that learns by itself does so when the
// port stops learning, or, where its driver cannot do that, stops for a moment.
func (s *chip) Flush(port string) error {
	l, err := s.get(port)
	if err != nil || s.isCPU(port) {
		return err
	}
	if err := s.kernel.bridgePort(l, nl.NewRtAttr(nl.IFLA_BRPORT_FLUSH, nil)); err != nil {
		return fmt.Errorf("port %s: forget addresses: %w", port, err)
	}
	if l.kind != "dsa" || !l.up() {
		return nil // a port that is off has forgotten already
	}
	err = s.toggle(l, nl.IFLA_BRPORT_LEARNING, 0, 1)
	if errors.Is(err, unix.EOPNOTSUPP) {
		err = s.toggle(l, nl.IFLA_BRPORT_STATE, stateBlocking, stateForwarding)
	}
	// Without a cable its state cannot be set, and is such that nothing is
	// learned.
	if err != nil && !errors.Is(err, unix.ENETDOWN) {
		return fmt.Errorf("port %s: forget addresses in the chip: %w", port, err)
	}
	return nil
}

// toggle sets an attribute of a bridge port and sets it back.
func (s *chip) toggle(l *link, attr int, to, back byte) error {
	if err := s.kernel.bridgePort(l, nl.NewRtAttr(attr, []byte{to})); err != nil {
		return err
	}
	return s.kernel.bridgePort(l, nl.NewRtAttr(attr, []byte{back}))
}

// bridgePort sets an attribute of a device as a port of its bridge.
func (k *kernel) bridgePort(l *link, attr *nl.RtAttr) error {
	info := nl.NewRtAttr(unix.IFLA_PROTINFO|unix.NLA_F_NESTED, nil)
	info.AddChild(attr)
	return k.tell(unix.RTM_SETLINK, 0, about(l, unix.AF_BRIDGE), info)
}

// Links implements hw.Chip. The link of the router's own port is that of the
// conduit; without one it is up when it is on.
func (s *chip) Links() ([]hw.Link, error) {
	var out []hw.Link
	for _, p := range s.caps.Ports {
		l, err := s.get(p.Name)
		if err != nil {
			return nil, err
		}
		wired := l
		if p.CPU {
			if wired, err = s.conduitOfAll(); err != nil {
				return nil, err
			}
		}
		state := hw.Link{Port: p.Name}
		switch {
		case wired == nil:
			state.Up = l.up()
		case wired.up() && wired.RawFlags&unix.IFF_LOWER_UP != 0:
			state.Up = true
			state.Speed, state.Duplex = s.kernel.speed(wired.Name)
		}
		out = append(out, state)
	}
	return out, nil
}

// conduitOfAll is the conduit of the first port; nil: none has one.
func (s *chip) conduitOfAll() (*link, error) {
	first, err := s.kernel.link(s.conf.Ports[0].Device)
	if err != nil {
		return nil, err
	}
	return s.conduit(first)
}

// Counters implements hw.Chip. What the router sends comes into the chip at the
// router's port, so there the kernel's two directions are the other way round.
func (s *chip) Counters() ([]hw.Counters, error) {
	var out []hw.Counters
	for _, p := range s.caps.Ports {
		name, err := s.device(p.Name)
		if err != nil {
			return nil, err
		}
		l, err := s.kernel.counted(name)
		if err != nil {
			return nil, err
		}
		c := hw.Counters{Port: p.Name}
		if st := l.Statistics; st != nil {
			c.RxFrames, c.RxBytes, c.RxErrors, c.RxDropped = st.RxPackets, st.RxBytes, st.RxErrors, st.RxDropped
			c.TxFrames, c.TxBytes, c.TxDropped = st.TxPackets, st.TxBytes, st.TxDropped
		}
		if p.CPU {
			c.RxFrames, c.RxBytes, c.TxFrames, c.TxBytes = c.TxFrames, c.TxBytes, c.RxFrames, c.RxBytes
			c.RxDropped, c.TxDropped, c.RxErrors = c.TxDropped, c.RxDropped, 0
		} else if l.kind == "dsa" {
			s.kernel.chipCounters(l.Name, &c)
		}
		out = append(out, c)
	}
	return out, nil
}
