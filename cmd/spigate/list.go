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
)

// The running configuration in tmsh's form.

func (a *app) newList() *cobra.Command {
	s := &shower{app: a}
	list := newGroup("list", "Print the running configuration in tmsh's form",
		newGroup("ltm", "Virtual servers, NATs, SNATs and their profiles",
			s.list("virtual", "Virtual servers", control.KindVirtual, "ipsec-0", "vlans"),
			s.list("nat", "NATs", control.KindNAT, "NAT-1", "translation-address"),
			s.list("snat", "SNATs", control.KindSNAT, "S1", "origins"),
			newGroup("profile", "Profiles", s.list("fastl4", "Profiles of virtual servers", control.KindFastL4, "fastL4", "idle-timeout"))))
	s.addFlags(list)
	return list
}

// allProperties is tmsh's word for those at their default, too.
const allProperties = "all-properties"

// list makes the command for one kind. The object and the property are for the
// examples.
func (s *shower) list(noun, short string, kind control.LTMKind, object, property string) *cobra.Command {
	var filter control.Filter
	cmd := &cobra.Command{
		Use: noun + " [NAME] [PROPERTY…]", Short: short,
		Long: short + " of the running configuration, as tmsh lists them: of the\n" +
			"properties those that are always there or not at their default, or only the ones\n" +
			"that are named. A first word that is no object's name is a property of all of\n" +
			"them. " + allProperties + " stands for every property. Times are in seconds.",
		Example: fmt.Sprintf("  spigate list %[1]s\n  spigate list %[1]s %[2]s\n  spigate list %[1]s %[2]s %[4]s\n  spigate list %[1]s %[3]s",
			kind.Words(), object, property, allProperties),
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
	if kind != control.KindFastL4 {
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
	fmt.Fprintf(b, "%s %s {", kind.Words(), printable(o.Name))
	if len(o.Properties) == 0 {
		b.WriteString(" }\n")
		return
	}
	b.WriteByte('\n')
	writeProperties(b, o.Properties, 1)
	b.WriteString("}\n")
}

func writeProperties(b *strings.Builder, properties []control.LTMProperty, depth int) {
	indent := strings.Repeat("    ", depth)
	for _, p := range properties {
		b.WriteString(indent + printable(p.Name))
		switch {
		case p.Value != "":
			b.WriteString(" " + printable(p.Value))
		case len(p.Block) > 0:
			b.WriteString(" {\n")
			writeProperties(b, p.Block, depth+1)
			b.WriteString(indent + "}")
		case p.Braces:
			b.WriteString(" { }")
		}
		b.WriteByte('\n')
	}
}
