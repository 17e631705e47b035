//go:build linux

package bpf

import (
	"encoding/binary"
	"fmt"

	"github.com/cilium/ebpf"

	"spigate/netstack/flow/bucket"
	"spigate/netstack/frame"
)

// Constants are what one instance of the program has for itself.
type Constants struct {
	Seed bucket.Seed // of the table of flows
	Port int         // the number of the port that it is for
	MAC  frame.MAC   // the port's address
}

// programName is what the program is called in its object, and in the kernel.
const programName = "forward"

// Load loads an instance of the program over these maps, for whoever attaches it.
// The error says what this kernel refuses, with the verifier's last lines.
func (m *Maps) Load(c Constants) (*ebpf.Program, error) {
	return m.load(c, 0, ebpf.ProgramOptions{})
}

func (m *Maps) load(c Constants, flags uint32, o ebpf.ProgramOptions) (*ebpf.Program, error) {
	spec := m.spec.Copy()
	spec.Programs[programName].Flags |= flags
	for name, value := range m.constants(c) {
		v, ok := spec.Variables[name]
		if !ok {
			return nil, fmt.Errorf("the program has no constant %s", name)
		}
		if err := v.Set(value); err != nil {
			return nil, fmt.Errorf("set the program's constant %s: %w", name, err)
		}
	}
	coll, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{MapReplacements: m.maps, Programs: o})
	if err != nil {
		return nil, fmt.Errorf("load the program: %w", err)
	}
	defer coll.Close() // the program lives on its own
	return coll.DetachProgram(programName), nil
}

// constants are the values of the program's variables, by their names there.
func (m *Maps) constants(c Constants) map[string]any {
	word := binary.NativeEndian.Uint32
	last := []byte{c.MAC[4], c.MAC[5], c.MAC[4], c.MAC[5]}
	return map[string]any{
		"bucket_count": uint32(m.config.Buckets),
		"seed":         [4]uint32{uint32(c.Seed[0]), uint32(c.Seed[0] >> 32), uint32(c.Seed[1]), uint32(c.Seed[1] >> 32)},
		"this_port":    uint32(c.Port),
		"own_mac":      [3]uint32{word(c.MAC[0:]), word(c.MAC[2:]), word(last)},
	}
}
