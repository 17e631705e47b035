package dialect_test

import (
	"fmt"
	"strings"
	"testing"

	"spigate/configs"
	"spigate/configs/dialect"
	"spigate/configs/dialect/netscaler"
	"spigate/configs/dialect/tmsh"
)

// importers are both dialects.
func importers() map[string]func([]byte) *dialect.Result {
	return map[string]func([]byte) *dialect.Result{"netscaler": netscaler.Import, "tmsh": tmsh.Import}
}

func TestALongTextIsCutAndItsFindingsAreCounted(t *testing.T) {
	for name, read := range importers() {
		r := read([]byte(strings.Repeat("x\n", dialect.MaxText)))
		last := r.Findings[len(r.Findings)-1]
		if len(r.Findings) != 1001 || !strings.HasSuffix(last.Text, "more are not told") || !r.Has(dialect.Unknown, dialect.Left) || !r.Empty {
			t.Errorf("%s: %d findings, the last: %s", name, len(r.Findings), last)
		}
		if r.Has(dialect.Fault) || r.TOML != "version = 1\n" {
			t.Errorf("%s: %s", name, r.TOML)
		}
	}
}

func TestATextThatIsTooLongSaysSo(t *testing.T) {
	for name, read := range importers() {
		r := read([]byte("x" + strings.Repeat(" ", dialect.MaxText)))
		if !strings.Contains(findings(r), fmt.Sprintf("left out: the text is longer than %d bytes: the rest is not read", dialect.MaxText)) {
			t.Errorf("%s:\n%s", name, findings(r))
		}
	}
}

// Whoever reads an import must be able to tell what is made up: it has
// addresses for documentation that the text does not use itself.
func TestWhatIsMadeUpUsesNoAddressOfTheText(t *testing.T) {
	text := `net vlan a { interfaces { 1.1 { } } }
net self a { address 198.51.100.1/25 vlan a }
net self b { address 203.0.113.1/24 vlan a }
ltm snat s { origins { 192.0.2.0/25 { } } translation 198.51.100.130 }
net ipsec traffic-selector x { source-address 192.0.2.128/26 destination-address 192.0.2.192/27 ipsec-policy P }
`
	r := tmsh.Import([]byte(text))
	c, _, err := configs.Parse("imported", []byte(r.TOML))
	if err != nil {
		t.Fatalf("%v\n%s", err, r.TOML)
	}
	if got := c.IPsec.Policies[0].Local.String(); got != "198.51.100.145" {
		t.Errorf("the policy's end is %s\n%s", got, r.TOML)
	}
}

// A text that uses all of them gets some anyway, and is told what clashes.
func TestNothingIsLeftOutWhenNoAddressIsFree(t *testing.T) {
	r := tmsh.Import([]byte(`net vlan a { interfaces { 1.1 { } } }
net self a { address 198.51.100.1/24 vlan a }
net self b { address 203.0.113.1/24 vlan a }
net self c { address 192.0.2.1/24 vlan a }
net ipsec traffic-selector x { source-address 10.0.0.0/8 destination-address 10.0.0.0/8 ipsec-policy P }
`))
	if !strings.Contains(r.TOML, `tunnel_local_address = "198.51.100.1"`) {
		t.Error(r.TOML)
	}
}

func TestEachCharacterOfAWordProcessorIsToldOncePerLine(t *testing.T) {
	r := netscaler.Import([]byte("add lsn pool “P” –nattype –portrealloctimeout\u00a03\n"))
	want := "note: a typographic quotation mark is read as \"\nnote: a dash that is none of a keyboard is read as -\nnote: a blank that is none of a keyboard is read as one\n"
	if got := findings(r); !strings.HasPrefix(got, want) {
		t.Errorf("got:\n%s", got)
	}
}
