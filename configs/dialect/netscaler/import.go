package netscaler

import (
	"errors"
	"slices"
	"strings"

	"spigate/configs"
	"spigate/configs/dialect"
)

// Import reads commands, and makes a configuration of them. The text may be
// ns.conf, what "show run" prints, or a piece of a web page.
func Import(text []byte) *dialect.Result {
	im := &importer{Document: dialect.NewDocument(), objects: objects(), net: network{vlans: map[string]*interfaceVLAN{}, domains: map[string]int64{}}}
	for _, c := range scan(im.Document, text) {
		im.run(c)
	}
	im.interfaces()
	im.Complete(missing())
	return im.Finish()
}

// importer is one import.
type importer struct {
	*dialect.Document
	objects []object
	net     network
}

// special are kinds of objects with code of their own.
func (im *importer) special() map[string]func(command) {
	return map[string]func(command){
		"lsn client": im.client, "lsn static": im.static,
		"vlan": im.vlan, "ns ip": im.ip, "route": im.route, "ns trafficdomain": im.domain,
	}
}

// refused are kinds that are known, with the reason why they are left out.
func refused() map[string]string {
	const helper = "this build has no helper of that kind"
	return map[string]string{
		"lsn sipalgprofile": helper, "lsn rtspalgprofile": helper, "lsn httphdrlogprofile": "headers of HTTP are not logged",
		"lsn ip6profile": "DS-Lite and NAT64 are not built, and have no IPsec ALG anywhere (rule R12)",
		"pcp server":     "PCP is not built", "pcp profile": "PCP is not built",
		"rnat":             "RNAT and the IPsec ALG do not go together (rule R12): write an [ltm.snat.…]",
		"cluster instance": "the IPsec ALG does not work in a cluster (rule R12)", "cluster node": "the IPsec ALG does not work in a cluster (rule R12)",
		"ns feature": "what the configuration has is on", "ns mode": "modes of a NetScaler have no counterpart",
		"interface": "a port's settings are its device's", "ns hostname": "write hostname in [system]",
	}
}

func (im *importer) run(c command) {
	texts := make([]string, len(c.words))
	for i, w := range c.words {
		texts[i] = strings.ToLower(w.text)
		if !w.quoted && strings.ContainsAny(w.text, "<>[]|") {
			im.Tell(dialect.Unknown, c.line, "%s: %q is to be filled in: this is a command's syntax, not a command", c.verb, short(w.text))
			return
		}
	}
	kind := func(n int) string { return strings.Join(texts[:min(n, len(texts))], " ") }
	for _, n := range []int{2, 1} {
		if do, ok := im.special()[kind(n)]; ok && len(texts) >= n {
			c.words = c.words[n:]
			do(c)
			return
		}
		if why, ok := refused()[kind(n)]; ok && len(texts) >= n {
			im.Tell(dialect.Left, c.line, "%s %s: %s", c.verb, kind(n), why)
			return
		}
	}
	i := slices.IndexFunc(im.objects, func(o object) bool { return strings.Join(o.words, " ") == kind(len(o.words)) })
	if i < 0 {
		im.Tell(dialect.Unknown, c.line, "%s %s: no such command is known here%s", c.verb, short(kind(2)), configs.DidYouMean(kind(2), im.kinds()))
		return
	}
	o := &im.objects[i]
	c.words = c.words[len(o.words):]
	im.object(o, c)
}

// kinds lists the words of all objects, for hints.
func (im *importer) kinds() (out []string) {
	for kind := range im.special() {
		out = append(out, kind)
	}
	for _, o := range im.objects {
		out = append(out, strings.Join(o.words, " "))
	}
	slices.Sort(out)
	return out
}

// object runs a command about an object that follows the rule.
func (im *importer) object(o *object, c command) {
	path := slices.Clone(o.path)
	if !o.alone {
		name, ok := im.name(&c)
		if !ok {
			return
		}
		path = append(path, name)
	}
	t := im.Find(path...)
	switch c.verb {
	case "add":
		if t = im.added(c, path...); t != nil {
			im.options(c, t, o.args, o.opts)
		}
	case "set":
		t = im.Table(c.line, path...)
		t.Defined = t.Defined || o.alone
		im.options(c, t, nil, o.opts)
	case "bind":
		im.bind(o, c, im.Table(c.line, path...))
	case "rm":
		im.remove(c, t)
	case "unset", "unbind":
		if t == nil {
			im.Tell(dialect.Left, c.line, "%s: the text has no %s of this name so far", c.verb, strings.Join(o.words, " "))
			return
		}
		im.undo(o, c, t)
	default:
		im.Tell(dialect.Left, c.line, "%s %s: that cannot be switched", c.verb, strings.Join(o.words, " "))
	}
}

// name takes the object's name from the front of a command.
func (im *importer) name(c *command) (string, bool) {
	if len(c.words) == 0 || c.words[0].option() || c.words[0].text == "" {
		im.Tell(dialect.Unknown, c.line, "%s: the name is missing", c.verb)
		return "", false
	}
	name := c.words[0].text
	c.words = c.words[1:]
	return name, true
}

// added makes the table of an object that is added, or tells that there is one.
func (im *importer) added(c command, path ...string) *dialect.Table {
	t := im.Table(c.line, path...)
	if t.Defined {
		im.Tell(dialect.Left, c.line, "add: line %d has added it already", t.Line)
		return nil
	}
	t.Defined, t.Line = true, c.line
	return t
}

