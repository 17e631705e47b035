package main

import (
	"context"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"spigate/cmd/internal/control"
	"spigate/configs"
	"spigate/configs/dialect/tmsh"
)

// The running configuration in the forms of others: tmsh's objects, and
// NetScaler's commands. "import" reads both.

func (a *app) newList() *cobra.Command {
	s := &shower{app: a}
	list := newGroup("list", "Print the running configuration in tmsh's form, or NetScaler's",
		newGroup("ltm", "Virtual servers, NATs, SNATs and their profiles",
			s.list("virtual", "Virtual servers", control.KindVirtual, "ipsec-0", "vlans"),
			s.list("nat", "NATs", control.KindNAT, "NAT-1", "translation-address"),
			s.list("snat", "SNATs", control.KindSNAT, "S1", "origins"),
			s.list("snatpool", "Pools of addresses for SNATs", control.KindSNATPool, "outside", "members"),
			newGroup("profile", "Profiles", s.list("fastl4", "Profiles of virtual servers", control.KindFastL4, "fastL4", "idle-timeout"))),
		newGroup("net", "VLANs, addresses, routes and tunnels",
			s.list("vlan", "VLANs", control.KindVLAN, "external", "interfaces"),
			s.list("self", "Our addresses", control.KindSelf, "198.51.100.1", "vlan"),
			s.list("route", "Routes", control.KindRoute, "default", "gw"),
			s.list("route-domain", "Traffic domains with their VLANs", control.KindRouteDomain, "7", "vlans"),
			newGroup("ipsec", "Policies, selectors, peers and manual SAs",
				s.list("policy", "IPsec policies", control.KindPolicy, "Rio", "mode", "ipsec-policy"),
				s.list("selector", "Traffic selectors", control.KindSelector, "my-nat-selector", "ipsec-policy", "traffic-selector"),
				s.list("peer", "IKE peers", control.KindPeer, "gw2", "remote-address", "ike-peer"),
				s.list("manual-sa", "SAs whose keys nobody negotiates", control.KindManualSA, "out1", "spi", "manual-security-association")),
			newGroup("tunnels", "Interfaces of tunnels",
				s.list("tunnel", "Interfaces of tunnels", control.KindTunnel, "ipsec-tunnel", "profile"),
				s.list("ipsec", "The policies of tunnels' interfaces", control.KindTunnelIPsec, "ipsec-tunnel", "traffic-selector"))),
		newGroup("sys", "Database variables", s.list("db", "Database variables", control.KindDB, "tm.rejectunmatched", "value")),
		s.listTmsh(),
		s.listNetScaler("lsn", "NetScaler's commands of large scale NAT", "lsn pool"),
		s.listNetScaler("ipsecalg", "NetScaler's commands of the IPsec ALG", "ipsecalg profile"),
		s.listNetScaler("netscaler", "All that has commands of NetScaler", ""))
	s.addFlags(list)
	return list
}

// allProperties is tmsh's word for those at their default, too.
const allProperties = "all-properties"

// inDomains reports whether objects of a kind are in traffic domains.
func inDomains(kind control.LTMKind) bool {
	return !slices.Contains([]control.LTMKind{control.KindFastL4, control.KindSNATPool, control.KindPeer, control.KindManualSA, control.KindDB}, kind)
}

// listWords are the words behind "list" of a command: tmsh's, but for those that
// are shorter here.
func listWords(noun string, kind control.LTMKind) string {
	words := strings.Fields(kind.Words())
	words[len(words)-1] = noun
	return strings.Join(words, " ")
}

