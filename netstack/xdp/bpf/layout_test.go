//go:build linux

package bpf

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/google/go-cmp/cmp"

	"spigate/netstack/flow"
	"spigate/netstack/flow/bucket"
	"spigate/netstack/frame"
)

// objects are both specs, whatever this machine's byte order.
func objects(t *testing.T) map[string]*ebpf.CollectionSpec {
	t.Helper()
	specs := map[string]*ebpf.CollectionSpec{}
	for _, name := range []string{"forward_bpfel.o", "forward_bpfeb.o"} {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if specs[name], err = ebpf.LoadCollectionSpecFromReader(bytes.NewReader(b)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	return specs
}

// member is a field of a struct in C or in Go.
type member struct{ Offset, Size uint32 }

// membersOf are the fields of a C struct, by name.
func membersOf(t *testing.T, typ btf.Type) map[string]member {
	t.Helper()
	s, ok := btf.UnderlyingType(typ).(*btf.Struct)
	if !ok {
		t.Fatalf("%v is no struct", typ)
	}
	out := map[string]member{}
	for _, m := range s.Members {
		size, err := btf.Sizeof(m.Type)
		if err != nil {
			t.Fatal(err)
		}
		out[m.Name] = member{m.Offset.Bytes(), uint32(size)}
	}
	return out
}

// fieldsOf are the fields of a Go struct, by name.
func fieldsOf(v any) map[string]member {
	out := map[string]member{}
	for typ, i := reflect.TypeOf(v), 0; i < typ.NumField(); i++ {
		f := typ.Field(i)
		out[f.Name] = member{uint32(f.Offset), uint32(f.Type.Size())}
	}
	return out
}

func TestAHopsRowIsTheSameInCAndInGo(t *testing.T) {
	want := fieldsOf(hop{})
	if size := unsafe.Sizeof(hop{}); size != hopSize {
		t.Fatalf("a row has %d bytes in Go", size)
	}
	for name, spec := range objects(t) {
		if size := spec.Maps[mapHops].ValueSize; size != hopSize {
			t.Errorf("%s: a row has %d bytes", name, size)
		}
		got := membersOf(t, spec.Maps[mapHops].Value)
		// The header is one array in Go and several words in C, without a hole.
		head := member{got["head0"].Offset, 0}
		for _, part := range []string{"head0", "head2", "head6", "head10", "head14"} {
			if got[part].Offset != head.Offset+head.Size || fmt.Sprintf("head%d", head.Size) != part {
				t.Errorf("%s: %s begins at byte %d of the header", name, part, head.Size)
			}
			head.Size += got[part].Size
			delete(got, part)
		}
		got["head"], got["_"] = head, got["spare"]
		delete(got, "spare")
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s:\n%s", name, d)
		}
	}
}

func TestABucketIsTheSameInCAndInGo(t *testing.T) {
	e := bucket.Entry{}
	want := fieldsOf(e)
	for name, spec := range objects(t) {
		m := spec.Maps[mapFlows]
		got := membersOf(t, m.Value)
		if m.ValueSize != bucket.Size || got["way"].Size != bucket.Size || got["way"].Offset != 0 {
			t.Errorf("%s: a bucket has %d bytes, its ways %+v", name, m.ValueSize, got["way"])
		}
		ways := btf.UnderlyingType(m.Value).(*btf.Struct).Members[0].Type.(*btf.Array)
		if ways.Nelems != bucket.Ways {
			t.Errorf("%s: a bucket has %d ways", name, ways.Nelems)
		}
		in := membersOf(t, ways.Type)
		// addrs and value are one word in Go and several fields in C.
		got = map[string]member{
			"addrs": {in["src"].Offset, in["src"].Size + in["dst"].Size},
			"id":    in["id"], "tag": in["tag"],
			"value": {in["addr"].Offset, in["addr"].Size + in["port"].Size + in["hop"].Size},
			"count": in["count"],
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s:\n%s", name, d)
		}
		if in["dst"].Offset != 4 || in["port"].Offset != 20 || in["hop"].Offset != 22 {
			t.Errorf("%s: %+v", name, in)
		}
	}
}

func TestTheMapsAreAsTheLoaderTakesThem(t *testing.T) {
	type shape struct {
		Type       ebpf.MapType
		Key, Value uint32
		Flags      uint32
	}
	const shared = 1 << 10 // BPF_F_MMAPABLE
	want := map[string]shape{
		mapFlows:    {ebpf.Array, 4, bucket.Size, shared},
		mapHops:     {ebpf.Array, 4, hopSize, shared},
		mapContexts: {ebpf.Array, 4, contextsLen, shared},
		mapPorts:    {ebpf.DevMap, 4, 4, 0},
		mapCounters: {ebpf.PerCPUArray, 4, 8, 0},
	}
	for name, spec := range objects(t) {
		got := map[string]shape{}
		for m, s := range spec.Maps {
			if !strings.HasPrefix(m, ".") {
				got[m] = shape{s.Type, s.KeySize, s.ValueSize, s.Flags}
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s:\n%s", name, d)
		}
		if n := spec.Maps[mapHops].MaxEntries; n != Hops {
			t.Errorf("%s: %d next hops, want %d", name, n, Hops)
		}
		if n := spec.Maps[mapCounters].MaxEntries; n != uint32(Reasons) {
			t.Errorf("%s: %d reasons, want %d", name, n, Reasons)
		}
	}
	if Hops != flow.MaxHops+1 {
		t.Errorf("the flow table has rows up to %d, the program up to %d", flow.MaxHops, Hops-1)
	}
}

func TestReasonsHaveTheNumbersThatTheProgramCountsBy(t *testing.T) {
	for name, spec := range objects(t) {
		enum, ok := btf.UnderlyingType(spec.Maps[mapCounters].Key).(*btf.Enum)
		if !ok {
			t.Fatalf("%s: the counters' key is %v", name, spec.Maps[mapCounters].Key)
		}
		got := make([]string, Reasons+1)
		for _, v := range enum.Values {
			got[v.Value] = strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(v.Name, "REASON_")), "_", "-")
		}
		if d := cmp.Diff(append(reasonNames[:], "reasons"), got); d != "" {
			t.Errorf("%s:\n%s", name, d)
		}
	}
	page, err := os.ReadFile("../../../docs/offload.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range reasonNames[1:] {
		if !bytes.Contains(page, []byte("`"+name+"`")) {
			t.Errorf("docs/offload.md does not say what %q means", name)
		}
	}
	if s := Reasons.String(); s != "unknown" {
		t.Errorf("a reason that does not exist is called %q", s)
	}
}

func TestEveryConstantOfTheProgramIsSet(t *testing.T) {
	m := &Maps{config: Config{Buckets: 7}}
	c := Constants{Seed: bucket.Seed{0x1122334455667788, 0x99aabbccddeeff00}, Port: 3, MAC: frame.MAC{1, 2, 3, 4, 5, 6}}
	word := binary.NativeEndian.Uint32
	want := map[string]any{
		"bucket_count": uint32(7), "this_port": uint32(3),
		"seed":    [4]uint32{0x55667788, 0x11223344, 0xddeeff00, 0x99aabbcc},
		"own_mac": [3]uint32{word([]byte{1, 2, 3, 4}), word([]byte{3, 4, 5, 6}), word([]byte{5, 6, 5, 6})},
	}
	if d := cmp.Diff(want, m.constants(c)); d != "" {
		t.Error(d)
	}
	for name, spec := range objects(t) {
		sizes := map[string]int{}
		for v, s := range spec.Variables {
			if s.Constant() {
				sizes[v] = int(s.Size())
			}
		}
		if d := cmp.Diff(map[string]int{"bucket_count": 4, "this_port": 4, "seed": 16, "own_mac": 12}, sizes); d != "" {
			t.Errorf("%s:\n%s", name, d)
		}
	}
}
