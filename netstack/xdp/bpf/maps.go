//go:build linux

package bpf

import (
	"bytes"
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/rlimit"

	"spigate/netstack/flow/bucket"
	"spigate/netstack/frame"
)

// MaxPorts is how many ports can share the maps.
const MaxPorts = 256

// Config is the sizes of the maps.
type Config struct {
	Buckets int // of flows, each bucket.Size bytes
	Ports   int // numbered from 0; at most MaxPorts
}

// Maps is what all instances of the program share. Flows, SetHop, ClearHop, Punt
// and SetContext write to memory that the program reads and need no system call.
// One goroutine at a time may call a method.
type Maps struct {
	config Config
	spec   *ebpf.CollectionSpec
	maps   map[string]*ebpf.Map
	mapped [][]byte

	flows    []byte
	hops     []hop
	contexts []contexts
}

// The maps' names in the program.
const (
	mapFlows    = "flows"
	mapHops     = "hops"
	mapContexts = "contexts"
	mapPorts    = "ports"
	mapCounters = "counters"
)

// NewMaps makes the maps, empty. The error says what this kernel or the process's
// privileges lack.
func NewMaps(c Config) (*Maps, error) {
	if c.Buckets < 1 || c.Buckets > bucket.MaxSlots/bucket.Ways || c.Ports < 1 || c.Ports > MaxPorts {
		return nil, fmt.Errorf("maps of %d buckets for %d ports: want 1 to %d, and at most %d ports",
			c.Buckets, c.Ports, bucket.MaxSlots/bucket.Ways, MaxPorts)
	}
	spec, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(object))
	if err != nil {
		return nil, fmt.Errorf("read the program: %w", err)
	}
	spec.Maps[mapFlows].MaxEntries = uint32(c.Buckets)
	spec.Maps[mapContexts].MaxEntries = uint32(c.Ports * rowsOfPort)
	spec.Maps[mapPorts].MaxEntries = uint32(c.Ports)
	m := &Maps{config: c, spec: spec, maps: make(map[string]*ebpf.Map)}
	// Kernels before 5.11 count maps against a limit that is far too low. Where it
	// matters and cannot be raised, making the maps fails and says so.
	limit := rlimit.RemoveMemlock()
	if err := m.open(); err != nil {
		m.Close()
		return nil, errors.Join(err, limit)
	}
	return m, nil
}

func (m *Maps) open() (err error) {
	for _, name := range []string{mapFlows, mapHops, mapContexts, mapPorts, mapCounters} {
		if m.maps[name], err = ebpf.NewMap(m.spec.Maps[name]); err != nil {
			delete(m.maps, name)
			return fmt.Errorf("make the map %s: %w", name, err)
		}
	}
	if m.flows, err = m.share(mapFlows, m.config.Buckets*bucket.Size); err != nil {
		return err
	}
	b, err := m.share(mapHops, Hops*hopSize)
	if err != nil {
		return err
	}
	m.hops = unsafe.Slice((*hop)(unsafe.Pointer(&b[0])), Hops)
	rows := m.config.Ports * rowsOfPort
	if b, err = m.share(mapContexts, rows*contextsLen); err != nil {
		return err
	}
	m.contexts = unsafe.Slice((*contexts)(unsafe.Pointer(&b[0])), rows)
	return nil
}

// share brings the first size bytes of a map into the process's memory.
func (m *Maps) share(name string, size int) ([]byte, error) {
	const prot = syscall.PROT_READ | syscall.PROT_WRITE
	b, err := syscall.Mmap(m.maps[name].FD(), 0, size, prot, syscall.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("share the map %s: %w", name, err)
	}
	m.mapped = append(m.mapped, b)
	return b, nil
}

// Close gives the maps back. Nobody may use what Flows gave any more. Instances
// of the program that are still attached keep the maps in the kernel.
func (m *Maps) Close() error {
	var all error
	m.flows, m.hops, m.contexts = nil, nil, nil
	for _, b := range m.mapped {
		all = errors.Join(all, syscall.Munmap(b))
	}
	for _, one := range m.maps {
		all = errors.Join(all, one.Close())
	}
	m.mapped, m.maps = nil, nil
	return all
}

// Flows is the memory of the flows, for bucket.New.
func (m *Maps) Flows() []byte { return m.flows }

// SetHop makes row id a valid next hop. id is below Hops, and above 0. The row may
// be in use: a packet that meets it while it changes goes to the stack.
func (m *Maps) SetHop(id int, r Route) {
	h, to := &m.hops[id], r.fields()
	state := h.state&^(hopVersion-1) + hopVersion
	atomic.StoreUint32(&h.state, state)
	// Half by half with atomic stores: a reader that sees one of these also
	// sees what was stored before, so the row's state as it is now.
	at := unsafe.Slice((*uint32)(unsafe.Pointer(h)), fieldWords)
	for i, w := range unsafe.Slice((*uint32)(unsafe.Pointer(&to)), fieldWords) {
		atomic.StoreUint32(&at[i], w)
	}
	if r.VLAN != 0 {
		state |= hopTagged
	}
	atomic.StoreUint32(&h.state, state|hopValid)
}

// fieldWords is how many words of 4 bytes stand before a row's state.
const fieldWords = int(unsafe.Offsetof(hop{}.state) / 4)

// ClearHop makes row id invalid: its packets go to the stack.
func (m *Maps) ClearHop(id int) {
	h := &m.hops[id]
	atomic.StoreUint32(&h.state, h.state&^(hopVersion-1)+hopVersion)
}

// Punt sends the next packet for row id to the stack.
func (m *Maps) Punt(id int) { atomic.StoreUint32(&m.hops[id].due, 1) }

// SetContext says which interface a VLAN of a port is, 0: none, its frames go to
// the stack. vlan is below VLANs, 0 for frames without a tag.
func (m *Maps) SetContext(port int, vlan uint16, i frame.Interface) {
	row := &m.contexts[port*rowsOfPort+int(vlan)/contextsLen]
	row[vlan%contextsLen] = uint8(i)
}

// SetPort says which network device a port is, by its index in the namespace of
// the calling thread. The kernel forgets a device that goes away.
func (m *Maps) SetPort(port, ifindex int) error {
	if err := m.maps[mapPorts].Put(uint32(port), uint32(ifindex)); err != nil {
		return fmt.Errorf("make interface %d a port to forward to: %w", ifindex, err)
	}
	return nil
}

// ClearPort takes a port's device out: packets for it go to the stack.
func (m *Maps) ClearPort(port int) error {
	err := m.maps[mapPorts].Delete(uint32(port))
	if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("take port %d from those to forward to: %w", port, err)
	}
	return nil
}

// Punts is how many frames the program left to the stack, by reason. What it
// forwarded is counted in the flows.
func (m *Maps) Punts() (n [Reasons]uint64, err error) {
	var each []uint64
	for r := range Reasons {
		if err := m.maps[mapCounters].Lookup(uint32(r), &each); err != nil {
			return n, fmt.Errorf("read the program's counters: %w", err)
		}
		for _, v := range each {
			n[r] += v
		}
	}
	return n, nil
}