// list makes the command for one kind. The object and the property are for the
// examples.
func (s *shower) list(noun, short string, kind control.LTMKind, object, property string, aliases ...string) *cobra.Command {
	var filter control.Filter
	cmd := &cobra.Command{
		Use: noun + " [NAME] [PROPERTY…]", Short: short, Aliases: aliases,
		Long: short + " of the running configuration,\n" +
			"as tmsh lists them: of the properties those that are always there or not at\n" +
			"their default, or only the ones that are named. A first word that is no object's\n" +
			"name is a property of all of them. " + allProperties + " stands for every\n" +
			"property. Times are in the units of tmsh. Keys are never printed.\n" +
			"\"spigate import tmsh\" reads what is printed.",
		Example: fmt.Sprintf("  spigate list %[1]s\n  spigate list %[1]s %[2]s\n  spigate list %[1]s %[2]s %[4]s\n  spigate list %[1]s %[3]s",
			listWords(noun, kind), object, property, allProperties),
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: properties(kind),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := s.checkWatch(); err != nil {
				return err
			}
			client := control.NewClient(s.socket)
			return s.repeat(cmd.Context(), cmd.CommandPath(), s.watch, func(w io.Writer) error {
				return s.listObjects(cmd.Context(), w, kind, args, client, filter)
			})
		},
	}
	if inDomains(kind) {
		addFilters(cmd, &filter, control.FiltersOfObjects())
	}
	return cmd
}

func (s *shower) listObjects(ctx context.Context, w io.Writer, kind control.LTMKind, args []string, client *control.Client, f control.Filter) error {
	objects, err := gather(client.LTMConfig(ctx, kind, f))
	if err != nil {
		return err
	}
	objects, err = chosen(objects, kind, args)
	if err != nil {
		return err
	}
	if s.json {
		return printJSON(w, local(objects...))
	}
	var text strings.Builder
	for i := range objects {
		writeObject(&text, kind, &objects[i])
	}
	_, err = io.WriteString(w, text.String())
	return err
}

// gather takes rows that are few.
func gather[T any](rows iter.Seq2[T, error]) (out []T, err error) {
	for row, err := range rows {
		if err != nil {
			return nil, err
		}
		out = append(out, row)
	}
	return out, nil
}

// chosen applies the words behind the noun: an object's name, then names of
// properties.
func chosen(objects []control.LTMObject, kind control.LTMKind, args []string) ([]control.LTMObject, error) {
	var names []string
	for i := range objects {
		names = append(names, objects[i].Name)
	}
	known := append(kind.Properties(), allProperties)
	if len(args) > 0 && (slices.Contains(names, args[0]) || !slices.Contains(known, args[0])) {
		at := slices.Index(names, args[0])
		if at < 0 {
			return nil, control.NotFound(kind.Words(), args[0], append(names, known...)...)
		}
		objects, args = objects[at:at+1], args[1:]
	}
	for _, word := range args {
		if !slices.Contains(known, word) {
			return nil, usagef("%s has no property %q%s", kind.Words(), word, configs.DidYouMean(word, known))
		}
	}
	return withProperties(objects, args), nil
}

// opposite is the other word of a property that is one of two words. Who asks
// for one of them is told which it is.
func opposite(word string) string {
	return map[string]string{
		"enabled": "disabled", "disabled": "enabled", "vlans-enabled": "vlans-disabled", "vlans-disabled": "vlans-enabled",
	}[word]
}

// withProperties leaves the objects the properties that are wanted. Without a
// word these are the ones that are not at their default.
func withProperties(objects []control.LTMObject, words []string) []control.LTMObject {
	for i := range objects {
		objects[i].Properties = slices.DeleteFunc(objects[i].Properties, func(p control.LTMProperty) bool {
			switch {
			case slices.Contains(words, allProperties):
				return false
			case len(words) == 0:
				return p.Default
			}
			return !slices.Contains(words, p.Name) && !slices.Contains(words, opposite(p.Name))
		})
	}
	return objects
}

// writeObject prints an object as tmsh does (VR45).
func writeObject(b *strings.Builder, kind control.LTMKind, o *control.LTMObject) {
	object := tmsh.Object{Kind: kind.Words(), Name: printable(o.Name), Properties: printableProperties(o.Properties)}
	object.Write(b)
}

func printableProperties(properties []control.LTMProperty) []control.LTMProperty {
	out := slices.Clone(properties)
	for i := range out {
		out[i].Name = printable(out[i].Name)
		if out[i].Value != "" {
			out[i].Value = printable(out[i].Value)
		}
		out[i].Block = printableProperties(out[i].Block)
	}
	return out
}
