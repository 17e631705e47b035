package arch

import (
	"flag"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write generated pages anew")

// root is the project's folder, seen from this one.
var root = filepath.Join("..", "..")

// project loads the project's tree.
func project(t *testing.T) *Tree {
	t.Helper()
	tree, err := Load(os.DirFS(root))
	if err != nil {
		t.Fatal(err)
	}
	if len(tree.Files) < 10 {
		t.Fatalf("only %d Go files: is this the project?", len(tree.Files))
	}
	return tree
}

// report fails the test with every finding, in order.
func report(t *testing.T, findings []Finding) {
	t.Helper()
	slices.SortFunc(findings, func(a, b Finding) int { return strings.Compare(a.Where, b.Where) })
	for _, f := range findings {
		t.Error(f)
	}
}

func TestPackagesImportOnlyWhatTheDesignAllows(t *testing.T) {
	report(t, CheckImports(project(t), Rules()))
}

func TestModulesAreUsedWhereTheTableSays(t *testing.T) { report(t, CheckModules(project(t))) }
func TestFilesAndFunctionsAreShort(t *testing.T)       { report(t, CheckSize(project(t))) }
func TestBlocksAreNotNestedDeep(t *testing.T)          { report(t, CheckNesting(project(t))) }
func TestEveryFileIsFormatted(t *testing.T)            { report(t, CheckFormat(project(t))) }
func TestNoPackageHasAnInit(t *testing.T)              { report(t, CheckInit(project(t))) }
func TestEveryPackageSaysWhatItIs(t *testing.T)        { report(t, CheckPackageComments(project(t))) }
func TestTimeIsAnArgument(t *testing.T)                { report(t, CheckClock(project(t))) }
func TestNoTestIsSkipped(t *testing.T)                 { report(t, CheckSkip(project(t))) }
func TestEveryFolderHasAReadme(t *testing.T)           { report(t, CheckReadmes(project(t))) }
func TestEveryDropReasonIsDriven(t *testing.T)         { report(t, CheckReasons(project(t))) }

func TestNoTextNamesAMachine(t *testing.T) {
	var hosts []string
	for _, p := range strings.FieldsFunc(run(t, "go", "env", "GOPROXY"), func(r rune) bool { return r == ',' || r == '|' }) {
		if u, err := url.Parse(strings.TrimSpace(p)); err == nil {
			hosts = append(hosts, u.Hostname())
		}
	}
	report(t, CheckWords(project(t), hosts...))
}

func TestDropReasonsPageIsCurrent(t *testing.T) {
	path := filepath.Join(root, filepath.FromSlash(DropReasonsFile))
	if *update {
		if err := os.WriteFile(path, []byte(DropReasons()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(DropReasons(), string(got)); diff != "" {
		t.Errorf("run go test ./tests/arch -run DropReasons -update (-table +page):\n%s", diff)
	}
}

func TestVetIsContent(t *testing.T) { run(t, "go", "vet", "./...") }

func TestTheRouterCanBeBuiltWithoutXDP(t *testing.T) {
	run(t, "go", "vet", "-tags", "noxdp", "./netstack/xdp", "./cmd/spigate")
}

func TestTheRouterCanBeBuiltWithoutPages(t *testing.T) {
	run(t, "go", "vet", "-tags", "noweb", "./cmd/internal/web", "./cmd/internal/wire", "./cmd/spigate")
}

func TestStaticcheckIsContent(t *testing.T) { run(t, "go", "tool", "staticcheck", "./...") }

// run runs a program in the project's folder and returns what it printed.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}
