package wire

import (
	"strings"
	"testing"

	"spigate/configs"
)

// A preset changes profiles and makes new ones: what is shown is what the
// sessions of the group go by, not what stands in the file.
func TestTheProfilesOfAPresetAreShown(t *testing.T) {
	c, _, err := configs.Parse("f", []byte(`version = 1
[lsn.client.C]
networks = ["192.0.2.0/25"]
[lsn.client.D]
networks = ["192.0.2.128/25"]
[lsn.pool.P]
addresses = ["203.0.113.3"]
[lsn.appsprofile.A]
protocol = "TCP"
ports = ["80"]
[lsn.appsprofile.unused]
protocol = "UDP"
[lsn.group.G]
client = "C"
pools = ["P"]
apps_profiles = ["A"]
preset = "rfc6888"
[lsn.group.H]
client = "D"
pools = ["P"]
apps_profiles = ["A"]
`))
	if err != nil {
		t.Fatal(err)
	}
	v := &views{}
	v.config.Store(c)
	var got []string
	for _, p := range v.LSNAppsProfiles() {
		if p.TD != nil {
			t.Errorf("%s is in traffic domain %d, not in its clients'", p.Name, *p.TD)
		}
		got = append(got, strings.Join([]string{p.Name, p.Protocol, p.IPPooling, p.Mapping, strings.Join(p.Ports, "+"), strings.Join(p.Groups, "+")}, " "))
	}
	want := []string{
		"A TCP PAIRED ENDPOINT-INDEPENDENT 80 G",
		"A TCP RANDOM ADDRESS-PORT-DEPENDENT 80 H",
		"unused UDP RANDOM ADDRESS-PORT-DEPENDENT  ",
		"rfc6888 TCP PAIRED ENDPOINT-INDEPENDENT  G",
		"rfc6888 UDP PAIRED ENDPOINT-INDEPENDENT  G",
		"rfc6888 ICMP PAIRED ENDPOINT-INDEPENDENT  G",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, g := range v.LSNGroups() {
		if want := (map[string]string{"G": "A+rfc6888", "H": "A"})[g.Name]; strings.Join(g.AppsProfiles, "+") != want {
			t.Errorf("%s has %v, want %s", g.Name, g.AppsProfiles, want)
		}
	}
}
