package vserver

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"spigate/netstack/frame"
)

// openAs lets the first packet of k in, with the source or the destination
// that NAT gives it.
func (w *world) openAs(k, remote Key, s Segment) Hit {
	w.Helper()
	r := w.tab.Listeners().Match(Attempt{In: lan, Proto: k.Proto, Src: k.Src, Dst: k.Dst, Port: k.DstPort})
	h, v := w.tab.Open(r, k, remote, s, lan, w.now)
	if v != Admit {
		w.Fatalf("%v: %v", k, v)
	}
	return h
}

func ips(all ...string) (out []netip.Addr) {
	for _, a := range all {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
}

func TestALiveConnectionKeepsItsTranslation_VR11(t *testing.T) {
	// wild is a server for everything; with a translation, if addresses are given.
	wild := func(how Translation, addrs ...string) Server {
		s := vs("wild", "any", "any", 0, 0)
		s.SourceTranslation, s.Translations, s.Group = how, ips(addrs...), "homes"
		return s
	}
	snat := func(addrs ...string) []SNAT {
		return []SNAT{{Name: "S", Origins: []netip.Prefix{pfx("10.2.0.0/16")}, Translations: ips(addrs...)}}
	}
	nat := func(inside, outside string) []NAT {
		return []NAT{{Name: "N", Originating: ips(inside)[0], Translation: ips(outside)[0]}}
	}
	homes := []Group{{Name: "homes", Clients: []netip.Prefix{pfx("100.64.0.0/10")}}}
	self := ips("203.0.113.1")
	k := tcpKey("10.2.1.1", 40000, "8.8.8.8", 80)
	plain, by5, by1 := k.Reversed(), tcpKey("8.8.8.8", 80, "203.0.113.5", 40000), tcpKey("8.8.8.8", 80, "203.0.113.1", 40000)
	toNAT := tcpKey("8.8.8.8", 1, "203.0.113.5", 80)
	fromNAT := tcpKey("10.2.1.1", 80, "8.8.8.8", 1)
	servers := func(s ...Server) Config { return Config{Servers: s, Selfs: self} }
	for name, c := range map[string]struct {
		before      Config
		key, remote Key
		after       Config
		kept        bool
		rsts        int
	}{
		"none becomes snat":             {servers(wild(TranslateNone)), k, plain, servers(wild(TranslateSNAT, "203.0.113.5")), true, 0},
		"none becomes lsn":              {servers(wild(TranslateNone)), k, plain, Config{Servers: []Server{wild(TranslateLSN)}, Groups: homes}, true, 0},
		"a SNAT appears":                {servers(wild(TranslateNone)), k, plain, Config{Servers: []Server{wild(TranslateNone)}, SNATs: snat("203.0.113.5")}, true, 0},
		"snat becomes none":             {servers(wild(TranslateSNAT, "203.0.113.5")), k, by5, servers(wild(TranslateNone)), false, 2},
		"snat takes another address":    {servers(wild(TranslateSNAT, "203.0.113.5")), k, by5, servers(wild(TranslateSNAT, "203.0.113.6")), false, 2},
		"snat takes one more address":   {servers(wild(TranslateSNAT, "203.0.113.5")), k, by5, servers(wild(TranslateSNAT, "203.0.113.6", "203.0.113.5")), true, 0},
		"snat goes to a SNAT":           {servers(wild(TranslateSNAT, "203.0.113.5")), k, by5, Config{Servers: []Server{wild(TranslateNone)}, SNATs: snat("203.0.113.5")}, true, 0},
		"automap becomes none":          {servers(wild(Automap)), k, by1, servers(wild(TranslateNone)), true, 0}, // the address is still ours
		"the self address goes":         {servers(wild(Automap)), k, by1, Config{Servers: []Server{wild(Automap)}, Selfs: ips("203.0.113.9")}, false, 2},
		"the SNAT goes":                 {Config{Servers: []Server{wild(TranslateNone)}, SNATs: snat("203.0.113.5")}, k, by5, servers(wild(TranslateNone)), false, 2},
		"the SNAT's address goes over":  {Config{Servers: []Server{wild(TranslateNone)}, SNATs: snat("203.0.113.5")}, k, by5, servers(wild(TranslateSNAT, "203.0.113.5")), true, 0},
		"the SNAT takes another":        {Config{SNATs: snat("203.0.113.5")}, k, by5, Config{SNATs: snat("203.0.113.6")}, false, 2},
		"the SNAT takes one more":       {Config{SNATs: snat("203.0.113.5")}, k, by5, Config{SNATs: snat("203.0.113.4", "203.0.113.5")}, true, 0},
		"the admitting SNAT goes":       {Config{SNATs: snat("203.0.113.5")}, k, by5, servers(wild(TranslateSNAT, "203.0.113.5")), false, 2},
		"the NAT takes another":         {Config{NATs: nat("10.2.1.1", "203.0.113.5")}, k, by5, Config{NATs: nat("10.2.1.1", "203.0.113.6")}, false, 0}, // a NAT resets none
		"the NAT's address goes over":   {Config{NATs: nat("10.2.1.1", "203.0.113.5")}, k, by5, Config{NATs: nat("10.2.1.1", "203.0.113.6"), SNATs: snat("203.0.113.5")}, true, 0},
		"the NAT serves another":        {Config{NATs: nat("10.2.1.1", "203.0.113.5")}, toNAT, fromNAT, Config{NATs: nat("10.2.1.2", "203.0.113.5")}, false, 0},
		"inwards, the NAT is the same":  {Config{NATs: nat("10.2.1.1", "203.0.113.5")}, toNAT, fromNAT, Config{NATs: nat("10.2.1.1", "203.0.113.5")}, true, 0},
		"inwards, the NAT has another":  {Config{NATs: nat("10.2.1.1", "203.0.113.5")}, toNAT, fromNAT, Config{NATs: nat("10.2.1.1", "203.0.113.6")}, false, 0},
		"a server goes before the NAT":  {Config{NATs: nat("10.2.1.1", "203.0.113.5")}, k, by5, Config{Servers: []Server{wild(TranslateNone)}, NATs: nat("10.2.1.1", "203.0.113.5")}, true, 0},
		"the server begins to reject":   {servers(wild(TranslateNone)), k, plain, servers(rejects(wild(TranslateNone))), false, 2},
		"a closer server is put before": {servers(wild(TranslateNone)), k, plain, servers(wild(TranslateNone), rejects(vs("near", "8.8.8.8/32", "any", 0, 0))), true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, c.before)
			h := w.openAs(c.key, c.remote, syn)
			byLSN := h.ByLSN()
			w.mustPass(c.remote, Segment{Flags: frame.TCPSyn | tcpAck, Seq: 500, Ack: 101, Size: 1})
			w.mustPass(c.key, Segment{Flags: tcpAck, Seq: 101, Ack: 501})
			kept, ended := w.reload(c.after)
			if (kept == 1) != c.kept || kept+ended != 1 || len(w.resets) != c.rsts || len(w.ends) != ended || w.lives(c.remote) != c.kept {
				t.Fatalf("%d kept, %d ended, RSTs %+v", kept, ended, w.resets)
			}
			if client, remote := h.Keys(); client != c.key || remote != c.remote || h.ByLSN() != byLSN {
				t.Error("its translation changed")
			}
			w.now += 301 * second
			w.sweep()
			for _, x := range w.tab.Listeners().All() {
				if x.Counters() != nil && x.Counters().Stats().Current != 0 {
					t.Errorf("%v %s counts a connection that is no more", x.Kind, x.Name)
				}
			}
		})
	}
}

