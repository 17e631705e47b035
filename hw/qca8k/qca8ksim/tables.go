package qca8ksim

// command begins what a command register was told. It is done when its busy bit
// was looked at often enough.
func (s *Sim) command(addr, v uint32) {
	var do func()
	switch addr {
	case addrVTU:
		do = s.vlanCommand(v)
	case addrATU:
		do = s.addressCommand(v)
	default:
		return
	}
	if v&busyBit == 0 {
		if v&0xf != 0 {
			s.fault("register %#x: command %d without the busy bit", addr, v&0xf)
		}
		return
	}
	if do == nil {
		s.fault("register %#x: there is no command %d", addr, v&0xf)
		do = func() {}
	}
	s.busy[addr] = &job{looks: s.trouble.slow, do: do}
}

// vlanCommand is one of the VLAN table.
func (s *Sim) vlanCommand(v uint32) func() {
	id := v >> 16 & 0xfff
	data := s.value[addrVTUData]
	switch v & 7 {
	case 1: // forget all
		return func() { s.vtu = [4096]uint32{} }
	case 2: // load
		if data&(1<<20) == 0 {
			s.fault("row %d is loaded without its valid bit", id)
		}
		if id == 0 || id == 4095 {
			s.fault("row %d is loaded: there is no such VLAN", id)
		}
		return func() { s.vtu[id] = data }
	case 3: // purge
		return func() { s.vtu[id] = 0 }
	case 5: // the next one
		return func() { s.next(id) }
	case 6: // read
		return func() { s.value[addrVTUData] = s.vtu[id] }
	}
	return nil
}

// next shows the first row after id; id 0 if there is none.
func (s *Sim) next(id uint32) {
	found := uint32(0)
	for k := id + 1; k < uint32(len(s.vtu)); k++ {
		if s.vtu[k]&(1<<20) != 0 {
			found = k
			break
		}
	}
	s.value[addrVTUData] = s.vtu[found]
	s.value[addrVTU] = s.value[addrVTU]&^(0xfff<<16) | found<<16
}

// addressCommand is one of the table of addresses.
func (s *Sim) addressCommand(v uint32) func() {
	switch v & 0xf {
	case 1: // forget all
		return func() { s.atu = map[station]int{} }
	case 5: // forget those at a port
		port := int(v >> 8 & 0xf)
		if v&(1<<14) == 0 || port >= Ports {
			s.fault("addresses of port %d are to be forgotten, enabled %v", port, v&(1<<14) != 0)
		}
		return func() {
			for k, at := range s.atu {
				if at == port {
					delete(s.atu, k)
				}
			}
		}
	}
	return nil
}

// Count adds to a counter of a port: offset is as in the chip's map; 64 bits at
// 0x3c, 0x44 and 0x84.
func (s *Sim) Count(port int, offset uint32, n uint64) {
	s.with(func() {
		addr := 0x1000 + 0x100*uint32(port) + offset
		if offset != 0x3c && offset != 0x44 && offset != 0x84 {
			s.value[addr] += uint32(n)
			return
		}
		sum := uint64(s.value[addr+4])<<32 + uint64(s.value[addr]) + n
		s.value[addr], s.value[addr+4] = uint32(sum), uint32(sum>>32)
	})
}
