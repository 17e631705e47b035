package hwtest

import (
	"fmt"
	"slices"

	"spigate/hw"
)

// Out is one copy of a frame as it leaves a chip.
type Out struct {
	Port string
	Tag  uint16 // 0: without tag
}

// Reach tells to which ports a flooded frame goes that comes in at a port with
// a tag; tag 0 is a frame without one. The order does not matter.
type Reach func(from string, tag uint16) []Out

// ReachOf is what a chip does that obeys a table (IEEE 802.1Q 8.6.2, 8.6.4,
// 8.8.2): ingress checks that the port is a member, egress likewise.
func ReachOf(t hw.Table) Reach {
	return func(from string, tag uint16) []Out {
		if tag == 0 {
			tag = t.PVID[from]
		}
		i := slices.IndexFunc(t.VLANs, func(v hw.VLAN) bool { return v.ID == tag })
		if i < 0 || !t.On[from] {
			return nil
		}
		v := t.VLANs[i]
		if !slices.Contains(v.Tagged, from) && !slices.Contains(v.Untagged, from) {
			return nil
		}
		var out []Out
		for _, name := range v.Tagged {
			out = append(out, Out{name, tag})
		}
		for _, name := range v.Untagged {
			out = append(out, Out{name, 0})
		}
		return slices.DeleteFunc(out, func(o Out) bool { return o.Port == from || !t.On[o.Port] })
	}
}

// Transition judges the moments of a way from one table to another.
type Transition struct {
	Ports         []string
	Before, After hw.Table
}

// Judge returns what is wrong about a moment: a frame that gets where it got
// neither before nor after, or one that got there before and after and does not
// now, unless the MTU changes. Empty: nothing.
func (tr Transition) Judge(now Reach) (faults []string) {
	before, after := ReachOf(tr.Before), ReachOf(tr.After)
	for _, from := range tr.Ports {
		for _, tag := range tr.tags() {
			was, will, is := before(from, tag), after(from, tag), now(from, tag)
			frame := fmt.Sprintf("a frame %s at %s", tagged(tag), from)
			faults = append(faults, strays(frame, was, will, is)...)
			if tr.stops() {
				continue
			}
			if tag != 0 || tr.Before.PVID[from] == tr.After.PVID[from] {
				faults = append(faults, gaps(frame, was, will, is)...)
			} // else it goes from a VLAN to another, with nothing in between
		}
	}
	return faults
}

// stops reports whether the MTU changes, for which a chip may stand still.
func (tr Transition) stops() bool {
	return tr.After.MTU != 0 && tr.After.MTU != tr.Before.MTU
}

func strays(frame string, was, will, is []Out) (faults []string) {
	for _, o := range is {
		if !slices.Contains(was, o) && !slices.Contains(will, o) {
			faults = append(faults, fmt.Sprintf("%s leaves at %s %s", frame, o.Port, tagged(o.Tag)))
		}
	}
	return faults
}

func gaps(frame string, was, will, is []Out) (faults []string) {
	for _, o := range was {
		if has(will, o.Port) && !has(is, o.Port) {
			faults = append(faults, fmt.Sprintf("%s does not get to %s any more, for a moment", frame, o.Port))
		}
	}
	return faults
}

// tags are those that either table knows, none, and one that none knows.
func (tr Transition) tags() []uint16 {
	out := []uint16{0, 4000}
	for _, v := range slices.Concat(tr.Before.VLANs, tr.After.VLANs) {
		out = append(out, v.ID)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func tagged(tag uint16) string {
	if tag == 0 {
		return "without tag"
	}
	return fmt.Sprintf("of VLAN %d", tag)
}

func has(outs []Out, port string) bool {
	return slices.ContainsFunc(outs, func(o Out) bool { return o.Port == port })
}

// stepping reads the table after every call that changes something.
type stepping struct {
	hw.Chip
	step func(what string, r Reach)
}

func (s *stepping) after(what string, err error) error {
	if err != nil {
		return err
	}
	t, err := s.Chip.Table()
	if err == nil {
		s.step(what, ReachOf(t))
	}
	return err
}

func (s *stepping) Prepare() error          { return s.after("prepare", s.Chip.Prepare()) }
func (s *stepping) SetVLAN(v hw.VLAN) error { return s.after(fmt.Sprint("set ", v), s.Chip.SetVLAN(v)) }
func (s *stepping) RemoveVLAN(i uint16) error {
	return s.after(fmt.Sprint("remove ", i), s.Chip.RemoveVLAN(i))
}
func (s *stepping) SetMTU(mtu int) error    { return s.after(fmt.Sprint("mtu ", mtu), s.Chip.SetMTU(mtu)) }
func (s *stepping) Flush(port string) error { return s.after("flush "+port, s.Chip.Flush(port)) }

func (s *stepping) SetPVID(port string, vlan uint16) error {
	return s.after(fmt.Sprint("pvid ", port, " ", vlan), s.Chip.SetPVID(port, vlan))
}

func (s *stepping) SetPort(port string, on bool) error {
	return s.after(fmt.Sprint("port ", port, " ", on), s.Chip.SetPort(port, on))
}
