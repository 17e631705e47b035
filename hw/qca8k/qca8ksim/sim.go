package qca8ksim

import (
	"errors"
	"fmt"
	"maps"
	"sync"
)

// Sim is a chip. It implements the driver's bus.
type Sim struct {
	mu    sync.Mutex
	id    uint32
	known map[uint32]register

	value map[uint32]uint32
	page  uint16
	low   *half // written, waits for its high half
	seen  *half // low half read, the high one comes next
	vtu   [4096]uint32
	atu   map[station]int // port by VLAN and address
	busy  map[uint32]*job // by the address of the command register
	cable [Ports]bool

	faults  []string
	trouble trouble
	Writes  int    // 16-bit writes so far
	observe func() // after each write
}

type half struct {
	addr uint32
	v    uint16
}

type station struct {
	vlan uint16
	mac  [6]byte
}

// job is a command under way.
type job struct {
	looks int // until it is done
	do    func()
}

// trouble is what a test asked for.
type trouble struct {
	silent, absent, stuck bool
	after                 int // accesses until silence; 0: none
	forget                int // the n-th 32-bit write is lost; 0: none
	slow                  int // looks at the busy bit per command
}

// New returns a chip after power-on: id is AR8327 or QCA8337, all cables are in.
func New(id uint32) *Sim {
	s := &Sim{id: id, known: registers(id), trouble: trouble{slow: 2}}
	for n := range s.cable {
		s.cable[n] = true
	}
	s.power()
	return s
}

func (s *Sim) power() {
	s.value, s.atu, s.busy = map[uint32]uint32{}, map[station]int{}, map[uint32]*job{}
	s.vtu, s.page, s.low, s.seen = [4096]uint32{}, 0, nil, nil
	for addr, r := range s.known {
		s.value[addr] = r.reset
	}
	for n := range Ports {
		s.link(n)
	}
}

// Faults lists what was done to the chip that it does not define.
func (s *Sim) Faults() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.faults...)
}

func (s *Sim) fault(format string, args ...any) {
	s.faults = append(s.faults, fmt.Sprintf(format, args...))
}

// Observe has fn called after each 16-bit write, without locks; nil ends it.
func (s *Sim) Observe(fn func()) { s.with(func() { s.observe = fn }) }

func (s *Sim) with(do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	do()
}

// Silence makes every access fail, as a bus without its device does, until
// Answer.
func (s *Sim) Silence() { s.with(func() { s.trouble.silent = true }) }

// SilenceAfter lets n accesses work before that.
func (s *Sim) SilenceAfter(n int) { s.with(func() { s.trouble.after = n + 1 }) }

// Absent makes reads return ones and writes be lost: nobody drives the bus.
func (s *Sim) Absent() { s.with(func() { s.trouble.absent = true }) }

// StayBusy lets no command end.
func (s *Sim) StayBusy() { s.with(func() { s.trouble.stuck = true }) }

// ForgetWrite loses the n-th 32-bit write from now, 1 being the next.
func (s *Sim) ForgetWrite(n int) { s.with(func() { s.trouble.forget = n }) }

// Answer ends all of these.
func (s *Sim) Answer() {
	s.with(func() {
		s.trouble = trouble{slow: 2}
		for addr, j := range s.busy {
			j.do()
			s.value[addr] &^= busyBit
			delete(s.busy, addr)
		}
	})
}

// Reset sets all registers and tables as after power-on. Cables stay.
func (s *Sim) Reset() { s.with(s.power) }

// Poke sets a register, whatever it is, and reads none: what another program or
// a boot loader has left.
func (s *Sim) Poke(addr, v uint32) { s.with(func() { s.value[addr] = v }) }

// Peek returns a register.
func (s *Sim) Peek(addr uint32) (v uint32) {
	s.with(func() { v = s.value[addr] })
	return v
}

// Registers returns all of them, by address: to compare with another time.
func (s *Sim) Registers() (m map[uint32]uint32) {
	s.with(func() { m = maps.Clone(s.value) })
	return m
}

// SetRow puts a row into the VLAN table past the commands.
func (s *Sim) SetRow(id uint16, data uint32) { s.with(func() { s.vtu[id&0xfff] = data }) }

// Row returns a row; 0: there is none.
func (s *Sim) Row(id uint16) (data uint32) {
	s.with(func() { data = s.vtu[id&0xfff] })
	return data
}

// SetLink plugs or unplugs a cable; a link is a gigabit, full duplex.
func (s *Sim) SetLink(port int, up bool) {
	s.with(func() {
		s.cable[port] = up
		s.link(port)
	})
}

// link shows the cable in the status of a port with a PHY.
func (s *Sim) link(port int) {
	addr := addrStatus(port)
	v := s.value[addr]
	if v&(1<<9) == 0 {
		return
	}
	v &^= 1<<8 | 1<<6 | 0x3
	if s.cable[port] {
		v |= 1<<8 | 1<<6 | 2
	} else {
		v |= 3
	}
	s.value[addr] = v
}

var errNobody = errors.New("no such device")

// Close ends nothing: a chip goes on.
func (s *Sim) Close() error { return nil }

// enter counts an access and says whether it fails.
func (s *Sim) enter(phy, reg int) error {
	if phy < 0 || phy > 31 || reg < 0 || reg > 31 {
		s.fault("PHY %d register %d: there are 0 to 31", phy, reg)
		return errNobody
	}
	if s.trouble.after > 0 {
		s.trouble.after--
		s.trouble.silent = s.trouble.silent || s.trouble.after == 0
	}
	if s.trouble.silent {
		return errNobody
	}
	return nil
}
