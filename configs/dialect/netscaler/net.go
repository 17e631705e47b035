package netscaler

import (
	"net/netip"
	"slices"
	"strings"

	"spigate/configs/dialect"
)

// network is what commands say of VLANs and addresses, which come apart: an
// address is added, then bound to a VLAN, which has interfaces bound to it.
type network struct {
	vlans     map[string]*interfaceVLAN // by their numbers
	order     []*interfaceVLAN
	addresses []ownAddress
	domains   map[string]int64 // of VLANs
}

// interfaceVLAN is a VLAN.
type interfaceVLAN struct {
	line    int
	number  string
	alias   string
	port    string
	tagged  bool
	defined bool
	own     []string // addresses that are bound to it
}

// ownAddress is an address of our own.
type ownAddress struct {
	line  int
	text  string // with the length of its network
	td    string
	bound bool
}

func (im *importer) vlanOf(line int, number string) *interfaceVLAN {
	v := im.net.vlans[number]
	if v == nil {
		v = &interfaceVLAN{line: line, number: number}
		im.net.vlans[number] = v
		im.net.order = append(im.net.order, v)
	}
	return v
}

// vlan is "vlan": add ID -aliasName, bind ID -ifnum, bind ID -IPAddress.
func (im *importer) vlan(c command) {
	number, ok := im.name(&c)
	if !ok {
		return
	}
	args, v := im.byHand(c, "aliasName ifnum IPAddress ipv6DynamicRouting dynamicRouting mtu ownerGroup", "tagged")
	switch c.verb {
	case "add", "set":
		one := im.vlanOf(c.line, number)
		one.defined = one.defined || c.verb == "add"
		if v["aliasName"] != "" {
			one.alias = v["aliasName"]
		}
	case "bind":
		im.bindVLAN(c, im.vlanOf(c.line, number), args, v)
	case "rm":
		if one := im.net.vlans[number]; one != nil {
			delete(im.net.vlans, number)
			im.net.order = slices.DeleteFunc(im.net.order, func(o *interfaceVLAN) bool { return o == one })
			return
		}
		im.Tell(dialect.Left, c.line, "rm: the text has no vlan %s so far", short(number))
	default:
		im.Tell(dialect.Left, c.line, "%s vlan is left out", c.verb)
	}
	if v["mtu"] != "" {
		im.Tell(dialect.Left, c.line, "-mtu: a VLAN has its port's")
	}
}

func (im *importer) bindVLAN(c command, one *interfaceVLAN, args []string, v values) {
	if port := v["ifnum"]; port != "" {
		name := strings.ReplaceAll(port, "/", ".")
		switch {
		case one.port != "":
			im.Tell(dialect.Left, c.line, "-ifnum %s: a VLAN is on one port, or on a [switch.…]: it stays on %s", short(port), one.port)
		default:
			if name != port {
				im.Tell(dialect.Note, c.line, "interface %s is the port %q: names have no slash here", short(port), name)
			}
			one.port, one.tagged = name, v["tagged"] == "ENABLED"
		}
		if len(args) > 0 {
			im.Tell(dialect.Left, c.line, "-ifnum %s: a VLAN is on one port, or on a [switch.…]", short(strings.Join(args, " ")))
		}
		return
	}
	if v["IPAddress"] == "" || len(args) != 1 {
		im.Tell(dialect.Unknown, c.line, "bind vlan: want -ifnum PORT, or -IPAddress ADDRESS MASK")
		return
	}
	p, err := dialect.Network(v["IPAddress"], args[0])
	if err != nil {
		im.Tell(dialect.Unknown, c.line, "%v: it is left out", err)
		return
	}
	if !slices.Contains(one.own, p.String()) {
		one.own = append(one.own, p.String())
	}
}

