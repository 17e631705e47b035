package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// checkBill holds a bill of materials to the rules of CycloneDX 1.5 for the
// fields that ours has, and to those of package URLs.
func checkBill(text []byte) (faults []string) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	var b bom
	in := json.NewDecoder(bytes.NewReader(text))
	in.DisallowUnknownFields()
	if err := in.Decode(&b); err != nil {
		return []string{err.Error()}
	}
	if b.Format != "CycloneDX" || b.SpecVersion != "1.5" || b.Version < 1 {
		fault("head: %s %s, version %d", b.Format, b.SpecVersion, b.Version)
	}
	if !regexp.MustCompile(`^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(b.Serial) {
		fault("serialNumber %q", b.Serial)
	}
	if _, err := time.Parse(time.RFC3339, b.Metadata.Timestamp); err != nil {
		fault("timestamp: %v", err)
	}
	refs := map[string]bool{}
	for _, c := range append(slices.Clone(b.Components), b.Metadata.Component) {
		if refs[c.Ref] || c.Ref == "" {
			fault("bom-ref %q is empty or not unique", c.Ref)
		}
		refs[c.Ref] = true
		faults = append(faults, checkComponent(c)...)
	}
	told := map[string]bool{}
	for _, d := range b.Dependencies {
		if told[d.Ref] {
			fault("dependencies of %s are told twice", d.Ref)
		}
		told[d.Ref] = true
		for _, ref := range append(slices.Clone(d.DependsOn), d.Ref) {
			if !refs[ref] {
				fault("dependency: no component %q", ref)
			}
		}
	}
	for ref := range refs {
		if !told[ref] {
			fault("nothing is said about what %s depends on", ref)
		}
	}
	return faults
}

func checkComponent(c component) (faults []string) {
	fault := func(format string, args ...any) { faults = append(faults, c.Name+": "+fmt.Sprintf(format, args...)) }
	types := []string{"application", "framework", "library", "container", "platform", "operating-system", "device", "device-driver",
		"firmware", "file", "machine-learning-model", "data"}
	if !slices.Contains(types, c.Type) || c.Name == "" {
		fault("type %q, name %q", c.Type, c.Name)
	}
	for _, h := range c.Hashes {
		if h.Algorithm != "SHA-256" || !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(h.Content) {
			fault("hash %v", h)
		}
	}
	if len(c.Licenses) == 0 && c.Type != "firmware" {
		fault("no licence")
	}
	for _, l := range c.Licenses {
		if (l.License.ID == "") == (l.License.Name == "") || !regexp.MustCompile(`^[A-Za-z0-9.+-]*$`).MatchString(l.License.ID) {
			fault("licence %+v: want either an identifier of SPDX or a name", l)
		}
	}
	// type/namespace/name@version?qualifiers: the type's rules want Go's names in
	// lower case, and a version has no unescaped ":", "+", "/" or "~".
	purl := regexp.MustCompile(`^pkg:(golang(/[a-z0-9._~-]+)+@v[A-Za-z0-9.%_-]+|deb/debian/[a-z0-9.+-]+@[A-Za-z0-9.%~_-]+\?arch=[a-z0-9]+)$`)
	if c.PURL != "" && !purl.MatchString(c.PURL) {
		fault("package URL %q", c.PURL)
	}
	if c.PURL == "" && (c.Type == "library" || c.Type == "operating-system") {
		fault("no package URL")
	}
	return faults
}

// inProject makes the project's folder the current one, as it is when "make
// image" builds.
func inProject(t *testing.T) { t.Chdir(filepath.Join("..", "..")) }

func TestTheBillOfMaterialsKeepsTheRules(t *testing.T) {
	inProject(t)
	bin, err := thisBinary(t, "1700000000")
	if err != nil {
		t.Fatal(err)
	}
	// What the test's own program has of test modules, a router has not.
	bin.info.Deps = slices.DeleteFunc(bin.info.Deps, func(m *debug.Module) bool { return m.Sum == "" })
	bin.info.Deps = append(bin.info.Deps, &debug.Module{Path: "github.com/BurntSushi/toml", Version: "v1.6.0", Sum: "h1:" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{0xcd}, 32))})
	text, err := materials(bin, testKernel(t, ""), []output{{"vmlinuz", 0o644, []byte("kernel")}})
	if err != nil {
		t.Fatal(err)
	}
	if faults := checkBill(text); len(faults) > 0 {
		t.Error(strings.Join(faults, "\n"))
	}
	for _, want := range []string{
		`"pkg:golang/github.com/burntsushi/toml@v1.6.0"`, `"pkg:golang/stdlib@v1.`, `"pkg:deb/debian/linux-image-6.1-test@6.1.9%2Bx-1?arch=armhf"`,
		`"GPL-2.0-only"`, `"MIT"`, `"2023-11-14T22:13:20Z"`, `"content": "` + sum(bin.data) + `"`,
		`"content": "` + strings.Repeat("cd", 32) + `"`,
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	again, err := materials(bin, testKernel(t, ""), []output{{"vmlinuz", 0o644, []byte("kernel")}})
	if err != nil || !bytes.Equal(again, text) {
		t.Error("written twice, it differs", err)
	}
}

