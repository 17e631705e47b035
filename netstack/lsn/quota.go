package lsn

import (
	"errors"
	"fmt"
	"time"

	"spigate/netstack/frame"
)

// Refusal is what the sender of a refused packet is told (R20). RFC 6888
// REQ-11 asks for one answer and RFC 5508 REQ-8 for another; the younger one
// is the default.
type Refusal uint8

// The answers.
const (
	RefuseHostUnreachable Refusal = iota // ICMP type 3 code 1
	RefuseProhibited                     // ICMP type 3 code 13
	RefuseSilently                       // nothing
)

func (r Refusal) String() string {
	return word(r, "HOST-UNREACHABLE", "PROHIBITED", "SILENT")
}

// Limits of Group.TrapLimit, in events a minute, as on a NetScaler.
const (
	DefaultTrapLimit = 100
	MaxTrapLimit     = 10000
	NoTraps          = -1
)

const minute = int64(time.Minute)

// maxQuota is the greatest port and session quota, as on a NetScaler.
const maxQuota = 65535

// checkPolicy returns the faults of a group's limits and exemptions.
func (g *Group) checkPolicy() error {
	var faults []error
	if g.TrapLimit < NoTraps || g.TrapLimit > MaxTrapLimit {
		faults = append(faults, fmt.Errorf("trap limit %d is not in 0 to %d", g.TrapLimit, MaxTrapLimit))
	}
	if g.OnRefusal > RefuseSilently {
		faults = append(faults, errors.New("unknown answer to a refused packet"))
	}
	for _, p := range g.Exempt {
		if !p.IsValid() || !p.Addr().Is4() {
			faults = append(faults, fmt.Errorf("exempt network %v is not an IPv4 prefix", p))
		}
	}
	for i := range g.Transports {
		faults = append(faults, g.Transports[i].checkQuotas())
	}
	for i := range g.Apps {
		for _, at := range g.Apps[i].Attributes {
			if err := at.check(); err != nil {
				faults = append(faults, fmt.Errorf("application profile %q: %w", g.Apps[i].Name, err))
			}
		}
	}
	return errors.Join(faults...)
}

func (a *Attributes) check() error {
	if a.SessionTimeout <= 0 {
		return errors.New("a session timeout of its attributes is not positive")
	}
	for _, p := range a.Ports {
		if p.First > p.Last {
			return fmt.Errorf("the ports %d-%d of its attributes are backwards", p.First, p.Last)
		}
	}
	return nil
}

// silence notes which NAT addresses leave a SYN unanswered.
func (set *settings) silence() {
	set.silent = map[frame.Addr]bool{}
	for _, g := range set.groups {
		for _, a := range g.addrList {
			set.silent[a] = set.silent[a] || g.SilentSYN
		}
	}
	for _, s := range set.statics.list {
		set.silent[s.Outside.Addr] = set.silent[s.Outside.Addr] || s.group.SilentSYN
	}
}

// SilentSYN reports whether the sender of a SYN that nobody asked for gets no
// answer from a NAT address, not even after a while (R24): because a group that
// uses the address wants that.
func (t *Table) SilentSYN(nat frame.Addr) bool { return t.cfg().silent[nat] }

func (p *TransportProfile) checkQuotas() error {
	switch {
	case p.PortQuota < 0 || p.PortQuota > maxQuota:
		return fmt.Errorf("transport profile %q: port quota %d is not in 0 to %d", p.Name, p.PortQuota, maxQuota)
	case p.SessionQuota < 0 || p.SessionQuota > maxQuota:
		return fmt.Errorf("transport profile %q: session quota %d is not in 0 to %d", p.Name, p.SessionQuota, maxQuota)
	case p.GroupSessionLimit < 0 || p.GroupSessionLimit > 1<<30:
		return fmt.Errorf("transport profile %q: the group session limit %d is not in 0 to 2^30", p.Name, p.GroupSessionLimit)
	case p.Proto == frame.ProtoICMP && p.StunTimeout != 0:
		return fmt.Errorf("transport profile %q: ICMP has no STUN timeout", p.Name)
	}
	return nil
}