func TestAConnectionOfTheLSNEndsWithItsGroup_VR11(t *testing.T) {
	s := from(vs("wild", "any", "any", 0, 0), TranslateLSN)
	c := Config{Servers: []Server{s}, Groups: listenerConfig().Groups}
	w := newWorld(t, c)
	w.mustOpen(client, syn).Bind(5)
	c.Servers = []Server{vs("wild", "any", "any", 0, 0)}
	if kept, _ := w.reload(c); kept != 1 {
		t.Fatal("it ended though its group is there")
	}
	c.Groups = nil
	if _, ended := w.reload(c); ended != 1 || len(w.resets) != 2 || w.ends[0].Session != 5 {
		t.Errorf("%+v, %+v", w.ends, w.resets)
	}
}

func TestASNATThatComesBackHasCountersOfItsOwn(t *testing.T) {
	c := listenerConfig()
	c.Servers = []Server{vs("wild", "any", "any", 0, 0)}
	w := newWorld(t, c)
	k := udpKey("192.168.1.1", 1, "8.8.8.8", 53)
	w.openAs(k, udpKey("8.8.8.8", 53, "10.0.0.1", 1), Segment{}) // automap
	without := c
	without.SNATs = nil
	for _, next := range []Config{without, c} {
		if kept, _ := w.reload(next); kept != 1 {
			t.Fatal("it ended")
		}
	}
	w.now += 300 * second
	w.sweep()
	if s := w.tab.Listeners().Find(KindSNAT, "S").Counters().Stats(); s != (Stats{}) {
		t.Errorf("%+v", s)
	}
}

func TestAReloadGivesNobodyMoreThanTheRateLimit(t *testing.T) {
	s := vs("s", "any", "any", 0, 0)
	s.RateLimit = 5
	c := oneServer(s, FastL4{})
	w := newWorld(t, c)
	in := 0
	for i := range uint16(20) {
		if _, v := w.open(udpKey("10.2.1.1", i, "10.1.1.1", 53), Segment{}, lan); v == Admit {
			in++
		}
		w.reload(c)
	}
	if in != 5 {
		t.Errorf("%d in one instant", in)
	}
}

