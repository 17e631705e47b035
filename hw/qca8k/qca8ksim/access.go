package qca8ksim

// Read is one read on the bus.
func (s *Sim) Read(phy, reg int) (uint16, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.enter(phy, reg); err != nil || s.trouble.absent {
		return 0xffff, err
	}
	if s.low != nil {
		s.fault("register %#x: its low half was written, and a read came before the high half", s.low.addr)
		s.low = nil
	}
	if phy < 0x10 || phy > 0x17 {
		return s.phy(phy, reg), nil
	}
	addr := s.address(phy, reg)
	v, ok := s.value[addr]
	if !ok {
		s.fault("read of %#x: there is nothing", addr)
	}
	if reg&1 == 1 {
		if s.seen == nil || s.seen.addr != addr {
			s.fault("read of %#x: the high half without the low one", addr)
		}
		s.seen = nil
		return uint16(v >> 16), nil
	}
	v = s.look(addr)
	s.seen = &half{addr: addr}
	return uint16(v), nil
}

// phy is a register of a PHY in the chip: only the identity is here.
func (s *Sim) phy(phy, reg int) uint16 {
	switch {
	case phy > 4:
		return 0xffff // nobody
	case reg == 2:
		return 0x004d
	case reg == 3:
		return 0xd034 | uint16(s.id&1)<<1
	}
	return 0
}

// look is what a read of a register does besides.
func (s *Sim) look(addr uint32) uint32 {
	if j := s.busy[addr]; j != nil && !s.trouble.stuck {
		if j.looks--; j.looks <= 0 {
			delete(s.busy, addr)
			s.value[addr] &^= busyBit
			j.do()
		}
	}
	if addr == addrVTUData && s.busy[addrVTU] != nil {
		s.fault("the row's data is read while the table is busy")
	}
	if addr >= 0x1000 && s.value[addrModules]&1 == 0 {
		s.fault("counter %#x is read while the module is off", addr)
	}
	if addr >= 0x1000 && s.value[addrMIB]&(1<<20) == 0 {
		s.fault("counter %#x is read, and lost by it", addr)
	}
	return s.value[addr]
}

func (s *Sim) address(phy, reg int) uint32 {
	return uint32(s.page)<<9 | uint32(phy&7)<<6 | uint32(reg>>1)<<2
}

// Write is one write on the bus.
func (s *Sim) Write(phy, reg int, v uint16) error {
	err := s.written(phy, reg, v)
	s.mu.Lock()
	observe := s.observe
	s.mu.Unlock()
	if err == nil && observe != nil {
		observe()
	}
	return err
}

func (s *Sim) written(phy, reg int, v uint16) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.enter(phy, reg); err != nil || s.trouble.absent {
		return err
	}
	s.Writes++
	s.seen = nil
	switch {
	case phy == 0x18 && reg == 0:
		s.drop()
		if v > 0x3ff {
			s.fault("page %#x: there are 10 bits", v)
		}
		s.page = v & 0x3ff
		return nil
	case phy < 0x10 || phy > 0x17:
		s.drop()
		s.fault("write of %#x to PHY %d register %d, which is not the switch's", v, phy, reg)
		return nil
	}
	addr := s.address(phy, reg)
	if reg&1 == 0 {
		s.drop()
		s.low = &half{addr, v}
		return nil
	}
	if s.low == nil || s.low.addr != addr {
		s.drop()
		s.fault("write to %#x: the high half without the low one", addr)
		return nil
	}
	word := uint32(v)<<16 | uint32(s.low.v)
	s.low = nil
	if s.trouble.forget > 0 {
		if s.trouble.forget--; s.trouble.forget == 0 {
			return nil
		}
	}
	s.set(addr, word)
	return nil
}

// drop forgets a low half that has got no high one.
func (s *Sim) drop() {
	if s.low != nil {
		s.fault("register %#x: the low half alone was written", s.low.addr)
		s.low = nil
	}
}

// set is a write of a whole register.
func (s *Sim) set(addr, v uint32) {
	r, ok := s.known[addr]
	if !ok {
		s.fault("write of %#x to %#x: there is nothing", v, addr)
		return
	}
	is := s.value[addr]
	if bad := (v ^ is) &^ (r.write | r.status); bad != 0 {
		s.fault("write of %#x to %#x, which reads %#x: bits %#x are reserved", v, addr, is, bad)
	}
	switch {
	case addr == 0 && v&(1<<31) != 0:
		s.power()
		return
	case addr == addrFrame && v != is && (s.value[addrStatus(0)]|s.value[addrStatus(6)])&0xc != 0:
		s.fault("the greatest frame is changed while port 0 or 6 is on: the chip hangs")
	case addr == addrVTUData && s.busy[addrVTU] != nil:
		s.fault("the row's data is written while the table is busy")
	}
	if s.busy[addr] != nil {
		s.fault("register %#x: a command while it is busy", addr)
		return
	}
	s.value[addr] = is&^r.write | v&r.write
	for n := range Ports {
		if addr == addrStatus(n) {
			s.link(n)
		}
	}
	s.command(addr, v)
}
