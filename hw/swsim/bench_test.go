package swsim

import (
	"encoding/binary"
	"net"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"spigate/hw"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, goleak.Cleanup(os.Exit)) }

// fakePort is a port whose cable ends in the test.
type fakePort struct {
	in chan []byte // what comes in

	mu     sync.Mutex
	wrote  *sync.Cond
	out    [][]byte // what went out
	down   bool
	full   bool // refuses every second frame
	broken error

	malformed, overrun uint64
	once               sync.Once
	closed             chan struct{}
}

func newFakePort() *fakePort {
	p := &fakePort{in: make(chan []byte, 16), closed: make(chan struct{})}
	p.wrote = sync.NewCond(&p.mu)
	return p
}

func (p *fakePort) Read(batch []Frame) (int, error) {
	select {
	case b := <-p.in:
		if b == nil {
			return 0, p.broken
		}
		batch[0] = framed(b)
		return 1, nil
	case <-p.closed:
		return 0, net.ErrClosed
	}
}

func (p *fakePort) Write(batch []Frame) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(batch)
	if p.down {
		return 0
	}
	if p.full {
		n /= 2
	}
	for k := range batch[:n] {
		p.out = append(p.out, slices.Clone(batch[k].Bytes()))
	}
	p.wrote.Broadcast()
	return n
}

func (p *fakePort) Up() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.down
}

func (p *fakePort) Lost() (malformed, overrun uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.malformed, p.overrun
}

func (p *fakePort) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *fakePort) setDown(down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = down
}

func (p *fakePort) drain() [][]byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := p.out
	p.out = nil
	return out
}

// framed is a frame with headroom.
func framed(b []byte) Frame {
	mem := append(make([]byte, TagLen), b...)
	return Frame{Mem: mem, Off: TagLen, End: len(mem)}
}

// ether builds a frame; each tag is a control word of 0x8100.
func ether(dst, src address, body string, tags ...uint16) []byte {
	d, s := dst.bytes(), src.bytes()
	b := append(append([]byte(nil), d[:]...), s[:]...)
	for _, tci := range tags {
		b = binary.BigEndian.AppendUint16(b, typeTag)
		b = binary.BigEndian.AppendUint16(b, tci)
	}
	return append(binary.BigEndian.AppendUint16(b, 0x0800), body...)
}

// Stations of the tests.
const (
	everybody address = 0xffffffffffff
	multicast address = 0x01005e000001
	alice     address = 0x020000000001
	bob       address = 0x020000000002
	carol     address = 0x020000000003
	routerMAC address = 0x0200000000fe
)

// bench is a switch of ports lan1 to lan4 and the router's, with a clock that
// the test moves.
type bench struct {
	t     testing.TB
	s     *Switch
	ports map[string]*fakePort
	now   int64
}

// names are the ports of a bench; the last is the router's.
var names = []string{"lan1", "lan2", "lan3", "lan4", "cpu"}

const ageing = 5 * time.Minute

func newBench(t testing.TB, entries int) *bench {
	t.Helper()
	b := &bench{t: t, ports: map[string]*fakePort{}, now: 1}
	c := Config{Name: "sw0", CPU: "cpu", Ageing: ageing, Entries: entries, Now: func() int64 { return b.now }}
	for _, name := range names {
		b.ports[name] = newFakePort()
		c.Ports = append(c.Ports, NamedPort{name, b.ports[name]})
	}
	var err error
	if b.s, err = New(c); err != nil {
		t.Fatal(err)
	}
	return b
}

// office is two VLANs: 10 on lan1 and lan2, 20 on lan3, both tagged on lan4.
func office() hw.Plan {
	return hw.Plan{VLANs: []hw.VLAN{
		{ID: 10, Untagged: []string{"lan1", "lan2"}, Tagged: []string{"lan4"}},
		{ID: 20, Untagged: []string{"lan3"}, Tagged: []string{"lan4"}},
	}}
}

func (b *bench) apply(p hw.Plan) {
	b.t.Helper()
	if _, err := hw.Apply(b.s, p); err != nil {
		b.t.Fatal(err)
	}
}

func newOffice(t testing.TB) *bench {
	b := newBench(t, 64)
	b.apply(office())
	return b
}

// send lets frames come in at a port, and returns what went out by port.
func (b *bench) send(port string, raw ...[]byte) map[string][][]byte {
	batch := make([]Frame, 0, len(raw))
	for _, r := range raw {
		batch = append(batch, framed(r))
	}
	b.now++
	b.s.input(b.s.byName[port], batch, b.now)
	return b.drain()
}

func (b *bench) drain() map[string][][]byte {
	out := map[string][][]byte{}
	for name, p := range b.ports {
		if got := p.drain(); len(got) > 0 {
			out[name] = got
		}
	}
	return out
}

// counters returns those of a port.
func (b *bench) counters(port string) hw.Counters {
	b.t.Helper()
	all, err := b.s.Counters()
	if err != nil {
		b.t.Fatal(err)
	}
	return all[slices.Index(names, port)]
}
