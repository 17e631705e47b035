package qca8ksim

// Out is a copy of a frame as it leaves.
type Out struct {
	Port int
	Tag  uint16 // 0: none
}

// Frame is one that comes in. A tag of 0 is none. Destination all zeros is a
// station that nobody has learned; group addresses have bit 0 of the first
// byte.
type Frame struct {
	Port            int
	Tag             uint16
	Source, To      [6]byte
	withoutLearning bool
}

// Forward tells where a flooded frame goes that comes in at a port, and changes
// nothing.
func (s *Sim) Forward(port int, tag uint16) []Out {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.forward(Frame{Port: port, Tag: tag, To: [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, withoutLearning: true})
}

// Receive is a frame that comes in: addresses are learned.
func (s *Sim) Receive(f Frame) []Out {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.forward(f)
}

// forward is what the chip does (ssdk's words for the modes): the port and its
// state, which frames it takes, the VLAN and who is in it, then where the
// address is, and last how the frame leaves.
func (s *Sim) forward(f Frame) (out []Out) {
	lookup := s.value[addrLookup(f.Port)]
	if !s.passes(f.Port) || s.value[addrHeader(f.Port)] != 0 {
		return nil // a frame without the vendor's header is none where there should be one
	}
	if in := s.value[addrTagging(f.Port)] >> 2 & 3; in == 1 && f.Tag == 0 || in == 2 && f.Tag != 0 {
		return nil
	}
	vlan := f.Tag
	if vlan == 0 {
		vlan = uint16(s.value[addrDefault(f.Port)] >> 16 & 0xfff)
	}
	row := s.vtu[vlan]
	members, ok := s.members(lookup, row, f.Port)
	if !ok {
		return nil
	}
	if lookup>>16&7 == 4 && lookup&(1<<20) != 0 && !f.withoutLearning {
		s.atu[station{vlan, f.Source}] = f.Port
	}
	members &= s.towards(vlan, f.To)
	for n := range Ports {
		if n != f.Port && members&(1<<n) != 0 && s.passes(n) && s.value[addrHeader(n)] == 0 {
			out = append(out, Out{n, s.tagAt(n, f.Tag, vlan, lookup, row)})
		}
	}
	return append(out, s.copies(f)...)
}

// passes reports whether a port lets frames through: its state, and a MAC that
// is on or told by its PHY.
func (s *Sim) passes(port int) bool {
	status := s.value[addrStatus(port)]
	if s.value[addrLookup(port)]>>16&7 != 4 {
		return false
	}
	if status&(1<<9) != 0 {
		return status&(1<<8) != 0
	}
	return status&0xc == 0xc
}

// members are the ports to which a frame may go at all.
func (s *Sim) members(lookup, row uint32, port int) (uint32, bool) {
	others := lookup & 0x7f
	if row&(1<<20) == 0 {
		row = 0
	}
	var in uint32
	for n := range Ports {
		if row != 0 && row>>(4+2*n)&3 != 3 {
			in |= 1 << n
		}
	}
	switch lookup >> 8 & 3 {
	case 0: // ports only
		return others, true
	case 1: // ports, if there is no such VLAN
		if row == 0 {
			return others, true
		}
		return in & others, true
	case 2: // the VLAN must be there
		return in & others, row != 0
	}
	return in & others, row != 0 && in&(1<<port) != 0
}

// towards are the ports at which an address is, or all that are flooded to.
func (s *Sim) towards(vlan uint16, to [6]byte) uint32 {
	flood := s.value[addrFlood]
	switch {
	case to == [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}:
		return flood >> 16 & 0x7f
	case to[0]&1 != 0:
		return flood >> 8 & 0x7f
	}
	if port, ok := s.atu[station{vlan, to}]; ok {
		return 1 << port
	}
	return flood & 0x7f
}

// tagAt is the tag with which a frame leaves: what the port says for all frames,
// or what the row says for it.
func (s *Sim) tagAt(port int, tag, vlan uint16, lookup, row uint32) uint16 {
	switch s.value[addrTagging(port)] >> 12 & 3 {
	case 1:
		return 0
	case 2:
		return vlan
	case 3:
		return tag
	}
	if lookup>>8&3 == 0 || row&(1<<20) == 0 {
		return tag
	}
	switch row >> (4 + 2*port) & 3 {
	case 1:
		return 0
	case 2:
		return vlan
	}
	return tag
}

// copies are what a mirror gets.
func (s *Sim) copies(f Frame) []Out {
	mirror := int(s.value[addrForward] >> 4 & 0xf)
	if mirror >= Ports || s.value[addrLookup(f.Port)]&(1<<25) == 0 {
		return nil
	}
	return []Out{{mirror, f.Tag}}
}

// Learned tells at which port an address is in a VLAN; -1: nobody knows.
func (s *Sim) Learned(vlan uint16, mac [6]byte) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if port, ok := s.atu[station{vlan, mac}]; ok {
		return port
	}
	return -1
}
