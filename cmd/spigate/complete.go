package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"spigate/cmd/internal/control"
)

// What a shell completes a word to. Names are asked from the daemon: whoever
// presses a key gets them at once or not at all, and never an error.

// completionPatience is how long a daemon may take to answer.
const completionPatience = time.Second

// completable are the commands that take a name, by their path without the
// program's name, and whose names those are.
func completable() map[string]string {
	nouns := map[string]string{
		"stat ipsecalg": "ipsecalg profile", "stat lsn group": "lsn group", "stat lsn pool": "lsn pool",
		"stat lsn log": "lsn log", "stat lsn helper": "lsn helper",
		"rekey net ipsec peer": "net ipsec peer", "rekey net ipsec selector": "net ipsec selector",
		"initiate net ipsec selector": "net ipsec selector", "config rollback": "config revision",
		"trace show": "trace", "trace list": "trace", "trace clear": "trace", "trace del": "trace",
	}
	for _, noun := range control.NamesOf() {
		nouns["show "+noun] = noun
	}
	return nouns
}

// flagNouns are the flags whose value is a name, and whose names those are.
func flagNouns() map[string][]string {
	return map[string][]string{
		"client":   {"lsn client"},
		"virtual":  {"ltm virtual", "ltm nat", "ltm snat"},
		"selector": {"net ipsec selector"},
		"peer":     {"net ipsec peer"},
		"in":       {"net vlan"},
		"vlan":     {"net vlan"},
		"reason":   {"drop reason"},
		"against":  {"config revision"},
	}
}

// flagWords are the flags whose value is one of a few words.
func flagWords() map[string][]string {
	return map[string][]string{
		"clear-stats": {"basic\tthose that only count", "full\tall of them"},
		"watch":       {"1s", "2s", "5s", "10s"},
		"point":       control.Points(),
		"format":      {control.FormatPcapng, control.FormatPcap},
		"frame":       {"udp,", "tcp,", "icmp,", "icmp-reply,", "esp,", "gre,"},
		"sort":        {"bits", "packets", "rate", "count", "lost"},
		"flags":       {"syn", "ack", "syn|ack", "fin|ack", "rst"},
	}
}

// complete gives every command below cmd its completions, but for those that
// have some.
func complete(cmd *cobra.Command) {
	for _, child := range cmd.Commands() {
		complete(child)
	}
	path := strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()+" ")
	switch noun, ok := completable()[path]; {
	case cmd.ValidArgsFunction != nil || len(cmd.ValidArgs) > 0:
	case ok:
		cmd.ValidArgsFunction = oneName(noun)
	case strings.HasPrefix(path, "import "): // any file
	case strings.Contains(cmd.Use, "FILE"):
		cmd.ValidArgsFunction = oneTOML
	default:
		cmd.ValidArgsFunction = cobra.NoFileCompletions
	}
	completeFlags(cmd)
}

// completeFlags does the same for the flags that cmd itself has. What is
// registered already stays as it is.
func completeFlags(cmd *cobra.Command) {
	for flag, nouns := range flagNouns() {
		if cmd.LocalFlags().Lookup(flag) != nil {
			_ = cmd.RegisterFlagCompletionFunc(flag, namesOf(nouns...))
		}
	}
	for flag, words := range flagWords() {
		if cmd.LocalFlags().Lookup(flag) != nil {
			directive := cobra.ShellCompDirectiveNoFileComp
			if flag == "frame" {
				directive |= cobra.ShellCompDirectiveNoSpace // it goes on behind the comma
			}
			_ = cmd.RegisterFlagCompletionFunc(flag, oneOf(words, directive))
		}
	}
}

// oneOf completes a word to one of a few.
func oneOf(words []string, directive cobra.ShellCompDirective) cobra.CompletionFunc {
	return func(_ *cobra.Command, _ []string, begun string) (out []string, _ cobra.ShellCompDirective) {
		for _, word := range words {
			if strings.HasPrefix(word, begun) {
				out = append(out, word)
			}
		}
		return out, directive
	}
}

// oneName completes the first word to a name, and nothing to a second one.
func oneName(noun string) cobra.CompletionFunc {
	names := namesOf(noun)
	return func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return names(cmd, args, begun)
	}
}

// namesOf completes a word to the names that the daemon has of some nouns.
func namesOf(nouns ...string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, begun string) (out []string, _ cobra.ShellCompDirective) {
		socket := defaultSocket
		if flag := cmd.Flag("socket"); flag != nil {
			socket = flag.Value.String()
		}
		ctx, cancel := context.WithTimeout(context.Background(), completionPatience)
		defer cancel()
		for _, noun := range nouns {
			names, err := control.NewClient(socket).Names(ctx, noun)
			if err != nil {
				cobra.CompDebugln(err.Error(), false)
				break
			}
			for _, name := range names {
				if strings.HasPrefix(name, begun) && !slices.Contains(out, name) {
					out = append(out, name)
				}
			}
		}
		return out, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
	}
}

// oneTOML completes the first word to a configuration file.
func oneTOML(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return []string{"toml"}, cobra.ShellCompDirectiveFilterFileExt
}

// properties completes the words behind "list ltm KIND": an object's name, then
// names of properties.
func properties(kind control.LTMKind) cobra.CompletionFunc {
	names := namesOf(kind.Words())
	return func(cmd *cobra.Command, args []string, begun string) (out []string, _ cobra.ShellCompDirective) {
		if len(args) == 0 {
			out, _ = names(cmd, args, begun)
		}
		for _, p := range append(kind.Properties(), allProperties) {
			if strings.HasPrefix(p, begun) && !slices.Contains(args, p) {
				out = append(out, p)
			}
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	}
}