func (im *importer) remove(c command, t *dialect.Table) {
	if t == nil {
		im.Tell(dialect.Left, c.line, "rm: the text has no such object so far")
		return
	}
	im.Remove(t)
}

// bind takes several options at once (rule R4).
func (im *importer) bind(o *object, c command, t *dialect.Table) {
	if o.alone || len(o.binds) == 0 {
		im.Tell(dialect.Unknown, c.line, "bind: nothing is bound to an object of this kind")
		return
	}
	var rest []option
	for range c.words {
		if o.binds[0].name == "" {
			rest = append(rest, o.binds[0])
		}
	}
	im.options(c, t, rest, o.binds)
}

// options reads the words behind a name: those without an option in front are
// args, in order.
func (im *importer) options(c command, t *dialect.Table, args, opts []option) {
	for i := 0; i < len(c.words); i++ {
		w := c.words[i]
		if !w.option() {
			if len(args) == 0 {
				im.Tell(dialect.Unknown, c.line, "%q stands behind no option", short(w.text))
				continue
			}
			im.set(c.line, t, args[0], args[0].name, w.text)
			args = args[1:]
			continue
		}
		o, ok := im.option(c.line, opts, w.text[1:])
		valued := i+1 < len(c.words) && !c.words[i+1].option()
		switch {
		case !valued && ok:
			im.Tell(dialect.Unknown, c.line, "-%s has no value", o.name)
		case valued:
			i++
			if ok {
				im.set(c.line, t, o, "-"+o.name, c.words[i].text)
			}
		}
	}
}

// option finds an option, and tells how it was found.
func (im *importer) option(line int, opts []option, name string) (option, bool) {
	o, exact, ok := find(opts, name)
	var names []string
	for _, o := range opts {
		if o.name != "" {
			names = append(names, o.name)
		}
	}
	switch {
	case !ok:
		im.Tell(dialect.Unknown, line, "-%s is no option of this command: it is left out%s", short(name), configs.DidYouMean(name, names))
	case !exact:
		im.Tell(dialect.Note, line, "-%s is read as -%s", name, o.name)
	}
	return o, ok
}

// set gives a key the value of an option.
func (im *importer) set(line int, t *dialect.Table, o option, name, text string) {
	v, err := o.take(text)
	var left leftOut
	switch {
	case errors.As(err, &left):
		im.Tell(dialect.Left, line, "%s %s: %v", name, short(text), err)
	case err != nil:
		im.Tell(dialect.Unknown, line, "%s: %v: it is left out", name, err)
	case v == nil:
	case o.list:
		t.Append(line, o.key, v.(string))
	case o.key == "ipsecalg_profile" && t.Has(o.key) && t.Text(o.key) != text:
		im.Tell(dialect.Left, line, "%s %s: the group has %s already, and may have one (rule R9)", name, text, t.Text(o.key))
	default:
		t.Set(line, o.key, v)
	}
}

// undo runs unset and unbind.
func (im *importer) undo(o *object, c command, t *dialect.Table) {
	opts := o.opts
	if c.verb == "unbind" {
		opts = o.binds
	}
	for i := 0; i < len(c.words); i++ {
		w := c.words[i]
		switch {
		case w.option():
			bound, ok := im.option(c.line, opts, w.text[1:])
			valued := i+1 < len(c.words) && !c.words[i+1].option()
			if valued {
				i++
			}
			if ok && !(valued && bound.list && t.Drop(c.line, bound.key, c.words[i].text)) && (bound.list || !t.Delete(bound.key)) {
				im.Tell(dialect.Left, c.line, "%s -%s: it was not set so far", c.verb, bound.name)
			}
		case c.verb == "unbind" && len(opts) > 0 && opts[0].name == "" && t.Drop(c.line, opts[0].key, w.text):
		default:
			im.Tell(dialect.Left, c.line, "%s %s: it was not bound so far", c.verb, short(w.text))
		}
	}
}

// missing has the commands that define what a text refers to.
func missing() dialect.Commands {
	return dialect.Commands{
		"lsn.client": "add lsn client %s", "lsn.client.networks": "bind lsn client %s -network ADDRESS -netmask MASK",
		"lsn.pool": "add lsn pool %s", "lsn.pool.addresses": "bind lsn pool %s ADDRESS-ADDRESS",
		"lsn.group": "add lsn group %s", "lsn.group.client": "add lsn group %s -clientname CLIENT", "lsn.group.pools": "bind lsn group %s -poolname POOL",
		"lsn.appsprofile": "add lsn appsprofile %s PROTOCOL", "lsn.appsprofile.protocol": "add lsn appsprofile %s PROTOCOL",
		"lsn.appsattributes": "add lsn appsattributes %s PROTOCOL", "lsn.appsattributes.protocol": "add lsn appsattributes %s PROTOCOL",
		"lsn.transportprofile": "add lsn transportprofile %s PROTOCOL", "lsn.transportprofile.protocol": "add lsn transportprofile %s PROTOCOL",
		"lsn.logprofile": "add lsn logprofile %s", "ipsecalg.profile": "add ipsecalg profile %s", "lsn.static": "add lsn static %s PROTOCOL ADDRESS PORT",
		"vlan": "add vlan ID -aliasName %s", "vlan.addresses": "add ns ip ADDRESS MASK", "port": "set interface %s",
	}
}
