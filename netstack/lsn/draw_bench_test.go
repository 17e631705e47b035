package lsn

import (
	"math/rand/v2"
	"testing"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// benchDraw keeps one address at a share of its ports (in thousandths) and
// measures a mapping's end and the next one's beginning.
func benchDraw(b *testing.B, c Config, thousandths int) {
	c.Rand = nil
	t, err := New(c)
	if err != nil {
		b.Fatal(err)
	}
	begin := func(host byte, n int) Binding {
		tup := udp(at(frame.Addr{192, 0, 2, host}, uint16(n)), at(serverY, 443))
		pl, _ := t.DecideOut(tup, Hints{}, 0)
		bind, why := t.CommitOut(&pl, 0)
		if why != drop.None {
			b.Fatal(why)
		}
		return bind
	}
	var live []Binding
	for n := range numPorts * thousandths / 1000 {
		live = append(live, begin(byte(n%63), n/63))
	}
	r := rand.New(rand.NewPCG(1, 1))
	b.ReportAllocs()
	b.ResetTimer()
	for n := range b.N {
		i := r.IntN(len(live))
		t.RemoveMapping(live[i].Mapping)
		live[i] = begin(live[i].Inside.Addr[3], 2000+n%60000)
	}
}

func BenchmarkDraw(b *testing.B) {
	for name, thousandths := range map[string]int{"10%": 100, "90%": 900, "99.9%": 999} {
		for apps, app := range map[string]AppProfile{"EIM": udpAll, "APDM": {Name: "A", Proto: frame.ProtoUDP}} {
			b.Run(apps+"/"+name, func(b *testing.B) { benchDraw(b, config(nat1, app), thousandths) })
		}
		b.Run("parity/"+name, func(b *testing.B) { benchDraw(b, preserving(config(nat1, udpAll), true, false), thousandths) })
		b.Run("blocks/"+name, func(b *testing.B) { benchDraw(b, blocked(config(nat1, udpAll), 1024), thousandths) })
	}
}

// BenchmarkDrawWhenFull is a flood of new sessions against a full address.
func BenchmarkDrawWhenFull(b *testing.B) {
	for name, c := range map[string]Config{
		"EIM": config(nat1, udpAll), "APDM": config(nat1), "blocks": blocked(config(nat1, udpAll), 512),
		"blocks APDM": blocked(config(nat1), 512),
	} {
		b.Run(name, func(b *testing.B) {
			c.Rand = nil
			t, err := New(c)
			if err != nil {
				b.Fatal(err)
			}
			for n := 0; ; n++ {
				pl, _ := t.DecideOut(udp(at(subscriber, uint16(n)), at(serverY, 443)), Hints{}, 0)
				if _, why := t.CommitOut(&pl, 0); why != drop.None {
					break
				}
			}
			b.ResetTimer()
			for range b.N {
				pl, _ := t.DecideOut(udp(at(subscriber, 65535), at(serverY, 443)), Hints{}, 0)
				if _, why := t.CommitOut(&pl, 0); why != drop.NoFreePort {
					b.Fatal(why)
				}
			}
		})
	}
}