func TestABillThatBreaksTheRulesIsNoticed(t *testing.T) {
	good := bom{Format: "CycloneDX", SpecVersion: "1.5", Version: 1, Serial: "urn:uuid:af1fb0c1-8f7b-802b-84d3-2ba1aee2ee68",
		Metadata:     metadata{"2023-11-14T22:13:20Z", component{Type: "firmware", Ref: "f", Name: "f"}},
		Components:   []component{{Type: "library", Ref: "a", Name: "a", PURL: "pkg:golang/a@v1.0.0", Licenses: spdx("MIT")}},
		Dependencies: []dependency{{Ref: "f", DependsOn: []string{"a"}}, {Ref: "a"}}}
	for name, spoil := range map[string]func(*bom){
		"":            func(*bom) {},
		"serial":      func(b *bom) { b.Serial = "af1fb0c1" },
		"time":        func(b *bom) { b.Metadata.Timestamp = "yesterday" },
		"type":        func(b *bom) { b.Components[0].Type = "kernel" },
		"same ref":    func(b *bom) { b.Components[0].Ref = "f" },
		"licence":     func(b *bom) { b.Components[0].Licenses = []licence{{licenceChoice{"MIT", "MIT"}}} },
		"no licence":  func(b *bom) { b.Components[0].Licenses = nil },
		"upper case":  func(b *bom) { b.Components[0].PURL = "pkg:golang/A@v1.0.0" },
		"plus":        func(b *bom) { b.Components[0].PURL = "pkg:golang/a@v1.0.0+x" },
		"hash":        func(b *bom) { b.Components[0].Hashes = []hash{{"SHA-256", "00"}} },
		"unknown ref": func(b *bom) { b.Dependencies[0].DependsOn = []string{"b"} },
		"not told":    func(b *bom) { b.Dependencies = b.Dependencies[:1] },
		"spec":        func(b *bom) { b.SpecVersion = "1.9" },
	} {
		b := good
		b.Components, b.Dependencies = slices.Clone(good.Components), slices.Clone(good.Dependencies)
		spoil(&b)
		text, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		if faults := checkBill(text); (len(faults) == 0) != (name == "") {
			t.Errorf("%q: %q", name, faults)
		}
	}
}

func TestAModuleWithoutALicenceStopsTheBuild(t *testing.T) {
	info := &debug.BuildInfo{GoVersion: "go1.26", Deps: []*debug.Module{{Path: "example.org/new", Version: "v1.0.0"}}}
	if _, err := billOf(info, sum(nil), map[string]string{}); err == nil || !strings.Contains(err.Error(), "example.org/new") {
		t.Errorf("%v, want the module", err)
	}
	info.Deps[0].Replace = &debug.Module{Path: "example.org/fork", Version: "v2.0.0"}
	b, err := billOf(info, sum(nil), map[string]string{"example.org/fork": "MIT"})
	if err != nil || b.Components[2].Name != "example.org/fork" {
		t.Errorf("a module that is replaced is told as what replaces it: %+v, %v", b, err)
	}
}

func TestLicencesAreReadFromThePage(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", dependenciesPage))
	if err != nil {
		t.Fatal(err)
	}
	got := licencesOf(string(page))
	if got["gvisor.dev/gvisor"] != "Apache-2.0" || got["golang.org/x/sys"] != "BSD-3-Clause" || len(got) < 10 {
		t.Error(got)
	}
}

func TestTheLicenceOfAPackageIsReadFromItsCopyright(t *testing.T) {
	for text, want := range map[string][]licence{
		"Files: debian/*\nLicense: MIT\n\nFiles: *\nCopyright: a\nLicense: GPL-2+\n text\n": spdx("GPL-2.0-or-later"),
		"Files: *\nLicense: Own\n":         {{licenceChoice{Name: "Own"}}},
		"Copyright 1999 of somebody, free": nil,
	} {
		if d := cmp.Diff(want, debianLicence(text)); d != "" {
			t.Errorf("%q: %s", text, d)
		}
	}
}
