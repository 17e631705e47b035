package lsn

import (
	"net/netip"
	"strings"
	"testing"
	"time"
	"unsafe"

	"spigate/netstack/frame"
)

func TestAFaultyConfigurationIsRefusedWithItsFault(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(*Config)
		want  string
	}{
		{"missing client", func(c *Config) { c.Groups[0].Client = "nobody" }, `group "G": client "nobody" does not exist`},
		{"missing pool", func(c *Config) { c.Groups[0].Pools = []string{"Q"} }, `pool "Q" does not exist`},
		{"no pool", func(c *Config) { c.Groups[0].Pools = nil }, "no NAT address"},
		{"pool bound twice", func(c *Config) { c.Groups[0].Pools = []string{"P", "P"} }, `pool "P" is bound twice`},
		{"seventeen pools", func(c *Config) { c.Groups[0].Pools = make([]string, 17) }, "17 pools"},
		{"pool twice", func(c *Config) { c.Pools = append(c.Pools, Pool{Name: "P"}) }, `pool "P": defined twice`},
		{"address in two pools", func(c *Config) { c.Pools = append(c.Pools, Pool{Name: "Q", Ranges: []Range{{nat1, nat1}}}) }, `203.0.113.3 is already in pool "P"`},
		{"range backwards", func(c *Config) { c.Pools[0].Ranges[0] = Range{nat7, nat1} }, "backwards"},
		{"pool too large", func(c *Config) { c.Pools[0].Ranges[0].Last = frame.Addr{203, 0, 129, 3} }, "more than 4096"},
		{"the whole of IPv4", func(c *Config) { c.Pools[0].Ranges[0] = Range{frame.Addr{}, frame.Addr{255, 255, 255, 255}} }, "more than 4096"},
		{"group twice", func(c *Config) { c.Groups = append(c.Groups, c.Groups[0]) }, `group "G": defined twice`},
		{"client in two groups", func(c *Config) { g := c.Groups[0]; g.Name = "H"; c.Groups = append(c.Groups, g) }, `client "C" already belongs to group "G"`},
		{"network twice", func(c *Config) {
			c.Clients = append(c.Clients, Client{"D", []netip.Prefix{netip.MustParsePrefix("192.0.2.9/24")}})
			c.Groups = append(c.Groups, Group{Name: "H", Client: "D", Pools: []string{"P"}})
		}, `already a client of group "G"`},
		{"IPv6 network", func(c *Config) { c.Clients[0].Networks[0] = netip.MustParsePrefix("2001:db8::/32") }, "not an IPv4 prefix"},
		{"empty network", func(c *Config) { c.Clients[0].Networks[0] = netip.Prefix{} }, "not an IPv4 prefix"},
		{"protocol of a profile", func(c *Config) { c.Groups[0].Apps = []AppProfile{{Name: "A", Proto: 47}} }, `"A": protocol 47`},
		{"mapping of a profile", func(c *Config) { c.Groups[0].Apps = []AppProfile{{Name: "A", Proto: 6, Mapping: 3}} }, "unknown pooling"},
		{"ports backwards", func(c *Config) { c.Groups[0].Apps = []AppProfile{{Name: "A", Proto: 6, Ports: []PortRange{{9, 8}}}} }, "9-8 is backwards"},
		{"two defaults", func(c *Config) { c.Groups[0].Apps = []AppProfile{{Name: "A", Proto: 6}, {Name: "B", Proto: 6}} }, `"A" and "B" have the same ports`},
		{"transport twice", func(c *Config) {
			c.Groups[0].Transports = []TransportProfile{{Name: "S", Proto: 6}, {Name: "T", Proto: 6}}
		}, `"S" and "T" are for the same protocol`},
		{"transport protocol", func(c *Config) { c.Groups[0].Transports = []TransportProfile{{Name: "S", Proto: 50}} }, `"S": protocol 50`},
		{"negative timeout", func(c *Config) {
			c.Groups[0].Transports = []TransportProfile{{Name: "S", Proto: 6, FinRstTimeout: -time.Second}}
		}, "a timeout is negative"},
		{"negative hold", func(c *Config) { c.Groups[0].PairingHold = -1 }, "pairing hold is negative"},
		{"negative bound", func(c *Config) { c.MaxSessions = -1 }, "max sessions"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := config(nat7)
			tt.spoil(&c)
			_, err := New(c)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("fault %v, want one with %q", err, tt.want)
			}
		})
	}
}

func TestAllFaultsAreReportedAtOnce(t *testing.T) {
	c := config(nat7)
	c.Groups[0].Client, c.Groups[0].Pools, c.MaxSessions = "x", nil, -1
	_, err := New(c)
	if n := strings.Count(err.Error(), "\n") + 1; n != 3 {
		t.Errorf("%d faults, want 3:\n%v", n, err)
	}
}

func TestKeysAndSlotsAreSmall(t *testing.T) {
	word := unsafe.Sizeof(uintptr(0)) // 8, or 4 on 32-bit ARM
	for name, got := range map[string][2]uintptr{
		"tupleKey": {unsafe.Sizeof(tupleKey{}), 14}, "mapKey": {unsafe.Sizeof(mapKey{}), 14},
		"portUse": {unsafe.Sizeof(portUse{}), 12}, "portKey": {unsafe.Sizeof(portKey{}), 8},
		"permitKey": {unsafe.Sizeof(permitKey{}), 8}, "network": {unsafe.Sizeof(network{}), 8},
		"session": {unsafe.Sizeof(session{}), 72}, "mapping": {unsafe.Sizeof(mapping{}), 48 + word},
		"permit": {unsafe.Sizeof(permit{}), 12}, "pair": {unsafe.Sizeof(pair{}), 32}, "entry": {unsafe.Sizeof(entry{}), 8},
	} {
		if got[0] != got[1] {
			t.Errorf("%s has %d bytes, want %d", name, got[0], got[1])
		}
	}
}

func TestIdentifiersComeApartAsTheyWerePutTogether(t *testing.T) {
	for _, shard := range []int{0, numShards - 1} {
		for _, generation := range []uint32{1, generations} {
			s, g, slot := splitID(makeID(shard, generation, 1<<32-1))
			if s != shard || g != generation || slot != 1<<32-1 {
				t.Errorf("%d %d came back as %d %d %d", shard, generation, s, g, slot)
			}
		}
	}
	if nextGeneration(generations) != 1 {
		t.Error("a generation of 0 would let an identifier be 0")
	}
}
