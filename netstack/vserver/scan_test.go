package vserver

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"spigate/netstack/frame"
)

// scan is VR2, VR3 and VR6 to VR9 as they are written: everything is asked.
type scan struct {
	Config
	a      Attempt
	missed bool // somebody was on another VLAN
}

// rank is what VR7 compares.
func rank(s *Server) [5]int {
	is := func(b bool) int {
		if b {
			return 1
		}
		return 0
	}
	return [5]int{s.Destination.Bits(), s.Source.Bits(), is(s.Port != 0), is(s.Protocol != 0), is(s.VLANs.Enabled || len(s.VLANs.List) > 0)}
}

func (s *scan) hears(v VLANs) bool {
	if slices.Contains(v.List, s.a.In) == v.Enabled {
		return true
	}
	s.missed = true
	return false
}

// servers returns who wins, and who would have, if it were not disabled.
func (s *scan) servers() (won, off *Server) {
	for i := range s.Servers {
		v := &s.Servers[i]
		if !v.Destination.Contains(s.a.Dst.Netip()) || !v.Source.Contains(s.a.Src.Netip()) || v.Port != 0 && v.Port != s.a.Port ||
			v.Protocol != 0 && v.Protocol != s.a.Proto || !s.hears(v.VLANs) {
			continue
		}
		best := &won
		if v.Disabled && s.ContinueMatching {
			best = &off
		}
		r := rank(v)
		if *best == nil {
			*best = v
		} else if o := rank(*best); slices.Compare(r[:], o[:]) > 0 {
			*best = v
		}
	}
	return won, off
}

// longest is the listener with the longest network around the source.
func (s *scan) longest(n int, of func(int) (string, []netip.Prefix, VLANs)) (name string, bits int) {
	bits = -1
	for i := range n {
		this, networks, vlans := of(i)
		for _, p := range networks {
			if p.Contains(s.a.Src.Netip()) && s.hears(vlans) && p.Bits() > bits {
				name, bits = this, p.Bits()
			}
		}
	}
	return name, bits
}

// source is who translates the source, "" if nobody.
func (s *scan) source() string {
	for _, n := range s.NATs {
		if n.Originating == s.a.Src.Netip() && s.hears(n.VLANs) {
			return n.Name
		}
	}
	name, _ := s.longest(len(s.SNATs), func(i int) (string, []netip.Prefix, VLANs) {
		return s.SNATs[i].Name, s.SNATs[i].Origins, s.SNATs[i].VLANs
	})
	return name
}

// host is who has the destination itself, besides servers.
func (s *scan) host() string {
	for _, n := range s.NATs {
		if n.Translation == s.a.Dst.Netip() && s.hears(n.VLANs) {
			return n.Name
		}
	}
	if slices.Contains(s.Selfs, s.a.Dst.Netip()) {
		return s.a.Dst.Netip().String()
	}
	return ""
}

func (s *scan) says() string {
	won, off := s.servers()
	host, source := s.host(), s.source()
	group, bits := s.longest(len(s.Groups), func(i int) (string, []netip.Prefix, VLANs) { return s.Groups[i].Name, s.Groups[i].Clients, VLANs{} })
	bare := won != nil && won.Role == Forward && won.SourceTranslation == TranslateNone
	switch {
	case host != "" && (won == nil || !won.Destination.IsSingleIP()):
		return "admit " + host
	case bare && won.Destination.Bits() == 0 && source == "" && bits > won.Source.Bits():
		return "admit " + group
	case won != nil && won.Disabled:
		return "vs_disabled " + won.Name
	case won != nil && won.Role == Reject:
		return "rejected " + won.Name
	case bare && source != "":
		return "admit " + won.Name + " by " + source
	case won != nil:
		return "admit " + won.Name
	case source != "":
		return "admit " + source
	case group != "":
		return "admit " + group
	case s.missed:
		return "vlan_miss"
	case off != nil:
		return "vs_disabled " + off.Name
	}
	return "no_listener"
}

// nearby draws addresses that share long and short beginnings.
func nearby() *rapid.Generator[netip.Addr] {
	return rapid.Custom(func(t *rapid.T) netip.Addr {
		b := [4]byte{}
		for i := range b {
			b[i] = rapid.SampledFrom([]byte{0, 1, 127, 128, 255}).Draw(t, "byte")
		}
		return netip.AddrFrom4(b)
	})
}

func someNetwork() *rapid.Generator[netip.Prefix] {
	return rapid.Custom(func(t *rapid.T) netip.Prefix {
		bits := rapid.SampledFrom([]int{0, 0, 1, 7, 8, 9, 16, 17, 24, 25, 31, 32}).Draw(t, "bits")
		return netip.PrefixFrom(nearby().Draw(t, "address"), bits).Masked()
	})
}

