package netstack

import (
	"cmp"
	"fmt"
	"net/netip"
	"sort"
	"strings"
	"sync"

	"spigate/netstack/frame"
	"spigate/netstack/vserver"
)

// VLANMiss tells of flows that a listener would have admitted on another VLAN
// (VR46): the commonest fault in a configuration of virtual servers, so the
// router says what was missed, and where.
type VLANMiss struct {
	Kind     vserver.Kind
	Server   string            // name of the listener
	In       frame.Interface   // where the latest of them came
	Listens  []frame.Interface // where it would have been admitted
	Proto    uint8             // of the latest one, with its ends:
	Src, Dst netip.AddrPort    // ports are 0 where the protocol has none
	Count    uint64            // of all, from every VLAN
	At       int64             // when the latest came, monotonic ns
}

// maxMisses bounds how many listeners are kept; there are seldom more that are
// configured wrong.
const maxMisses = 64

// missLogEvery is the least time between two log lines about one listener.
const missLogEvery = int64(60e9)

type vlanMisses struct {
	mu sync.Mutex
	of map[missOf]*missed
}

type missOf struct {
	kind vserver.Kind
	name string
	in   frame.Interface
}

type missed struct {
	VLANMiss
	logged int64
}

// note keeps a miss and reports whether it is one to be logged.
func (m *vlanMisses) note(l *vserver.Listener, p *packet) (VLANMiss, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := missOf{l.Kind, l.Name, p.in}
	x := m.of[k]
	if x == nil {
		if len(m.of) >= maxMisses {
			return VLANMiss{}, false
		}
		if m.of == nil {
			m.of = map[missOf]*missed{}
		}
		x = &missed{logged: p.now - missLogEvery}
		m.of[k] = x
	}
	count := x.Count + 1
	x.VLANMiss = VLANMiss{
		Kind: l.Kind, Server: l.Name, In: p.in, Listens: l.VLANs(), Proto: p.Proto,
		Src: netip.AddrPortFrom(p.Src.Netip(), p.SrcPort), Dst: netip.AddrPortFrom(p.Dst.Netip(), p.DstPort),
		Count: count, At: p.now,
	}
	if p.now-x.logged < missLogEvery {
		return x.VLANMiss, false
	}
	x.logged = p.now
	return x.VLANMiss, true
}

// clear forgets all: after a reload the listeners are others.
func (m *vlanMisses) clear() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.of = nil
}

// VLANMisses lists the listeners that were missed by their VLANs since the
// start or the last reload, by name and VLAN.
func (r *Router) VLANMisses() (out []VLANMiss) {
	r.misses.mu.Lock()
	defer r.misses.mu.Unlock()
	for _, m := range r.misses.of {
		out = append(out, m.VLANMiss)
	}
	sort.Slice(out, func(i, j int) bool {
		a, b := &out[i], &out[j]
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), strings.Compare(a.Server, b.Server), cmp.Compare(a.In, b.In)) < 0
	})
	return out
}

// noteMiss keeps and logs a flow that came on the wrong VLAN for its listener.
func (r *Router) noteMiss(l *vserver.Listener, p *packet) {
	m, log := r.misses.note(l, p)
	if !log {
		return
	}
	on := make([]string, 0, len(m.Listens))
	for _, i := range m.Listens {
		if name := r.names[i]; name != "" {
			on = append(on, name)
		}
	}
	remedy := "take it out of the listener's vlans"
	if l.ListsVLANs() {
		remedy = "add it to the listener's vlans"
	}
	r.log.Warn("a new flow came on a VLAN that its listener does not listen on",
		"listener", fmt.Sprint(m.Kind, " ", m.Server), "vlan", r.names[m.In], "listens_on", strings.Join(on, " "),
		"proto", m.Proto, "from", m.Src.String(), "to", m.Dst.String(), "remedy", remedy)
}
