package configs

import (
	"fmt"
	"regexp"
	"testing"

	"github.com/BurntSushi/toml"
)

func TestFaultsAreReportedWhereTheyStand(t *testing.T) {
	head := "version = 1\n"
	for _, c := range []struct{ name, text, want string }{
		{"a plain key", "[system]\nhost = 1\n", "f:3:1: system.host: unknown key"},
		{"an indented key", "[system]\n\t  host = 1\n", "f:3:4: system.host: unknown key"},
		{"a dotted key", "system . host = 1\n", "f:2:10: system.host: unknown key"},
		{"a quoted key", "[system]\n \"ho\\u0073t\" = 1\n", "f:3:2: system.host: unknown key"},
		{"a literal key", "[system]\n 'h.o' = 1\n", `f:3:2: system."h.o": unknown key`},
		{"a key in an inline table", "system = { hostname = \"a\", host = 1 }\n", "f:2:28: system.host: unknown key"},
		{"a dotted key in an inline table", "lsn = {parameter.memlimi=0}\n", `f:2:18: lsn.parameter.memlimi: unknown key; did you mean "memlimit"?`},
		{"a table", "# [plugins]\n  [ plugins.x ]\n", "f:3:5: plugins: unknown key"},
		{"after a comment with a quote", "# don't\n[system] # \"x\nhost = 1", "f:4:1: system.host: unknown key"},
		{"after a string with a hash", "[system]\nhostname=\"#[x]\"\nhost = 1", "f:4:1: system.host: unknown key"},
		{"after a long string", "[system]\nhostname=\"\"\"a\nhost = 1\n\\\"\"\"\"\"\nhost = 1", "f:6:1: system.host: unknown key"},
		{"after a long literal", "[system]\nhostname='''a\nhost = 1\n'''\nhost = 1", "f:6:1: system.host: unknown key"},
		{"with Windows line ends", "[system]\r\n host = 1\r\n", "f:3:2: system.host: unknown key"},
		{"an element of an array", "lsn.client.a.networks = [ \"10.0.0.0/8\", # one\n  \"10.0.0.1/8\" ]\n",
			`f:3:3: lsn.client.a.networks[1]: "10.0.0.1/8" has host bits: write 10.0.0.0/8`},
		{"a wrong type", "[system]\n hostname =  [1]\n", "f:3:14: system.hostname: must be a string, not an array"},
		{"a table where a value belongs", "[system.hostname]\n", "f:2:9: system.hostname: must be a string, not a table"},
		{"an array of tables", "[[system]]\n", "f:2:3: system: must be a table, not an array of tables"},
		{"a missing key, at its table", "[lsn.group.\"g 1\"]\nclient = \"c\"\n[lsn.client.c]\nnetworks=[\"10.0.0.0/8\"]\n",
			`f:2:12: lsn.group."g 1".pools: is missing`},
		{"a whole table", "[ltm]\nvirtual.V = { destination = \"10.0.0.1:80\" }\n", "f:3:9: ltm.virtual.V: has no role: say ip_forward = true, or reject = true"},
		{"a key of an inline table in a table", "[ltm.virtual.V]\nip_forward = true\ndestination = \"any:any\"\nsource_address_translation = { type = \"snat\", pool = \"P\" }\n",
			"f:5:54: ltm.virtual.V.source_address_translation.pool: there is no [ltm.snatpool.P]"},
		{"an element that another table has", "[ltm.snat]\na = {automap = true, origins = [\"10.0.0.0/8\"]}\nb = {automap = true, origins = [\"11.0.0.0/8\",  \"10.0.0.0/8\"]}\n",
			"f:4:48: ltm.snat.b.origins[1]: 10.0.0.0/8 is already an origin of [ltm.snat.a], on a VLAN in common"},
		{"a variable with a dot in its name", "[sys.db]\n  \"tm.rejectunmatched\" =  \"no\"\n", `f:3:27: sys.db."tm.rejectunmatched": "no" is not true or false`},
		{"a syntax error", "[system]\nhostname = \n", "f:3:12: system.hostname: expected value but found '\\n' instead"},
		{"a key written twice", "[system]\nhostname = \"a\"\n hostname = \"b\"\n", "f:4:2: system.hostname: Key 'system.hostname' has already been defined."},
	} {
		if _, got := parse(head + c.text); len(got) != 1 || got[0] != c.want {
			t.Errorf("%s:\n got %q\nwant %q", c.name, got, c.want)
		}
	}
}

// everyKeyIsLocated compares the scanner with the TOML library: whatever key
// the library found, the scanner must have found too. The library leaves out
// which element of an array a key belongs to.
func everyKeyIsLocated(text string) error {
	p, deep := locate(text)
	var root map[string]any
	meta, err := toml.Decode(text, &root)
	if deep >= 0 || err != nil {
		return nil
	}
	element := regexp.MustCompile("\x00\\[[0-9]+\\]")
	found := map[string]bool{}
	for path := range p.keys {
		found[path] = true
		found[element.ReplaceAllString(path, "")] = true
	}
	for _, key := range meta.Keys() {
		if !found[id(key)] {
			return fmt.Errorf("key %q is not located", key)
		}
	}
	return nil
}

func TestEveryKeyOfTheShippedTextsIsLocated(t *testing.T) {
	for _, text := range []string{Reference(), IPsecPassthrough(), CarrierNAT(), VirtualServer(), Office(), IPsecTunnel(), IPsecInterface()} {
		if err := everyKeyIsLocated(text); err != nil {
			t.Error(err)
		}
	}
}
