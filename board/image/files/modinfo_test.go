package files

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// module makes an ELF file with nothing in it but lines about itself.
func module(lines ...string) []byte {
	text := []byte(strings.Join(lines, "\x00") + "\x00")
	names := []byte("\x00.modinfo\x00.shstrtab\x00")
	var b bytes.Buffer
	put := func(v ...any) {
		for _, x := range v {
			if err := binary.Write(&b, binary.LittleEndian, x); err != nil {
				panic(err) // a buffer takes everything
			}
		}
	}
	const head, section = 52, 40
	b.WriteString("\x7fELF\x01\x01\x01" + strings.Repeat("\x00", 9))
	put(uint16(1), uint16(40), uint32(1), uint32(0), uint32(0), uint32(head+len(text)+len(names)), uint32(0),
		uint16(head), uint16(0), uint16(0), uint16(section), uint16(3), uint16(2))
	b.Write(text)
	b.Write(names)
	put([10]uint32{})
	put([10]uint32{1, 1, 0, 0, head, uint32(len(text)), 0, 0, 1, 0})
	put([10]uint32{10, 3, 0, 0, uint32(head + len(text)), uint32(len(names)), 0, 0, 1, 0})
	return b.Bytes()
}

func kernel() Tree {
	const dir = "usr/lib/modules/6.1-x/kernel/"
	return Tree{
		dir + "fs/ext4.ko":               {Data: module("license=GPL", "depends=jbd2,crc16", "softdep=pre: crypto-crc32c post: later")},
		dir + "fs/jbd2.ko":               {Data: module("depends=", "softdep=pre: crypto-crc32c")},
		dir + "lib/crc16.ko":             {Data: module("depends=")},
		dir + "lib/later.ko":             {Data: module()},
		dir + "crypto/crc32c-arm.ko":     {Data: module("depends=", "alias=crypto-crc32c")},
		dir + "crypto/crc32c_generic.ko": {Data: module("depends=", "alias=crypto-crc32c")},
		dir + "a.ko":                     {Data: module("softdep=pre: b")},
		dir + "b.ko":                     {Data: module("softdep=pre: a")},
		"usr/lib/other.ko":               {Data: []byte("no module")},
		dir + "modules.order":            {Data: []byte("text")},
	}
}

func bases(files []string) []string {
	var out []string
	for _, f := range files {
		out = append(out, f[strings.LastIndex(f, "/")+1:])
	}
	return out
}

func TestAModuleStandsAfterWhatItNeeds(t *testing.T) {
	m, err := kernel().Modules()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ names, want string }{
		{"ext4", "jbd2.ko"},
		{"crc16 ext4 crc16", "crc16.ko"},
		{"built_in", ""},
		{"crc32c-generic", "crc32c_generic.ko"},
		{"a", "b.ko a.ko"},
	} {
		got := bases(m.Order(strings.Fields(c.names)))
		if c.names == "ext4" {
			if d := cmp.Diff(strings.Fields("crc32c_generic.ko jbd2.ko crc16.ko ext4.ko"), got); d != "" {
				t.Error(d)
			}
			continue
		}
		if c.want != "" && (len(got) == 0 || !strings.HasPrefix(strings.Join(got, " "), c.want)) || c.want == "" && len(got) > 0 {
			t.Errorf("%s: %q, want %q first", c.names, got, c.want)
		}
		slices.Sort(got)
		if len(slices.Compact(slices.Clone(got))) != len(got) {
			t.Errorf("%s: one is loaded twice: %q", c.names, got)
		}
	}
	if m.Release != "6.1-x" || !m.Has("crypto-crc32c") || m.Has("nothing") {
		t.Errorf("release %q, alias %v, nothing %v", m.Release, m.Has("crypto-crc32c"), m.Has("nothing"))
	}
}

func TestFilesThatAreNoModulesAreFaults(t *testing.T) {
	for name, tr := range map[string]Tree{
		"none":   {},
		"no ELF": {"usr/lib/modules/1/x.ko": {Data: []byte("text")}},
	} {
		if _, err := tr.Modules(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func FuzzModule(f *testing.F) {
	f.Add(module("depends=a,b", "softdep=pre: x y post: z", "alias=q"))
	f.Add(module())
	f.Add([]byte("\x7fELF"))
	f.Fuzz(func(t *testing.T, data []byte) {
		in, err := Read(data)
		if err != nil {
			return
		}
		for _, name := range slices.Concat(in.Depends, in.Pre) {
			if name == "" || strings.ContainsAny(name, "\x00,") && slices.Contains(in.Depends, name) {
				t.Errorf("%q is no name", name)
			}
		}
	})
}
