package netstack

import (
	"fmt"
	"hash/fnv"
	"hash/maphash"
	"reflect"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"
)

// state writes down everything that a value refers to, but for locks, pools,
// functions, clocks and the stack, which has its own counters.
type state struct {
	seen map[unsafe.Pointer]bool
	out  []string
	path []string
}

func stateOf(r *Router) string {
	s := &state{seen: map[unsafe.Pointer]bool{}}
	for i, part := range []any{
		r.drops, r.conns, r.lsn, r.alg, r.frags, r.esp, r.keyer, r.crypto, &r.ports, &r.helpers, &r.misses, &r.rejects, &r.lastResets, &r.refusals, &r.syns, &r.later,
		&r.timers.gateAt, r.flows, &r.icmpESP, &r.kept, &r.neighbors.known,
	} {
		s.path = []string{fmt.Sprintf("%T %d", part, i)}
		s.value(reflect.ValueOf(part))
	}
	for _, d := range r.StackDrops() {
		s.out = append(s.out, fmt.Sprint(d.Word, d.Count))
	}
	for _, c := range r.Counters() {
		s.out = append(s.out, fmt.Sprintf("%+v", c))
	}
	sort.Strings(s.out)
	return strings.Join(s.out, "\n")
}

func (s *state) value(v reflect.Value) {
	switch t := v.Type(); {
	case strings.HasPrefix(t.String(), "sync.") && !strings.HasPrefix(t.String(), "sync.atomic"), t == reflect.TypeFor[maphash.Seed](),
		t == reflect.TypeFor[*Router](), t == reflect.TypeFor[*Chassis]():
		return
	case strings.HasPrefix(t.String(), "atomic.Pointer["):
		p := v.FieldByName("v").UnsafePointer()
		s.value(reflect.NewAt(t.Field(0).Type.Elem().Elem(), p))
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() || s.seen[v.UnsafePointer()] && v.Elem().Kind() == reflect.Struct {
			return
		}
		s.seen[v.UnsafePointer()] = true
		s.value(v.Elem())
	case reflect.Interface:
		if !v.IsNil() {
			s.value(v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			s.in(v.Type().Field(i).Name, v.Field(i))
		}
	case reflect.Array, reflect.Slice:
		s.list(v)
	case reflect.Map:
		keys := v.MapKeys() // in order: what several refer to is written down where it is met first
		sort.Slice(keys, func(i, j int) bool { return fmt.Sprint(keys[i]) < fmt.Sprint(keys[j]) })
		for _, k := range keys {
			s.in(fmt.Sprint(k), v.MapIndex(k))
		}
		s.out = append(s.out, fmt.Sprint(strings.Join(s.path, "."), " has ", v.Len()))
	case reflect.Func, reflect.Chan, reflect.UnsafePointer:
	default:
		if !v.IsZero() {
			s.out = append(s.out, strings.Join(s.path, ".")+"="+fmt.Sprint(v))
		}
	}
}

// list writes down numbers as a sum: slabs and rings have many.
func (s *state) list(v reflect.Value) {
	switch v.Type().Elem().Kind() {
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Int32, reflect.Int64:
		h := fnv.New64a()
		for i := range v.Len() {
			fmt.Fprint(h, v.Index(i), " ")
		}
		s.out = append(s.out, fmt.Sprintf("%s: %d, %x", strings.Join(s.path, "."), v.Len(), h.Sum64()))
		return
	}
	for i := range v.Len() {
		s.in(fmt.Sprint(i), v.Index(i))
	}
}

func (s *state) in(name string, v reflect.Value) {
	s.path = append(s.path, name)
	s.value(v)
	s.path = s.path[:len(s.path)-1]
}

func TestExplainingChangesNothing(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			d := newDrawer(t, 1000+seed, (*drawer).tunnels)
			for range 150 {
				d.one(t)
			}
			d.w.advance(7 * time.Second)
			before := stateOf(d.w.r)
			for range 200 {
				b, outside := d.packet()
				in := lanIf
				if outside {
					in = wanIf
				}
				if _, err := d.w.r.Explain(Question{In: in, Packet: b, Unsealed: d.chance(30)}); err != nil {
					t.Fatal(err)
				}
			}
			if after := stateOf(d.w.r); after != before {
				t.Errorf("changed:\n%s", difference(before, after))
			}
			d.one(t)
			if stateOf(d.w.r) == before {
				t.Error("a packet that passed has left no trace either: the test sees nothing")
			}
			if log := d.w.log.String(); strings.Contains(log, "panic") {
				t.Error(log)
			}
		})
	}
}

// difference is the lines that one text has and the other has not.
func difference(before, after string) string {
	var out []string
	had := map[string]bool{}
	for _, l := range strings.Split(before, "\n") {
		had[l] = true
	}
	for _, l := range strings.Split(after, "\n") {
		if !had[l] {
			out = append(out, l)
		}
	}
	return strings.Join(out[:min(len(out), 20)], "\n")
}

// Explaining disturbs nobody: packets end as they were explained while others ask.
func TestExplainingWhilePacketsPassDisturbsNobody(t *testing.T) {
	for seed := range uint64(3) {
		d := newDrawer(t, 9000+seed, (*drawer).tunnels)
		var asked []Question
		for range 300 {
			b, outside := d.packet()
			q := Question{In: lanIf, Packet: b, Unsealed: d.chance(20)}
			if outside {
				q.In = wanIf
			}
			asked = append(asked, q)
		}
		var others sync.WaitGroup
		done := make(chan struct{})
		for range 2 {
			others.Go(func() {
				for i := 0; ; i++ {
					select {
					case <-done:
						return
					default:
					}
					if _, err := d.w.r.Explain(asked[i%len(asked)]); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		for range 150 {
			d.one(t)
			d.oneUnsealed(t)
		}
		close(done)
		others.Wait()
	}
}
