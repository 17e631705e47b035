package dialect

import (
	"fmt"
	"strings"
)

// Commands says how a dialect spells what is missing: for a kind of object
// ("lsn.pool"), or a key of it ("lsn.pool.addresses"), the command with %s for
// the object's name. A kind without one is spelled as its table.
type Commands map[string]string

// completer makes up what a Document refers to and does not define.
type completer struct {
	*Document
	commands Commands
	space    *space
	devices  map[string]bool
}

// Complete makes up what the document refers to and does not define, and tells
// the command that is missing for each. Addresses are those of RFC 5737.
func (d *Document) Complete(commands Commands) {
	c := &completer{Document: d, commands: commands, space: d.newSpace(), devices: map[string]bool{}}
	c.names(virtualNames())
	for _, t := range c.Below("ltm", "virtual") {
		c.virtual(t)
	}
	for _, t := range c.Below("ltm", "snatpool") {
		c.want(t, "members", func() any { return []string{c.space.host()} })
	}
	c.policies()
	c.groups()
	c.names(groupNames())
	c.lsnObjects()
	c.interfaces()
	c.names([]reference{{"vlan", "port", "port"}})
	for _, t := range c.Below("port") {
		c.port(t)
	}
	for _, t := range c.tables {
		if !t.Defined && t.Command == "" {
			c.missing(t, "%s", made(t))
		}
	}
}

// made says what a table that is made up has in it.
func made(t *Table) string {
	var keys []string
	for _, key := range t.keys {
		keys = append(keys, key+" = "+literal(t.values[key].data))
	}
	if len(keys) == 0 {
		return "made up, with defaults"
	}
	return "made up: " + strings.Join(keys, ", ")
}

// command is how the dialect spells what would define a table, or a key of it.
func (c *completer) command(t *Table, key string) string {
	kind := strings.Join(t.Path[:len(t.Path)-1], ".")
	if key != "" {
		kind += "." + key
	}
	form, ok := c.commands[kind]
	if !ok {
		return "[" + strings.Join(t.Path, ".") + "]"
	}
	return strings.ReplaceAll(form, "%s", Quote(t.Name()))
}

// missing tells of a table that the text does not define.
func (c *completer) missing(t *Table, format string, args ...any) {
	t.Command = c.command(t, "")
	c.add(Finding{Line: t.Line, Kind: Missing, Command: t.Command, Text: fmt.Sprintf(format, args...)})
}

// want gives a key that must be there a value that is made up. In a table that
// is made up itself this needs no line of its own.
func (c *completer) want(t *Table, key string, make func() any) {
	if t.Has(key) {
		return
	}
	t.Set(t.Line, key, make())
	if t.Defined {
		v := t.values[key]
		v.missing = c.command(t, key)
		t.values[key] = v
		c.add(Finding{Line: t.Line, Kind: Missing, Command: v.missing, Text: fmt.Sprintf("made up: %s = %s", key, literal(v.data))})
	}
}

// reference is a key with names of objects of another kind.
type reference struct{ of, key, to string }

func virtualNames() []reference {
	return []reference{
		{"ltm.virtual", "profiles", "ltm.profile.fastl4"}, {"ltm.profile.fastl4", "defaults_from", "ltm.profile.fastl4"},
		{"ltm.virtual", "snat_pool", "ltm.snatpool"}, {"ltm.snat", "snatpool", "ltm.snatpool"}, {"ltm.virtual", "lsn_group", "lsn.group"},
		{"route", "tunnel", "net.tunnel"}, {"ltm.virtual", "vlans", "vlan"}, {"ltm.nat", "vlans", "vlan"}, {"ltm.snat", "vlans", "vlan"},
		{"net.ipsec.selector", "policy", "net.ipsec.policy"}, {"net.ipsec.manual_sa", "policy", "net.ipsec.policy"},
		{"net.tunnel", "policy", "net.ipsec.policy"}, {"net.ipsec.policy", "peer", "net.ipsec.peer"},
	}
}

func groupNames() []reference {
	return []reference{
		{"lsn.group", "client", "lsn.client"}, {"lsn.group", "pools", "lsn.pool"}, {"lsn.group", "apps_profiles", "lsn.appsprofile"},
		{"lsn.group", "transport_profiles", "lsn.transportprofile"}, {"lsn.group", "ipsecalg_profile", "ipsecalg.profile"},
		{"lsn.group", "log_profile", "lsn.logprofile"}, {"lsn.appsprofile", "appsattributes", "lsn.appsattributes"},
	}
}

// names makes a table for each name that has none.
func (c *completer) names(references []reference) {
	for _, r := range references {
		for _, t := range c.Below(strings.Split(r.of, ".")...) {
			c.refer(t, r)
		}
	}
}