// ip is "ns ip": an address of our own.
func (im *importer) ip(c command) {
	args, v := im.byHand(c, "type vServer arp icmp td mgmtAccess state vrID ownerNode ownerDownResponse gui snmp telnet ssh ftp dynamicRouting hostRoute", "")
	switch {
	case c.verb != "add":
		im.Tell(dialect.Left, c.line, "%s ns ip is left out", c.verb)
	case len(args) < 2:
		im.Tell(dialect.Unknown, c.line, "add ns ip: want ADDRESS MASK")
	case v["type"] != "" && !strings.EqualFold(v["type"], "SNIP"):
		im.Tell(dialect.Left, c.line, "-type %s: only a SNIP is an address of a VLAN", short(v["type"]))
	default:
		p, err := dialect.Network(args[0], args[1])
		if err != nil {
			im.Tell(dialect.Unknown, c.line, "%v: it is left out", err)
			return
		}
		im.net.addresses = append(im.net.addresses, ownAddress{line: c.line, text: p.String(), td: v["td"]})
	}
}

// domain is "ns trafficDomain": add N, bind N -vlan ID.
func (im *importer) domain(c command) {
	number, ok := im.name(&c)
	if !ok {
		return
	}
	n, err := dialect.Number(number)
	_, v := im.byHand(c, "vlan aliasName vmac", "")
	switch {
	case err != nil:
		im.Tell(dialect.Unknown, c.line, "%v", err)
	case c.verb == "bind" && v["vlan"] != "":
		im.net.domains[v["vlan"]] = n.(int64)
	case c.verb != "add":
		im.Tell(dialect.Left, c.line, "%s ns trafficDomain is left out", c.verb)
	}
}

// route is "route": NETWORK MASK GATEWAY.
func (im *importer) route(c command) {
	args, v := im.byHand(c, "td distance cost weight advertise protocol msr monitor", "")
	if c.verb != "add" {
		im.Tell(dialect.Left, c.line, "%s route is left out", c.verb)
		return
	}
	if len(args) != 3 {
		im.Tell(dialect.Unknown, c.line, "add route: want NETWORK MASK GATEWAY")
		return
	}
	p, ok := im.prefix(c, args[0], args[1])
	if _, err := netip.ParseAddr(args[2]); err != nil && ok {
		im.Tell(dialect.Left, c.line, "add route: %q is no address: routes lead to a neighbour", short(args[2]))
		return
	}
	if ok {
		im.SetRoute(c.line, p, p, v["td"], "via", args[2])
	}
}

// interfaces makes tables of what is known of VLANs and addresses.
func (im *importer) interfaces() {
	for _, one := range im.net.order {
		im.interfaceOf(one)
	}
	for i := range im.net.addresses {
		a := &im.net.addresses[i]
		if !a.bound {
			// NetScaler has them on VLAN 1, to which every interface belongs that is
			// bound to no other.
			t := im.Table(a.line, "vlan", defaultVLAN(a.td))
			t.Append(a.line, "addresses", a.text)
			im.setDomain(command{line: a.line}, t, a.td)
			t.Command = "bind vlan ID -IPAddress ADDRESS MASK"
			im.Tell(dialect.Missing, a.line, "%s: no command says on which VLAN %s is: made up: %s, for NetScaler's VLAN 1", t.Command, a.text, t.Name())
		}
	}
}

func defaultVLAN(td string) string {
	if td == "" || td == "0" {
		return "vlan-1"
	}
	return "vlan-1-" + td
}

func (im *importer) interfaceOf(one *interfaceVLAN) {
	name := one.alias
	if name == "" {
		name = "vlan-" + one.number
	}
	if im.Find("vlan", name) != nil {
		im.Tell(dialect.Left, one.line, "vlan %s: another one has the name %s: it is left out", short(one.number), name)
		return
	}
	t := im.Table(one.line, "vlan", name)
	t.Defined = one.defined
	if one.port != "" {
		t.Set(one.line, "port", one.port)
	}
	// A frame of an interface that is not -tagged has no tag, whatever the
	// number: the number is NetScaler's own affair then.
	if n, err := dialect.Number(one.number); err != nil {
		im.Tell(dialect.Unknown, one.line, "vlan %v", err)
	} else if one.tagged || one.port == "" {
		t.Set(one.line, "id", n)
	}
	for _, p := range one.own {
		t.Append(one.line, "addresses", p)
		i := slices.IndexFunc(im.net.addresses, func(a ownAddress) bool { return a.text == p && !a.bound })
		if i >= 0 {
			im.net.addresses[i].bound = true
		}
	}
	if td := im.net.domains[one.number]; td != 0 {
		t.Set(one.line, "traffic_domain", td)
	}
}
