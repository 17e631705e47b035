package packaging

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"spigate/configs"
)

const initScript = "openwrt/spigate/files/spigate.init"

// procd runs an action of the service's script and returns the calls of procd.
func procd(t *testing.T, action string, env ...string) []string {
	t.Helper()
	cmd := exec.Command("dash", "testdata/rc.common", initScript, action)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", action, err, out)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

func TestProcdStartsTheRouterAndKeepsItRunning(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "slots of the router")
	want := []string{
		"settings [START=21] [STOP=89] [USE_PROCD=1]",
		"config_load [spigate]",
		"procd_open_instance",
		"procd_set_param [command] [/usr/sbin/spigate] [run] [--state-dir=" + dir + "] [--factory] [/etc/my own.toml]",
		"procd_set_param [respawn] [3600] [5] [5]",
		"procd_set_param [file] [/etc/my own.toml]",
		"procd_set_param [stderr] [1]",
		"procd_set_param [term_timeout] [15]",
		"procd_set_param [nice] [-10]",
		"procd_close_instance",
		"procd_add_reload_trigger [spigate]",
	}
	if d := cmp.Diff(want, procd(t, "start", "UCI_state_dir="+dir, "UCI_factory=/etc/my own.toml")); d != "" {
		t.Error(d)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder of the slots, which hold keys: %v, %v", info, err)
	}
}

// With ujail there are fewer privileges. The script names two fixed files for
// that; the test gives it others.
func TestProcdTakesPrivilegesAwayWhereItCan(t *testing.T) {
	text, err := os.ReadFile(initScript)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	script := strings.NewReplacer("UJAIL=/sbin/ujail", "UJAIL=/bin/true", "CAPABILITIES=/etc/capabilities/spigate.json", "CAPABILITIES="+initScript).Replace(string(text))
	file := filepath.Join(dir, "spigate")
	if err := os.WriteFile(file, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("dash", "testdata/rc.common", file, "start")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "UCI_state_dir=" + dir}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"procd_add_jail [spigate]\n", "procd_set_param [capabilities] [" + initScript + "]\n", "procd_set_param [no_new_privs] [1]\n"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

func TestProcdDoesNotStartARouterThatIsDisabled(t *testing.T) {
	got := procd(t, "start", "UCI_enabled=0", "UCI_state_dir=/nowhere/at/all")
	if slices.ContainsFunc(got, func(call string) bool { return strings.HasPrefix(call, "procd_open_instance") }) {
		t.Errorf("it is started: %q", got)
	}
	if _, err := os.Stat("/nowhere"); err == nil {
		t.Error("its folder is made")
	}
}

func TestReloadIsASignalToARouterThatRunsAndAStartOtherwise(t *testing.T) {
	got := procd(t, "reload", "RUNNING=1")
	if d := cmp.Diff([]string{"settings [START=21] [STOP=89] [USE_PROCD=1]", "procd_send_signal [spigate] [*] [HUP]"}, got); d != "" {
		t.Error(d)
	}
	got = procd(t, "reload", "UCI_state_dir="+t.TempDir())
	if !slices.Contains(got, "procd_open_instance") || slices.ContainsFunc(got, func(call string) bool { return strings.HasPrefix(call, "procd_send_signal") }) {
		t.Errorf("not running: %q", got)
	}
}

// The factory configuration is an example: a package that takes the ports that
// it was installed through would lock its user out.
func TestAPackageThatIsInstalledStartsNothing(t *testing.T) {
	config, err := os.ReadFile("openwrt/spigate/files/spigate.config")
	if err != nil || !strings.Contains(string(config), "option enabled '0'") {
		t.Errorf("%v\n%s", err, config)
	}
}

func TestAFolderThatCannotBeMadeIsAnError(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("dash", "testdata/rc.common", initScript, "start")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "UCI_state_dir=" + file + "/below"}
	if out, err := cmd.CombinedOutput(); err == nil || strings.Contains(string(out), "procd_open_instance") {
		t.Errorf("%v\n%s", err, out)
	}
}

// A file system that the kernel has made read-only after an error takes no mode,
// not even the one that is there. The router runs on what can be read.
func TestAFlashThatCanOnlyBeReadIsNoReasonNotToStart(t *testing.T) {
	tools := t.TempDir()
	const refusing = "#!/bin/sh\necho \"chmod: $2: Read-only file system\" >&2\nexit 1\n"
	if err := os.WriteFile(filepath.Join(tools, "chmod"), []byte(refusing), 0o755); err != nil {
		t.Fatal(err)
	}
	got := procd(t, "start", "PATH="+tools+":"+os.Getenv("PATH"), "UCI_state_dir="+t.TempDir())
	if !slices.Contains(got, "procd_open_instance") || !slices.Contains(got, "procd_close_instance") {
		t.Errorf("%q", got)
	}
}

func TestShellScriptsAreFreeOfFaults(t *testing.T) {
	scripts := []string{initScript, "../image/run.sh", "../image/deps.sh", "../../tests/deps.sh", "../../cmd/spigate/build.sh"}
	if out, err := exec.Command("shellcheck", scripts...).CombinedOutput(); err != nil {
		t.Errorf("shellcheck: %v\n%s", err, out)
	}
}