// refer makes tables for the names in one key.
func (c *completer) refer(t *Table, r reference) {
	for _, name := range append(t.List(r.key), t.Text(r.key)) {
		builtin := r.to == "ltm.profile.fastl4" && name == "fastL4"
		tunnel := r.to == "vlan" && c.Find("net", "tunnel", name) != nil
		if name != "" && !builtin && !tunnel {
			c.Table(t.LineOf(r.key), append(strings.Split(r.to, "."), name)...)
		}
	}
}

// virtual completes a server of which the text has some properties only.
func (c *completer) virtual(t *Table) {
	_, forward := t.Flag("ip_forward")
	_, reject := t.Flag("reject")
	if !t.Has("destination") || !forward && !reject {
		t.Defined = false
	}
	if t.Defined {
		return
	}
	if !t.Has("destination") {
		t.Set(t.Line, "destination", c.space.network().String()+":any")
	}
	if !forward && !reject {
		t.Set(t.Line, "ip_forward", true)
	}
	c.missing(t, "the text has some of its properties only: made up is a server that forwards to %s", t.Text("destination"))
}

// groups gives every group a client and a pool.
func (c *completer) groups() {
	bound := map[string]bool{}
	for _, t := range c.Below("lsn", "group") {
		bound[t.Text("client")] = true
	}
	clients := c.Below("lsn", "client")
	free := func() (string, bool) {
		for _, client := range clients {
			if !bound[client.Name()] {
				bound[client.Name()] = true
				return client.Name(), true
			}
		}
		return "", false
	}
	for _, t := range c.Below("lsn", "group") {
		how := ""
		if !t.Has("client") {
			name, there := free()
			if how = ", the first client that no group has"; !there {
				name, how = t.Name()+"-client", ", which is made up as well"
			}
			t.Set(t.Line, "client", name)
		}
		if !t.Defined {
			c.missing(t, "made up with client %s%s", Quote(t.Text("client")), how)
			t.Command += " -clientname " + Quote(t.Text("client"))
		} else if how != "" {
			c.add(Finding{Line: t.Line, Kind: Missing, Command: c.command(t, "client"), Text: "made up: " + t.Text("client") + how})
		}
		c.want(t, "pools", func() any { return []string{t.Name() + "-pool"} })
	}
}

// lsnObjects gives what groups refer to what it must have.
func (c *completer) lsnObjects() {
	for _, t := range c.Below("lsn", "client") {
		c.want(t, "networks", func() any { return []string{c.space.network().String()} })
	}
	for _, t := range c.Below("lsn", "pool") {
		c.want(t, "addresses", func() any { return []string{c.space.host()} })
	}
	for _, t := range c.Below("lsn", "group") {
		c.profiles(t)
	}
	for _, t := range c.Below("lsn", "appsattributes") {
		c.want(t, "protocol", func() any { return "UDP" })
	}
	for _, t := range c.Below("lsn", "appsprofile") {
		c.want(t, "protocol", func() any { return "UDP" })
	}
}

// profiles fills in the profiles of one group that are made up: such for IKE,
// for that is what they are for here, and for a protocol that has none.
func (c *completer) profiles(group *Table) {
	ports := []string{"500", "4500"}
	for _, name := range group.List("apps_profiles") {
		t := c.Find("lsn", "appsprofile", name)
		if t == nil || t.Defined || t.Has("protocol") || len(ports) == 0 {
			continue
		}
		t.Set(t.Line, "protocol", "UDP")
		t.Set(t.Line, "ip_pooling", "PAIRED")
		if !t.Has("ports") {
			t.Set(t.Line, "ports", ports[:1])
			ports = ports[1:]
		}
	}
	taken := map[string]bool{}
	var open []*Table
	for _, name := range group.List("transport_profiles") {
		t := c.Find("lsn", "transportprofile", name)
		if t != nil && !t.Has("protocol") {
			open = append(open, t)
		} else if t != nil {
			taken[strings.ToUpper(t.Text("protocol"))] = true
		}
	}
	for _, protocol := range []string{"TCP", "UDP", "ICMP"} {
		if !taken[protocol] && len(open) > 0 {
			c.want(open[0], "protocol", func() any { return protocol })
			open = open[1:]
		}
	}
}

// port says which device a port is, which no dialect does.
func (c *completer) port(t *Table) {
	if t.Has("device") {
		return
	}
	name := ""
	for i := 0; name == "" || c.devices[name]; i = len(c.devices) {
		name = fmt.Sprintf("eth%d", i)
	}
	c.devices[name] = true
	t.Defined = false
	t.Set(t.Line, "driver", "raw")
	t.Set(t.Line, "device", name)
	c.missing(t, "the text cannot say which device of this machine that is: made up: %s", name)
}

// Quote puts a name in quotation marks that has a blank in it.
func Quote(name string) string {
	if name == "" || strings.ContainsAny(name, " \t{}#;") {
		return `"` + name + `"`
	}
	return name
}
