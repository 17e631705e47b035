package configs

import "testing"

func TestTheLineOfATableIsThatOfItsHeader(t *testing.T) {
	text := "version = 1\n# a comment\n[port.lan]\ndriver = \"tap\"\ndevice = \"t0\"\n\n[vlan.inside]\nport = \"lan\"\nid = 0\naddresses = [\"192.0.2.1/24\"]\n" +
		"[route.\"0.0.0.0/0\"]\nvia = \"192.0.2.254\"\n[ltm.virtual]\n  [ltm.virtual.\"a b\"]\n  destination = \"10.0.0.0/8:any\"\n  ip_forward = true\n  profiles = [\"fastL4\"]\n"
	c, _, err := Parse("f", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		line   int
		header string
		path   []string
	}{
		{3, "[port.lan]", []string{"port", "lan"}},
		{7, "[vlan.inside]", []string{"vlan", "inside"}},
		{11, `[route."0.0.0.0/0"]`, []string{"route", "0.0.0.0/0"}},
		{14, `[ltm.virtual."a b"]`, []string{"ltm", "virtual", "a b"}},
		{0, "[ltm.virtual.c]", []string{"ltm", "virtual", "c"}},
	} {
		if got := c.Places.Line(tt.path...); got != tt.line {
			t.Errorf("%s: line %d, want %d", tt.header, got, tt.line)
		}
		if got := Table(tt.path...); got != tt.header {
			t.Errorf("header %s, want %s", got, tt.header)
		}
	}
}