// What sysupgrade must keep, and what a package upgrade must not overwrite, is
// what the service reads and writes.
func TestAnUpgradeKeepsTheConfiguration(t *testing.T) {
	keep, err := os.ReadFile("openwrt/spigate/files/spigate.keep")
	if err != nil {
		t.Fatal(err)
	}
	config, err := os.ReadFile("openwrt/spigate/files/spigate.config")
	if err != nil {
		t.Fatal(err)
	}
	makefile, err := os.ReadFile("openwrt/spigate/Makefile")
	if err != nil {
		t.Fatal(err)
	}
	_, conffiles, _ := strings.Cut(string(makefile), "define Package/spigate/conffiles\n")
	conffiles, _, _ = strings.Cut(conffiles, "endef")
	for _, name := range []string{"/etc/config/spigate", "/etc/spigate.toml"} {
		if !slices.Contains(strings.Fields(conffiles), name) || !slices.Contains(strings.Fields(string(keep)), name) {
			t.Errorf("%s is not kept", name)
		}
	}
	var dir string
	for _, call := range procd(t, "start", "UCI_enabled=1", "UCI_state_dir="+t.TempDir()) {
		if strings.Contains(call, "[command]") {
			dir = call
		}
	}
	if dir == "" || !strings.Contains(string(config), "option state_dir '/overlay/spigate'") || !slices.Contains(strings.Fields(string(keep)), "/overlay/spigate") {
		t.Errorf("the slots in /overlay/spigate are not kept: %q", keep)
	}
}

// sdk runs a target of the package's Makefile with the stub of OpenWrt's tools.
func sdk(t *testing.T, target string, variables ...string) string {
	t.Helper()
	stub, err := filepath.Abs("testdata/sdk")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("make", append([]string{"-s", "-C", "openwrt/spigate", target, "TOPDIR=" + stub, "INCLUDE_DIR=" + stub + "/include"}, variables...)...)
	cmd.Env = append(cmd.Environ(), "MAKEFLAGS=", "MAKELEVEL=")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("make %s: %v\n%s", target, err, out)
	}
	return string(out)
}

// The package is built as the product is, and has all of its sources.
func TestThePackageHasTheSourcesOfTheProduct(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "build")
	sdk(t, "prepare", "PKG_BUILD_DIR="+dir)
	said := strings.Fields(sdk(t, "variables"))
	build, err := os.ReadFile("../../cmd/spigate/build.sh")
	if err != nil {
		t.Fatal(err)
	}
	_, tags, _ := strings.Cut(string(build), `-tags "`)
	tags, _, _ = strings.Cut(tags, "$") // behind it are those of whoever builds
	if want := []string{"spigate", "spigate/cmd/spigate", tags, "1", "Apache-2.0", "golang/host"}; !slices.Equal(said, want) {
		t.Errorf("variables %q, want %q", said, want)
	}
	cmd := exec.Command("go", "list", "-deps", "-tags", tags, "spigate/cmd/spigate")
	cmd.Dir = dir
	cmd.Env = append(cmd.Environ(), "GOOS=linux", "GOARCH=arm", "CGO_ENABLED=0", "GOFLAGS=-mod=mod")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "\nspigate/netstack\n") {
		t.Errorf("the sources that it copies: %v\n%s", err, out)
	}
}

func TestThePackageInstallsTheService(t *testing.T) {
	root, bin := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "spigate"), []byte("the router"), 0o700); err != nil {
		t.Fatal(err)
	}
	sdk(t, "package", "GO_PKG_BUILD_BIN_DIR="+bin, "ROOT="+root)
	for name, mode := range map[string]os.FileMode{
		"usr/sbin/spigate": 0o755, "etc/init.d/spigate": 0o755, "etc/config/spigate": 0o600, "etc/spigate.toml": 0o600,
		"etc/capabilities/spigate.json": 0o644, "lib/upgrade/keep.d/spigate": 0o644,
	} {
		info, err := os.Stat(filepath.Join(root, name))
		if err != nil || info.Mode().Perm() != mode || info.Size() == 0 {
			t.Errorf("%s: %v, %v; want mode %v", name, info, err, mode)
		}
	}
	if _, warnings, err := configs.Load(filepath.Join(root, "etc/spigate.toml")); err != nil {
		t.Errorf("the factory configuration: %v, %v", err, warnings)
	}
}

func TestBothServicesGiveTheSameCapabilities(t *testing.T) {
	text, err := os.ReadFile("openwrt/spigate/files/spigate.capabilities.json")
	if err != nil {
		t.Fatal(err)
	}
	var sets map[string][]string
	if err := json.Unmarshal(text, &sets); err != nil {
		t.Fatal(err)
	}
	want := strings.Fields(directive(t, "Service", "CapabilityBoundingSet"))
	for _, set := range []string{"bounding", "effective", "permitted"} {
		if d := cmp.Diff(want, sets[set]); d != "" {
			t.Errorf("%s: %s", set, d)
		}
	}
	if len(sets) != 5 || len(sets["inheritable"])+len(sets["ambient"]) != 0 {
		t.Errorf("programs that the router starts would inherit some: %v", sets)
	}
}
