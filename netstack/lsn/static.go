package lsn

import (
	"errors"
	"fmt"

	"spigate/netstack/frame"
)

// Static is a mapping that the configuration makes (R27). It lives for ever;
// the sessions on it idle out as all do.
//
// With Proto 0 and both ports 0 it is a 1:1 address: everything that has one
// of the translated protocols passes, and ESP both ways without a gate.
type Static struct {
	Name string
	// Group is the group whose profiles and limits hold; "" is that of the
	// client to which the subscriber belongs.
	Group string
	Proto uint8 // frame.ProtoTCP, ProtoUDP or ProtoICMP; 0 is ALL
	// Inside is the subscriber and Outside the NAT address, which need not be
	// in a pool. Port 0 is every port, and stays the same in translation: both
	// are 0 or none is. For ICMP the port is the query identifier.
	Inside, Outside frame.Endpoint
	Remote          frame.Addr // the one remote it holds for; zero: any
}

// addStatics checks the static mappings and makes them.
func (t *Table) addStatics(statics []Static) error {
	var faults []error
	names := map[string]bool{}
	for i := range statics {
		s := &statics[i]
		if names[s.Name] {
			faults = append(faults, fmt.Errorf("static %q: defined twice", s.Name))
		}
		names[s.Name] = true
		if err := s.check(); err != nil {
			faults = append(faults, fmt.Errorf("static %q: %w", s.Name, err))
		}
	}
	return errors.Join(faults...)
}

func (s *Static) check() error {
	if _, ok := protoIndex(s.Proto); !ok && s.Proto != 0 {
		return fmt.Errorf("protocol %d is not translated", s.Proto)
	}
	switch {
	case s.Inside.Addr.IsZero() || s.Outside.Addr.IsZero():
		return errors.New("the subscriber's or the NAT address is missing")
	case (s.Inside.Port == 0) != (s.Outside.Port == 0):
		return errors.New("either both ports are * or none is")
	}
	return nil
}