func someVLANs() *rapid.Generator[VLANs] {
	return rapid.Custom(func(t *rapid.T) (v VLANs) {
		v.Enabled = rapid.Bool().Draw(t, "enabled")
		v.List = rapid.SliceOfNDistinct(rapid.SampledFrom([]frame.Interface{1, 2, 200}), 0, 2, rapid.ID[frame.Interface]).Draw(t, "vlans")
		return v
	})
}

// someConfig draws objects and keeps those that make no fault.
func someConfig(t *rapid.T, dsts []netip.Prefix) (c Config) {
	keep := func(with Config) {
		if _, err := New(with); err == nil {
			c = with
		}
	}
	c.ContinueMatching = rapid.Bool().Draw(t, "continue")
	for range rapid.IntRange(0, 2).Draw(t, "selfs") {
		with := c
		with.Selfs = append(slices.Clone(c.Selfs), nearby().Draw(t, "self"))
		keep(with)
	}
	for i := range rapid.IntRange(0, 3).Draw(t, "groups") {
		with := c
		with.Groups = append(slices.Clone(c.Groups), Group{fmt.Sprint("g", i), rapid.SliceOfN(someNetwork(), 1, 3).Draw(t, "clients")})
		keep(with)
	}
	for i := range rapid.IntRange(0, 3).Draw(t, "nats") {
		with := c
		with.NATs = append(slices.Clone(c.NATs), NAT{Name: fmt.Sprint("n", i), Originating: nearby().Draw(t, "inside"),
			Translation: rapid.SampledFrom(dsts).Draw(t, "outside").Addr(), VLANs: someVLANs().Draw(t, "vlans")})
		keep(with)
	}
	for i := range rapid.IntRange(0, 3).Draw(t, "snats") {
		with := c
		with.SNATs = append(slices.Clone(c.SNATs), SNAT{Name: fmt.Sprint("t", i), Origins: rapid.SliceOfN(someNetwork(), 1, 2).Draw(t, "origins"),
			Automap: true, VLANs: someVLANs().Draw(t, "vlans")})
		keep(with)
	}
	for i := range rapid.IntRange(0, 30).Draw(t, "servers") {
		with := c
		with.Servers = append(slices.Clone(c.Servers), Server{Name: fmt.Sprint("s", i),
			Role:              rapid.SampledFrom([]Role{Forward, Forward, Forward, Reject}).Draw(t, "role"),
			SourceTranslation: rapid.SampledFrom([]Translation{TranslateNone, TranslateNone, TranslateNone, Automap}).Draw(t, "translation"),
			Destination:       rapid.SampledFrom(dsts).Draw(t, "dst"), Source: someNetwork().Draw(t, "src"),
			Protocol: rapid.SampledFrom([]uint8{0, 6, 17}).Draw(t, "proto"), Port: rapid.SampledFrom([]uint16{0, 22, 80}).Draw(t, "port"),
			Disabled: rapid.IntRange(0, 4).Draw(t, "disabled") == 0, VLANs: someVLANs().Draw(t, "vlans")})
		keep(with)
	}
	return c
}

func someAttempt(t *rapid.T, dsts []netip.Prefix, c *Config) Attempt {
	src, dst := nearby().Draw(t, "from"), nearby().Draw(t, "to")
	if rapid.Bool().Draw(t, "to a destination") {
		dst = rapid.SampledFrom(dsts).Draw(t, "which").Addr()
	}
	if len(c.NATs) > 0 && rapid.IntRange(0, 3).Draw(t, "from an origin") == 0 {
		src = c.NATs[0].Originating
	}
	a := Attempt{In: rapid.SampledFrom([]frame.Interface{1, 2, 200}).Draw(t, "in"), Proto: rapid.SampledFrom([]uint8{6, 17, 50}).Draw(t, "p"),
		Src: frame.Addr(src.As4()), Dst: frame.Addr(dst.As4())}
	if a.Proto != 50 {
		a.Port = rapid.SampledFrom([]uint16{22, 80, 443}).Draw(t, "dport")
	}
	return a
}

func TestMatchIsWhatANaiveScanFinds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dsts := rapid.SliceOfN(someNetwork(), 1, 5).Draw(t, "dsts")
		dsts = append(dsts, pfx("any"))
		c := someConfig(t, dsts)
		l, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			a := someAttempt(t, dsts, &c)
			got := said(l.Match(a))
			if strings.HasPrefix(got, "vlan_miss ") {
				got = "vlan_miss"
			}
			if want := (&scan{Config: c, a: a}).says(); got != want {
				t.Fatalf("%+v: %s, want %s", a, got, want)
			}
		}
	})
}
