package lsn

import (
	"strings"
	"testing"
	"time"
)

// blocked is config with blocks of a size.
func blocked(c Config, size int) Config {
	c.Pools[0].PortBlocks, c.Groups[0].BlockSize = true, size
	return c
}

// deterministic is config with deterministic NAT; size 0 is the default.
func deterministic(c Config, policy AllocPolicy, size int) Config {
	c.Pools[0].Type, c.Groups[0].Type = Deterministic, Deterministic
	c.Groups[0].Alloc, c.Groups[0].BlockSize = policy, size
	return c
}

func TestAFaultyAllocationIsRefusedWithItsFault(t *testing.T) {
	second := func(c *Config) *Group {
		c.Clients = append(c.Clients, Client{"D", nil})
		g := c.Groups[0]
		g.Name, g.Client = "H", "D"
		c.Groups = append(c.Groups, g)
		return &c.Groups[1]
	}
	tests := []struct {
		name  string
		base  Config
		spoil func(*Config)
		want  string
	}{
		{"pool type", config(nat7), func(c *Config) { c.Pools[0].Type = 2 }, `pool "P": unknown NAT type 2`},
		{"hold-down too long", config(nat7), func(c *Config) { c.Pools[0].ReallocTimeout = 601 * time.Second }, "10m1s is not in 0s to 10m0s"},
		{"hold-down negative", config(nat7), func(c *Config) { c.Pools[0].ReallocTimeout = -1 }, "is not in 0s to 10m0s"},
		{"queue too long", config(nat7), func(c *Config) { c.Pools[0].MaxReallocQueue = 65537 }, "queue of 65537"},
		{"queue negative", config(nat7), func(c *Config) { c.Pools[0].MaxReallocQueue = -1 }, "queue of -1"},
		{"group type", config(nat7), func(c *Config) { c.Groups[0].Type = 2 }, `group "G": unknown NAT type 2`},
		{"policy", deterministic(config(nat7), 2, 0), func(*Config) {}, "unknown allocation policy 2"},
		{"policy of a dynamic group", config(nat7), func(c *Config) { c.Groups[0].Alloc = ByAddresses }, "deterministic groups only"},
		{"small block", blocked(config(nat7), 255), func(*Config) {}, "block size 255 is not in 256 to 65536"},
		{"large block", blocked(config(nat7), 65537), func(*Config) {}, "block size 65537 is not in 256 to 65536"},
		{"a block that fits no address", blocked(config(nat7), 64513), func(*Config) {}, "only 64512 ports"},
		{"dynamic group, deterministic pool", config(nat7), func(c *Config) { c.Pools[0].Type = Deterministic }, `pool "P" is DETERMINISTIC and the group is DYNAMIC`},
		{"deterministic group, dynamic pool", config(nat7), func(c *Config) { c.Groups[0].Type = Deterministic }, `pool "P" is DYNAMIC and the group is DETERMINISTIC`},
		{"blocks without a size", blocked(config(nat7), 0), func(*Config) {}, "the group needs a block size"},
		{"a size without blocks", config(nat7), func(c *Config) { c.Groups[0].BlockSize = 512 }, "no port block allocation"},
		{"deterministic pool in two groups", deterministic(config(nat7), ByPorts, 0), func(c *Config) { second(c) }, `deterministic pool "P" already belongs to group "G"`},
		{"two sizes in one pool", blocked(config(nat7), 512), func(c *Config) { second(c).BlockSize = 1024 }, `cut into blocks of 512 by group "G", not 1024`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.spoil(&tt.base)
			if _, err := New(tt.base); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("fault %v, want one with %q", err, tt.want)
			}
		})
	}
}

func TestTwoGroupsMayShareAPoolOfEqualBlocks(t *testing.T) {
	c := blocked(config(nat7), 512)
	c.Clients = append(c.Clients, Client{"D", nil})
	c.Groups = append(c.Groups, Group{Name: "H", Client: "D", Pools: []string{"P"}, BlockSize: 512})
	if _, err := New(c); err != nil {
		t.Error(err)
	}
}
