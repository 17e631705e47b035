package wire

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"spigate/configs"
	"spigate/netstack/lsn"
)

// What the check of a file lets pass, the daemon must be able to start with:
// the tables have the last word, but at the check it has to be heard.
func TestTheTablesTakeWhatTheCheckTakes(t *testing.T) {
	var taken, refused int
	rapid.Check(t, func(t *rapid.T) {
		text := anyLSN(t)
		c, _, err := configs.Parse("f", []byte(text))
		if err != nil {
			refused++
			return
		}
		taken++
		if _, err := lsn.New(lsnConfig(c, 0)); err != nil {
			t.Fatalf("checked, and then: %v\n%s", err, text)
		}
	})
	if taken == 0 || refused == 0 {
		t.Errorf("%d taken, %d refused: the texts show nothing", taken, refused)
	}
}

// anyLSN writes a configuration of few addresses and ports, so that they often
// are in each other's way.
func anyLSN(t *rapid.T) string {
	var b strings.Builder
	pick := func(name string, from ...string) string { return rapid.SampledFrom(from).Draw(t, name) }
	deterministic := pick("type", "", "nat_type = \"DETERMINISTIC\"\n")
	blocks, size := "", pick("deterministic size", "", "port_block_size = 512\n", "port_block_size = 64512\n")
	if deterministic == "" {
		blocks = pick("blocks", "", "port_block_allocation = true\n")
		size = map[string]string{"": "", "port_block_allocation = true\n": "port_block_size = 2048\n"}[blocks]
	}
	fmt.Fprintf(&b, "version = 1\n[lsn.client.C]\nnetworks = [%s]\n",
		pick("networks", `"192.0.2.0/29"`, `"192.0.2.0/29", "192.0.2.4/30"`, `"192.0.2.1/32", "192.0.2.2/32"`, `"0.0.0.0/0"`))
	fmt.Fprintf(&b, "[lsn.pool.P]\naddresses = [%s]\n%s%s", pick("pool", `"203.0.113.1-203.0.113.2"`, `"192.0.2.7"`, `"192.0.2.1"`), deterministic, blocks)
	fmt.Fprintf(&b, "[lsn.group.G]\nclient = \"C\"\npools = [\"P\"]\n%s%s%s", deterministic, size, pick("preset", "", "preset = \"rfc6888\"\n"))
	for n := range rapid.IntRange(0, 3).Draw(t, "statics") {
		name := func(s string) string { return fmt.Sprint(s, n) }
		port := pick(name("port"), "", ":80", ":2000")
		fmt.Fprintf(&b, "[lsn.static.s%d]\nprotocol = %q\nsubscriber = \"%s%s\"\nnat = \"%s%s\"\n", n,
			pick(name("protocol"), "TCP", "UDP", "ICMP", "ALL"), pick(name("subscriber"), "192.0.2.1", "192.0.2.2"), port,
			pick(name("nat"), "203.0.113.1", "203.0.113.2", "203.0.113.3", "192.0.2.7"), port)
		b.WriteString(pick(name("dest"), "", "dest_ip = \"198.51.100.1\"\n", "dest_ip = \"198.51.100.2\"\n"))
	}
	return b.String()
}
