package main

import (
	"os"
	"strings"
	"testing"

	"spigate/cmd/internal/control"
	"spigate/configs"
	"spigate/configs/dialect/netscaler"
	"spigate/configs/dialect/tmsh"
)

// kept is a configuration in testdata of a dialect.
func kept(dialect, file string) *configs.Config {
	text, err := os.ReadFile("../../configs/dialect/" + dialect + "/testdata/" + file)
	if err != nil {
		panic(err)
	}
	c, _, err := configs.Parse(file, text)
	if err != nil {
		panic(err)
	}
	return c
}

// configured are the kinds that the house has from a real configuration.
func (h *house) configured(kind control.LTMKind) (out []control.LTMObject) {
	c := kept("tmsh", "tunnel.toml")
	for _, o := range tmsh.Objects(c, kind.Words()) {
		out = append(out, control.LTMObject{Name: o.Name, TD: o.Domain, Properties: o.Properties})
	}
	return out
}

func (h *house) NetScalerConfig() (out []control.NetScalerLine) {
	for _, l := range netscaler.List(kept("netscaler", "page.toml")) {
		out = append(out, control.NetScalerLine{Kind: l.Kind, Name: l.Name, Command: l.Text})
	}
	return out
}

func TestTheConfigurationIsListedInBothDialects(t *testing.T) {
	socket, _ := daemon(t, &house{})
	for words, file := range map[string]string{
		"tmsh": "list-tmsh.txt", "tmsh --json": "list-tmsh.json", "netscaler": "list-netscaler.txt", "netscaler --json": "list-netscaler.json",
		"lsn": "list-lsn.txt", "lsn group LSN-GROUP-1": "list-lsn-group.txt", "ipsecalg profile": "list-ipsecalg.txt",
		"net ipsec selector": "list-net-ipsec-selector.txt", "net ipsec ike-peer gw2": "list-net-ipsec-peer.txt",
		"net ipsec policy Rio-if mode": "list-net-ipsec-policy-mode.txt", "net vlan external all-properties": "list-net-vlan-all.txt",
	} {
		code, stdout, stderr := spigate(t, append(append([]string{"list"}, strings.Fields(words)...), "--socket", socket)...)
		if code != exitOK || stderr != "" {
			t.Errorf("%s: exit %d, %s", words, code, stderr)
		}
		golden(t, file, stdout)
	}
}

func TestWhatIsListedCanBeImported(t *testing.T) {
	socket, _ := daemon(t, &house{})
	_, listed, _ := spigate(t, "list", "netscaler", "--socket", socket)
	code, stdout, stderr := spigate(t, "import", "netscaler", "--strict", pasted(t, listed))
	if code != exitOK || stderr != "" || !strings.Contains(stdout, `ipsecalg_profile = "IPSECALGPROFILE-1"`) {
		t.Errorf("exit %d\n%s\n%s", code, stderr, stdout)
	}
}

func TestAKindOrANameThatIsNotThereIsSaid(t *testing.T) {
	socket, _ := daemon(t, &house{})
	for words, want := range map[string]int{
		"lsn pools": exitUsage, "lsn pool X": exitNotFound, "lsn pool LSN-POOL-1 more": exitUsage, "ipsecalg session": exitUsage,
		"netscaler lsn": exitUsage, "net ipsec peer nobody": exitNotFound, "net ipsec peer gw2 colour": exitUsage,
	} {
		code, stdout, stderr := spigate(t, append(append([]string{"list"}, strings.Fields(words)...), "--socket", socket)...)
		if code != want || stdout != "" || stderr == "" {
			t.Errorf("%s: exit %d, want %d, %q, %s", words, code, want, stdout, stderr)
		}
	}
}