// thousand are the keys of 1,000 TCP connections to ten networks 10.1.0.0/24
// to 10.1.9.0/24, one of each in turn.
func thousand() []Key {
	ks := make([]Key, 1000)
	for i := range ks {
		ks[i] = tcpKey("10.2.0.0", uint16(20000+i), "10.1.0.1", 80)
		ks[i].Dst[2] = byte(i % 10)
		binary.BigEndian.PutUint16(ks[i].Src[2:], uint16(i))
	}
	return ks
}

func tenServers() (out []Server) {
	for i := range 10 {
		out = append(out, vs(fmt.Sprint("s", i), fmt.Sprintf("10.1.%d.0/24", i), "any", frame.ProtoTCP, 0))
	}
	return out
}

func TestAReloadUnderAThousandConnectionsKeepsTheLegalOnes_VR11(t *testing.T) {
	w := newWorld(t, Config{Servers: tenServers()})
	ks := thousand()
	for _, k := range ks {
		w.handshake(k)
	}
	next := tenServers()
	next[1].Destination = pfx("10.1.0.0/16")                     // wider: legal
	next[2].Port = 443                                           // another port
	next[3].Source = pfx("10.2.0.0/24")                          // only the first 256 sources
	next[4] = disabled(next[4])                                  // Q3: legal
	next[5] = on(next[5], tunnel)                                // VR5: legal
	next[6] = rejects(next[6])                                   //
	next[7].ConnectionLimit = 1                                  // VR5: legal
	next[8].Name = "another"                                     // not the same object
	next = slices.Delete(next, 9, 10)                            // gone
	next = append(next, vs("added", "10.1.9.0/24", "any", 0, 0)) // in its place
	legal := func(k Key) bool {
		switch k.Dst[2] {
		case 2, 6, 8, 9:
			return false
		case 3:
			return k.Src[2] == 0
		}
		return true
	}
	kept, ended := w.reload(Config{Servers: next})
	rsts := map[Key]int{} // by what they show, one for each side
	for _, r := range w.resets {
		rsts[r.Key]++
	}
	ends := map[Key]int{}
	for _, e := range w.ends {
		ends[e.Client]++
	}
	want := 0
	for _, k := range ks {
		once := 1
		if legal(k) {
			once = 0
			want++
		}
		if w.lives(k) != legal(k) || w.lives(k.Reversed()) != legal(k) || rsts[k] != once || rsts[k.Reversed()] != once || ends[k] != once {
			t.Fatalf("%v: lives %v, %d and %d RSTs, %d ends", k, w.lives(k), rsts[k], rsts[k.Reversed()], ends[k])
		}
	}
	if kept != want || ended != 1000-want || w.tab.Len() != want || len(w.resets) != 2*ended {
		t.Errorf("%d kept, %d ended, %d in the table, %d RSTs, want %d kept", kept, ended, w.tab.Len(), len(w.resets), want)
	}
	if s := w.stats("s1"); s.Current != 100 || s.Total != 100 {
		t.Errorf("%+v", s)
	}
	// Those that are left take packets, those that are gone are no SYN.
	for _, k := range ks {
		if _, ok := w.packet(k, data, tunnel); ok != legal(k) {
			t.Fatalf("%v: a packet passes: %v", k, ok)
		}
	}
}

func TestReloadsWhilePacketsPassEndEachOnce_VR11(t *testing.T) {
	var mu sync.Mutex
	ends, rsts := map[uint64]int{}, map[Key]int{}
	whole, half := build(t, Config{Servers: tenServers()}), build(t, Config{Servers: tenServers()[:5]})
	tab := NewTable(TableConfig{Listeners: whole, OnEnd: func(e End) {
		mu.Lock()
		defer mu.Unlock()
		ends[e.ID]++
	}})
	w := &world{T: t, tab: tab}
	ks := thousand()
	for _, k := range ks {
		w.handshake(k)
	}
	var wg sync.WaitGroup
	for g := range 3 {
		wg.Go(func() {
			for i := g; i < 30_000; i += 3 {
				k := ks[i%1000]
				if h, ok := tab.Find(k, data, 1); ok {
					tab.Touch(h, data, lan, 1)
					tab.Active(h.ID(), k.Reversed(), 1, 40, 501, 201, true, 1)
				}
			}
		})
	}
	wg.Go(func() {
		for _, l := range []*Listeners{half, build(t, Config{Servers: tenServers()})} {
			tab.Reload(l, 1, func(r Reset) { rsts[r.Key]++ })
		}
	})
	wg.Wait()
	if len(ends) != 500 || len(rsts) != 1000 || tab.Len() != 500 {
		t.Errorf("%d ends, %d sides reset, %d left", len(ends), len(rsts), tab.Len())
	}
	for id, n := range ends {
		if n != 1 {
			t.Errorf("%d ended %d times", id, n)
		}
	}
	for k, n := range rsts {
		if n != 1 {
			t.Errorf("%v was reset %d times", k, n)
		}
	}
}
