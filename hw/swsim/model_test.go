package swsim

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"spigate/hw"
)

// model is a switch as one would explain it: everything is a map of names, and
// nothing is fast.
type model struct {
	vlans    map[uint16]hw.VLAN
	pvid     map[string]uint16
	on, up   map[string]bool
	stations map[station]sighting
}

type station struct {
	vlan uint16
	mac  address
}

type sighting struct {
	port string
	at   int64
}

// The model's times, from newTable: an entry is written again after a sixteenth
// of the ageing time, and stays for so much longer.
const (
	rewrite = int64(ageing / 16)
	stays   = int64(ageing) + rewrite
)

func newModel() *model {
	m := &model{vlans: map[uint16]hw.VLAN{}, pvid: map[string]uint16{}, on: map[string]bool{}, up: map[string]bool{}, stations: map[station]sighting{}}
	for _, name := range names {
		m.up[name] = true
	}
	return m
}

func (m *model) forget(gone func(station, sighting) bool) { maps.DeleteFunc(m.stations, gone) }

func member(v hw.VLAN, port string) bool {
	return slices.Contains(v.Tagged, port) || slices.Contains(v.Untagged, port)
}

// packet is a frame by its parts. tags are control words.
type packet struct {
	dst, src address
	tags     []uint16
	body     string
}

func (p packet) bytes() []byte { return ether(p.dst, p.src, p.body, p.tags...) }

// send returns what leaves by which port.
func (m *model) send(in string, p packet, now int64) map[string][][]byte {
	out := map[string][][]byte{}
	vlan, priority, rest := m.pvid[in], uint16(0), p.tags
	if len(p.tags) > 0 {
		priority, rest = p.tags[0]&0xf000, p.tags[1:]
		if id := p.tags[0] & 0xfff; id != 0 {
			vlan = id
		}
	}
	v, known := m.vlans[vlan]
	if !m.on[in] || !known || !member(v, in) || p.src.group() || len(p.body)+4*len(rest) > 1500 || p.dst>>4 == 0x0180c200000 {
		return out
	}
	m.learn(station{vlan, p.src}, in, now)
	to := names
	if at, ok := m.stations[station{vlan, p.dst}]; ok && !p.dst.group() && now-at.at <= stays {
		if at.port == in {
			return out
		}
		if member(v, at.port) && m.on[at.port] && m.up[at.port] {
			to = []string{at.port}
		}
	}
	for _, name := range to {
		if name == in || !m.on[name] || !m.up[name] {
			continue
		}
		q := packet{p.dst, p.src, rest, p.body}
		if slices.Contains(v.Tagged, name) {
			q.tags = append([]uint16{priority | vlan}, rest...)
		} else if !slices.Contains(v.Untagged, name) || len(rest) > 0 {
			continue
		}
		out[name] = [][]byte{q.bytes()}
	}
	return out
}

// learn keeps the last eight stations: the table of this test has one place.
func (m *model) learn(s station, in string, now int64) {
	old, known := m.stations[s]
	if known && old.port == in && now-old.at < rewrite {
		return
	}
	if !known && len(m.stations) == ways {
		silent := slices.MinFunc(slices.Collect(maps.Keys(m.stations)), func(a, b station) int {
			return int(m.stations[a].at - m.stations[b].at)
		})
		delete(m.stations, silent)
	}
	m.stations[s] = sighting{in, now}
}

func TestItSwitchesAsTheStandardSays(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b, m := newBench(t, ways), newModel()
		actions := map[string]func(*rapid.T){
			"frame": func(rt *rapid.T) { b.compare(rt, m) }, "frame again": func(rt *rapid.T) { b.compare(rt, m) },
			"frame once more": func(rt *rapid.T) { b.compare(rt, m) }, "answer": func(rt *rapid.T) { b.compare(rt, m) },
			"members": func(rt *rapid.T) { b.setVLAN(rt, m) }, "port": func(rt *rapid.T) { b.setPort(rt, m) },
			"remove": func(rt *rapid.T) {
				id := aVLAN.Draw(rt, "VLAN")
				b.must(b.s.RemoveVLAN(id))
				delete(m.vlans, id)
				m.forget(func(s station, _ sighting) bool { return s.vlan == id })
			},
			"time": func(rt *rapid.T) { b.now += rapid.Int64Range(1, int64(3*time.Minute)).Draw(rt, "ns") },
		}
		for range 4 { // begin with something that works
			b.setVLAN(rt, m)
		}
		for _, name := range names {
			b.must(b.s.SetPort(name, true))
			m.on[name] = true
		}
		rt.Repeat(actions)
	})
}

var (
	aPort = rapid.SampledFrom(names)
	aVLAN = rapid.Uint16Range(1, 4)
	aMAC  = rapid.Custom(func(rt *rapid.T) address { return 0x020000000000 + address(rapid.IntRange(1, 5).Draw(rt, "station")) })
)

func (b *bench) compare(rt *rapid.T, m *model) {
	p := packet{src: aMAC.Draw(rt, "from"), body: "payload"}
	p.dst = rapid.OneOf(aMAC, aMAC, rapid.SampledFrom([]address{everybody, multicast, 0x0180c2000003})).Draw(rt, "to")
	for range rapid.SampledFrom([]int{0, 0, 0, 1, 1, 2}).Draw(rt, "tags") {
		id := rapid.Uint16Range(0, 5).Draw(rt, "tag")
		p.tags = append(p.tags, id|rapid.Uint16Range(0, 15).Draw(rt, "priority")<<12)
	}
	if rapid.IntRange(0, 20).Draw(rt, "group source") == 0 {
		p.src |= 1 << 40
	}
	if rapid.IntRange(0, 20).Draw(rt, "long") == 0 {
		p.body = string(make([]byte, rapid.IntRange(1494, 1503).Draw(rt, "length")))
	}
	in := aPort.Draw(rt, "port")
	got := b.send(in, p.bytes())
	if d := cmp.Diff(m.send(in, p, b.now), got); d != "" {
		rt.Fatalf("%+v at %s (-model +switch):\n%s", p, in, d)
	}
}

func (b *bench) setVLAN(rt *rapid.T, m *model) {
	v := hw.VLAN{ID: aVLAN.Draw(rt, "VLAN")}
	for _, name := range names {
		switch rapid.IntRange(0, 2).Draw(rt, name) {
		case 1:
			v.Tagged = append(v.Tagged, name)
		case 2:
			v.Untagged = append(v.Untagged, name)
			b.must(b.s.SetPVID(name, v.ID))
			m.pvid[name] = v.ID
		}
	}
	b.must(b.s.SetVLAN(v))
	m.vlans[v.ID] = v
	m.forget(func(s station, at sighting) bool { return s.vlan == v.ID && !member(v, at.port) })
}

func (b *bench) setPort(rt *rapid.T, m *model) {
	name := aPort.Draw(rt, "port")
	switch rapid.IntRange(0, 3).Draw(rt, "what") {
	case 0:
		m.on[name] = !m.on[name]
		b.must(b.s.SetPort(name, m.on[name]))
	case 1:
		m.up[name] = !m.up[name]
		b.ports[name].setDown(!m.up[name])
		b.s.Look()
		if m.up[name] {
			return
		}
		m.forget(func(_ station, at sighting) bool { return at.port == name })
	case 2:
		b.must(b.s.Flush(name))
		m.forget(func(_ station, at sighting) bool { return at.port == name })
	case 3:
		id := rapid.Uint16Range(0, 4).Draw(rt, "pvid")
		b.must(b.s.SetPVID(name, id))
		m.pvid[name] = id
	}
}
