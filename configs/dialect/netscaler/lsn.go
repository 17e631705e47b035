package netscaler

import (
	"strings"

	"spigate/configs/dialect"
)

// values are the options of a command that is read by hand.
type values map[string]string

// byHand reads the words and options of a command. Of the options in flags a
// value may be missing.
func (im *importer) byHand(c command, known, flags string) (args []string, v values) {
	v = values{}
	var opts []option
	for _, name := range append(strings.Fields(known), strings.Fields(flags)...) {
		opts = append(opts, option{name: name})
	}
	for i := 0; i < len(c.words); i++ {
		if !c.words[i].option() {
			args = append(args, c.words[i].text)
			continue
		}
		o, ok := im.option(c.line, opts, c.words[i].text[1:])
		valued := i+1 < len(c.words) && !c.words[i+1].option()
		flag := ok && contains(flags, o.name)
		switch {
		case ok && valued && (!flag || isSwitch(c.words[i+1].text)):
			i++
			v[o.name] = c.words[i].text
		case flag:
			v[o.name] = "ENABLED"
		case ok:
			im.Tell(dialect.Unknown, c.line, "-%s has no value", o.name)
		case valued:
			i++
		}
	}
	return args, v
}

func contains(list, name string) bool {
	for _, w := range strings.Fields(list) {
		if w == name {
			return true
		}
	}
	return false
}

func isSwitch(word string) bool {
	_, err := dialect.Switch(word)
	return err == nil
}

// client is "lsn client": networks with their masks are bound to it.
func (im *importer) client(c command) {
	name, ok := im.name(&c)
	if !ok {
		return
	}
	t := im.Find("lsn", "client", name)
	switch c.verb {
	case "add":
		if t = im.added(c, "lsn", "client", name); t != nil && len(c.words) > 0 {
			im.Tell(dialect.Unknown, c.line, "%q: add lsn client takes a name alone", short(c.words[0].text))
		}
	case "bind":
		im.subscribers(c, im.Table(c.line, "lsn", "client", name))
	case "unbind":
		_, v := im.byHand(c, "network netmask td", "")
		if p, ok := im.prefix(c, v["network"], v["netmask"]); ok && (t == nil || !t.Drop(c.line, "networks", p)) {
			im.Tell(dialect.Left, c.line, "unbind: %s was not bound so far", p)
		}
	case "rm":
		im.remove(c, t)
	default:
		im.Tell(dialect.Unknown, c.line, "%s lsn client: no such command is known here", c.verb)
	}
}

func (im *importer) subscribers(c command, t *dialect.Table) {
	args, v := im.byHand(c, "network netmask td network6 aclname", "")
	switch {
	case len(args) > 0:
		im.Tell(dialect.Unknown, c.line, "%q stands behind no option", short(args[0]))
	case v["network6"] != "":
		im.Tell(dialect.Left, c.line, "-network6: DS-Lite and NAT64 are not built, and have no IPsec ALG anywhere (rule R12)")
	case v["aclname"] != "":
		im.Tell(dialect.Left, c.line, "-aclname %s: ACLs are not supported: bind the networks", short(v["aclname"]))
	case v["network"] == "":
		im.Tell(dialect.Unknown, c.line, "-network is missing")
		return
	}
	p, ok := im.prefix(c, v["network"], v["netmask"])
	if !ok {
		return
	}
	t.Append(c.line, "networks", p)
	im.setDomain(c, t, v["td"])
}

// setDomain gives a table the traffic domain of an option. It may have one.
func (im *importer) setDomain(c command, t *dialect.Table, td string) {
	if td == "" {
		return
	}
	n, err := dialect.Number(td)
	switch {
	case err != nil:
		im.Tell(dialect.Unknown, c.line, "-td: %v", err)
	case t.Has("traffic_domain") && t.Number("traffic_domain") != n:
		im.Tell(dialect.Left, c.line, "-td %s: a client is in one traffic domain here, and this one is in %d", td, t.Number("traffic_domain"))
	case n != int64(0):
		t.Set(c.line, "traffic_domain", n)
	}
}

// prefix puts an address and a mask together. Host bits go, which is told.
func (im *importer) prefix(c command, address, mask string) (string, bool) {
	if address == "" {
		return "", false
	}
	if mask == "" {
		mask = "255.255.255.255"
	}
	p, err := dialect.Network(address, mask)
	if err != nil {
		im.Tell(dialect.Unknown, c.line, "%v: it is left out", err)
		return "", false
	}
	if p != p.Masked() {
		im.Tell(dialect.Note, c.line, "%s with mask %s has host bits: read as %s", address, mask, p.Masked())
	}
	return p.Masked().String(), true
}

// static is "lsn static": NAME PROTOCOL ADDRESS PORT [ADDRESS [PORT]].
func (im *importer) static(c command) {
	name, ok := im.name(&c)
	switch {
	case !ok:
		return
	case c.verb == "rm":
		im.remove(c, im.Find("lsn", "static", name))
		return
	case c.verb != "add":
		im.Tell(dialect.Unknown, c.line, "%s lsn static: no such command is known here", c.verb)
		return
	}
	args, v := im.byHand(c, "td destIP dsttd network6 nattype", "")
	if v["network6"] != "" {
		im.Tell(dialect.Left, c.line, "-network6: DS-Lite and NAT64 are not built (rule R12): the mapping is left out")
		return
	}
	if len(args) < 4 {
		im.Tell(dialect.Left, c.line, "a mapping names its NAT address here: add lsn static NAME PROTOCOL ADDRESS PORT NAT-ADDRESS NAT-PORT; it is left out")
		return
	}
	t := im.added(c, "lsn", "static", name)
	if t == nil {
		return
	}
	natPort := "*"
	if len(args) > 4 {
		natPort = args[4]
	}
	t.Set(c.line, "protocol", strings.ToUpper(args[0]))
	t.Set(c.line, "subscriber", endpoint(args[1], args[2]))
	t.Set(c.line, "nat", endpoint(args[3], natPort))
	if v["destIP"] != "" {
		t.Set(c.line, "dest_ip", v["destIP"])
	}
	if v["dsttd"] != "" && v["dsttd"] != v["td"] {
		im.Tell(dialect.Left, c.line, "-dsttd %s: nothing is routed between domains", v["dsttd"])
	}
	im.setDomain(c, t, v["td"])
	if len(args) > 5 {
		im.Tell(dialect.Unknown, c.line, "%q stands behind no option", short(args[5]))
	}
}

// endpoint is an address with its port; * is every port.
func endpoint(address, port string) string {
	if port == "*" || port == "0" {
		return address
	}
	return address + ":" + port
}
