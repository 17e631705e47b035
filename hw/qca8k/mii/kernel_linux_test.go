package mii_test

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"sync"
	"testing"

	"spigate/hw"
	"spigate/hw/hwtest"
	"spigate/hw/qca8k"
	"spigate/hw/qca8k/mii"
	"spigate/hw/qca8k/qca8ksim"
)

// stage plays the devices of the kernel's bus: a chip in memory at PHY addresses
// 0x10 to 0x18, as a process may with the module of tests/arm.
type stage struct {
	file *os.File
	done chan error

	mu  sync.Mutex
	sim *qca8ksim.Sim
}

const opWrite, opStop = 1, 2

func newStage(t *testing.T) *stage {
	t.Helper()
	f, err := os.OpenFile("/dev/miibus", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{file: f, done: make(chan error, 1)}
	go func() { s.done <- s.play() }()
	t.Cleanup(func() {
		stop := make([]byte, 8)
		binary.NativeEndian.PutUint16(stop, opStop)
		_, err := f.Write(stop)
		if err := errors.Join(err, <-s.done, f.Close()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// play answers until it is told to stop.
func (s *stage) play() error {
	b := make([]byte, 8)
	for {
		if _, err := io.ReadFull(s.file, b); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		at := func(i int) uint16 { return binary.NativeEndian.Uint16(b[2*i:]) }
		value, failed := s.access(at(0) == opWrite, int(at(1)), int(at(2)), at(3))
		answer := make([]byte, 8)
		if failed {
			answer[2], answer[3] = 1, 1
		}
		binary.NativeEndian.PutUint16(answer[4:], value)
		if _, err := s.file.Write(answer); err != nil {
			return err
		}
	}
}

func (s *stage) access(write bool, phy, reg int, v uint16) (uint16, bool) {
	sim := s.chip(nil)
	switch {
	case sim == nil || phy < 0x10 || phy > 0x18:
		return 0xffff, false
	case write:
		return 0, sim.Write(phy, reg, v) != nil
	}
	v, err := sim.Read(phy, reg)
	return v, err != nil
}

// chip puts another chip on the bus if there is one, and returns the one there.
func (s *stage) chip(sim *qca8ksim.Sim) *qca8ksim.Sim {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sim != nil {
		s.sim = sim
	}
	return s.sim
}

// asked is the device that a test in a machine is to use; "" elsewhere.
func asked(t *testing.T, name string) string {
	t.Helper()
	device := os.Getenv(name)
	if device == "" {
		t.Logf("%s names no device: this runs in a machine of tests/arm", name)
	}
	return device
}

// TestTheSuiteThroughTheKernelsBus: the driver, the ioctls, the kernel's PHY
// library and a bus of it; only what answers there is not of metal.
func TestTheSuiteThroughTheKernelsBus(t *testing.T) {
	device := asked(t, "SPIGATE_MII")
	if device == "" {
		return
	}
	s := newStage(t)
	c := qca8k.Config{Driver: "qca8337", CPU: 0, CPUName: "eth0", Ports: []qca8k.Port{{Name: "wan", Number: 1}, {Name: "lan1", Number: 2}, {Name: "lan2", Number: 3}, {Name: "lan3", Number: 4}}}
	numbers := map[string]int{"eth0": 0, "wan": 1, "lan1": 2, "lan2": 3, "lan3": 4}
	open := func(t testing.TB) hw.Chip {
		bus, err := mii.Open(device)
		if err != nil {
			t.Fatal(err)
		}
		c := c
		c.Bus = bus
		chip, err := qca8k.Open(c)
		if err != nil {
			t.Fatal(err)
		}
		return chip
	}
	hwtest.Run(t, hwtest.Options{
		Open: func(t testing.TB) hw.Chip {
			sim := s.chip(qca8ksim.New(qca8ksim.QCA8337))
			t.Cleanup(func() {
				for _, f := range sim.Faults() {
					t.Error(f)
				}
			})
			return open(t)
		},
		Again:    func(t testing.TB, _ hw.Chip) hw.Chip { return open(t) },
		SetLink:  func(_ hw.Chip, port string, up bool) { s.chip(nil).SetLink(numbers[port], up) },
		Draws:    12, // an access is four switches of emulated processes
		Patterns: 30,
	})
	silence(t, s, open(t))
}

// silence: an error of the bus, and nobody on it, come through as what they are.
func silence(t *testing.T, s *stage, chip hw.Chip) {
	t.Helper()
	s.chip(nil).Silence()
	if _, err := chip.Table(); !errors.Is(err, hw.ErrSilent) {
		t.Errorf("a bus that fails: %v", err)
	}
	s.chip(nil).Answer()
	s.chip(nil).Absent()
	if _, err := chip.Table(); !errors.Is(err, hw.ErrSilent) {
		t.Errorf("nobody on the bus: %v", err)
	}
	s.chip(nil).Answer()
	if _, err := chip.Table(); err != nil {
		t.Error(err)
	}
	if err := chip.Close(); err != nil {
		t.Error(err)
	}
}

// TestThePHYOfARealDriver reads the identity of the PHY in an Intel card, which
// is Marvell's: 0x0141 in register 2.
func TestThePHYOfARealDriver(t *testing.T) {
	device := asked(t, "SPIGATE_E1000")
	if device == "" {
		return
	}
	b, err := mii.Open(device)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	phy, err := b.PHY()
	if err != nil {
		t.Fatal(err)
	}
	one, err1 := b.Read(phy, 2)
	two, err2 := b.Read(phy, 3)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if one != 0x0141 || two&0xfc00 != 0x0c00 {
		t.Errorf("PHY %d says that it is %#04x %#04x", phy, one, two)
	}
	c := qca8k.Config{Bus: b, Driver: "ar8327", CPUName: "eth0", Ports: []qca8k.Port{{Name: "lan1", Number: 1}}}
	if chip, err := qca8k.Open(c); err == nil {
		t.Errorf("a card without a switch is taken for one: %+v", chip.Capabilities())
	}
}
