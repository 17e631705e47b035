package arch

import (
	"fmt"
	"strings"
)

// Rule says what the packages of a folder may import besides the standard
// library. "x/..." is x and everything below it.
type Rule struct {
	Of      string   // the folder, with or without "/..."
	Own     []string // folders of this project
	Modules []string // packages of other modules
}

const (
	gvisor  = "gvisor.dev/gvisor/pkg/"
	sys     = "golang.org/x/sys/..."
	netlink = "github.com/vishvananda/netlink/..."
)

// Rules is the table "Who may import whom" of the design. The first rule that
// fits a folder counts, so the narrow ones stand first.
func Rules() []Rule {
	drop, frame, flow, frag := "netstack/drop", "netstack/frame", "netstack/flow", "netstack/frag"
	return []Rule{
		{Of: drop},
		{Of: frame, Own: []string{drop}, Modules: []string{gvisor + "tcpip", gvisor + "tcpip/header", gvisor + "tcpip/checksum"}},
		// The table verifies and updates checksums by itself, in a batch, and the
		// house writes no checksum code of its own: hence gVisor's.
		{Of: flow, Own: []string{drop, frame, "netstack/flow/bucket"}, Modules: []string{gvisor + "tcpip/header", gvisor + "tcpip/checksum"}},
		// Its layout is shared with a program in the kernel: it needs nothing.
		{Of: "netstack/flow/bucket"},
		{Of: frag, Own: []string{drop, frame}},
		{Of: "netstack/capture/filter", Own: []string{frame}},
		{Of: "netstack/capture", Own: []string{drop, frame, "netstack/capture/filter"}},
		{Of: "netstack/natlog", Own: []string{drop, frame}},
		{Of: "netstack/xdp/bpf", Own: []string{frame, "netstack/flow/bucket"}, Modules: []string{"github.com/cilium/ebpf", "github.com/cilium/ebpf/rlimit"}},
		{Of: "netstack/xdp", Own: []string{frame, flow, "netstack/flow/bucket", "netstack/xdp/bpf"}, Modules: []string{"github.com/cilium/ebpf/...", netlink, sys}},
		{Of: "netstack/link/takeover", Modules: []string{netlink, sys}},
		{Of: "netstack/link", Own: []string{drop, frame}, Modules: []string{gvisor + "...", sys}},
		{Of: "netstack/lsn", Own: []string{drop, frame, flow, frag}},
		{Of: "netstack/vserver", Own: []string{drop, frame, flow, frag}},
		{Of: "netstack/trace", Own: []string{drop, frame, flow, frag, "netstack/capture/filter"}},
		{Of: "netstack/top", Own: []string{drop, frame, flow}},
		{Of: "netstack/ipsec/ike", Own: []string{drop}},
		{Of: "netstack/ipsec", Own: []string{drop, frame, flow, frag, "netstack/ipsec/ike"}, Modules: []string{gvisor + "tcpip", gvisor + "tcpip/header", gvisor + "tcpip/checksum"}},
		{Of: "netstack/keying", Own: []string{drop, frame, "netstack/ipsec", "netstack/ipsec/ike"}},
		{Of: "netstack", Own: []string{"netstack/...", "alg/..."}, Modules: []string{gvisor + "...", "golang.org/x/sync/errgroup"}},
		{Of: "alg/...", Own: []string{drop, frame, "alg/..."}},
		{Of: "hw/...", Own: []string{"hw/..."}, Modules: []string{netlink, sys, "github.com/google/renameio/..."}},
		{Of: "board/...", Own: []string{"hw/...", "board/..."}, Modules: []string{netlink, sys, "github.com/google/renameio/..."}},
		{Of: "configs/...", Own: []string{"configs/..."}, Modules: []string{"github.com/BurntSushi/toml", "go4.org/netipx"}},
		{Of: "cmd/internal/control", Own: []string{"configs", "configs/dialect/..."}},
		{Of: "cmd/internal/web", Own: []string{"configs", "cmd/internal/control"}, Modules: []string{"golang.org/x/crypto/bcrypt", "golang.org/x/sync/errgroup"}},
		{Of: "cmd/internal/doctor", Own: []string{"cmd/internal/control", "configs"}},
		{Of: "cmd/internal/logs"},
		{Of: "cmd/internal/metrics", Own: []string{"cmd/internal/control"}},
		{Of: "cmd/internal/task", Modules: []string{"golang.org/x/sync/..."}},
		{Of: "cmd/internal/wire", Own: []string{"..."}, Modules: []string{"..."}},
		{Of: "cmd/spigate", Own: []string{"cmd/internal/...", "configs/...", "board/..."}, Modules: []string{"github.com/spf13/cobra", "github.com/spf13/pflag", "golang.org/x/crypto/bcrypt", "golang.org/x/sys/..."}},
		{Of: "tests/...", Own: []string{"..."}, Modules: []string{"..."}},
	}
}

// CheckImports holds rules. Tests of a package are free.
func CheckImports(t *Tree, rules []Rule) []Finding {
	var out []Finding
	for dir, files := range t.packages() {
		rule, ok := ruleOf(rules, dir)
		if !ok {
			out = append(out, Finding{dir, "no import rule is for this folder: add one to the design and to tests/arch"})
			continue
		}
		for _, f := range files {
			if !f.Test {
				out = append(out, checkFile(f, rule)...)
			}
		}
	}
	return out
}

func checkFile(f *File, rule Rule) []Finding {
	var out []Finding
	for _, imp := range f.Imports {
		allowed := standard(imp.Path)
		if own, ours := strings.CutPrefix(imp.Path, Module+"/"); ours {
			allowed = matches(rule.Own, own)
		} else if !allowed {
			allowed = matches(rule.Modules, imp.Path)
		}
		if !allowed {
			out = append(out, Finding{fmt.Sprintf("%s:%d", f.Path, imp.Line), fmt.Sprintf("%s may not import %s", f.Dir, imp.Path)})
		}
	}
	return out
}

func ruleOf(rules []Rule, dir string) (Rule, bool) {
	for _, r := range rules {
		if matches([]string{r.Of}, dir) {
			return r, true
		}
	}
	return Rule{}, false
}

// matches reports whether one of the patterns is path.
func matches(patterns []string, path string) bool {
	for _, p := range patterns {
		root, deep := strings.CutSuffix(p, "...")
		if p == path || deep && (root == "" || within(path, strings.TrimSuffix(root, "/"))) {
			return true
		}
	}
	return false
}

// standard reports whether a path is of the standard library: its first part
// has no dot, and it is not ours.
func standard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".") && first != Module
}
