package main

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// The bill of materials, in the form of CycloneDX 1.5. Only the fields that are
// used are here; names are those of the standard.
type (
	bom struct {
		Schema       string       `json:"$schema"`
		Format       string       `json:"bomFormat"`
		SpecVersion  string       `json:"specVersion"`
		Serial       string       `json:"serialNumber"`
		Version      int          `json:"version"`
		Metadata     metadata     `json:"metadata"`
		Components   []component  `json:"components"`
		Dependencies []dependency `json:"dependencies"`
	}
	metadata struct {
		Timestamp string    `json:"timestamp"`
		Component component `json:"component"`
	}
	component struct {
		Type       string     `json:"type"`
		Ref        string     `json:"bom-ref"`
		Name       string     `json:"name"`
		Version    string     `json:"version,omitempty"`
		Hashes     []hash     `json:"hashes,omitempty"`
		Licenses   []licence  `json:"licenses,omitempty"`
		PURL       string     `json:"purl,omitempty"`
		Properties []property `json:"properties,omitempty"`
	}
	hash struct {
		Algorithm string `json:"alg"`
		Content   string `json:"content"`
	}
	licence struct {
		License licenceChoice `json:"license"`
	}
	licenceChoice struct {
		ID   string `json:"id,omitempty"`   // of SPDX
		Name string `json:"name,omitempty"` // where SPDX has none
	}
	property struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	dependency struct {
		Ref       string   `json:"ref"`
		DependsOn []string `json:"dependsOn,omitempty"`
	}
)

// dependenciesPage has the licence of every module.
const dependenciesPage = "docs/dependencies.md"

// ownLicence is that of the file LICENSE.
const ownLicence = "Apache-2.0"

// materials lists what the image is made of: the binary with the modules that
// are in it, as it says itself, and the packages of the archive.
func materials(bin *routerBinary, k *kernel, files []output) ([]byte, error) {
	page, err := os.ReadFile(dependenciesPage)
	if err != nil {
		return nil, fmt.Errorf("licences: %w", err)
	}
	b, err := billOf(bin.info, sum(bin.data), licencesOf(string(page)))
	if err != nil {
		return nil, err
	}
	image := component{Type: "firmware", Ref: "spigate-image", Name: "spigate-image", Version: bin.info.Main.Version}
	for _, f := range files {
		image.Properties = append(image.Properties, property{"spigate:sha256:" + f.name, sum(f.data)})
	}
	b.Metadata = metadata{time.Unix(bin.epoch, 0).UTC().Format(time.RFC3339), image}
	b.Components = append(b.Components, component{
		Type: "operating-system", Ref: debURL(k), Name: k.Name, Version: k.Version, PURL: debURL(k),
		Hashes: []hash{{"SHA-256", k.SHA256}}, Licenses: debianLicence(k.copyright),
		Properties: []property{{"spigate:archive-path", k.Path}},
	})
	b.Dependencies = append(b.Dependencies, dependency{image.Ref, []string{binaryRef, debURL(k)}}, dependency{Ref: debURL(k)})
	b.Serial = serial(b)
	text, err := json.MarshalIndent(b, "", "  ")
	return append(text, '\n'), err
}

const binaryRef = "spigate"

// billOf lists the binary and its modules.
func billOf(info *debug.BuildInfo, digest string, licences map[string]string) (*bom, error) {
	b := &bom{Schema: "http://cyclonedx.org/schema/bom-1.5.schema.json", Format: "CycloneDX", SpecVersion: "1.5", Version: 1}
	own := component{Type: "application", Ref: binaryRef, Name: "spigate", Version: info.Main.Version,
		Hashes: []hash{{"SHA-256", digest}}, Licenses: spdx(ownLicence)}
	goVersion := strings.TrimPrefix(info.GoVersion, "go")
	parts := []component{{Type: "library", Name: "stdlib", Version: goVersion, PURL: goURL("stdlib", "v"+goVersion), Licenses: spdx("BSD-3-Clause")}}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		id, ok := licences[m.Path]
		if !ok {
			return nil, fmt.Errorf("%s has no licence for module %s", dependenciesPage, m.Path)
		}
		c := component{Type: "library", Name: m.Path, Version: m.Version, PURL: goURL(m.Path, m.Version), Licenses: spdx(id)}
		if h, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(m.Sum, "h1:")); err == nil && len(h) == 32 {
			c.Hashes = []hash{{"SHA-256", hex.EncodeToString(h)}} // of the module's list of files
		}
		parts = append(parts, c)
	}
	needs := dependency{Ref: binaryRef}
	for i := range parts {
		parts[i].Ref = parts[i].PURL
		needs.DependsOn = append(needs.DependsOn, parts[i].Ref)
	}
	b.Components = append([]component{own}, parts...)
	b.Dependencies = []dependency{needs}
	for _, ref := range needs.DependsOn {
		b.Dependencies = append(b.Dependencies, dependency{Ref: ref})
	}
	return b, nil
}

// licencesOf reads the table of the page: the module in the first cell, in
// backquotes, the licence in the last.
func licencesOf(page string) map[string]string {
	all := map[string]string{}
	for line := range strings.Lines(page) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) < 5 || !strings.HasPrefix(strings.TrimSpace(cells[1]), "`") {
			continue
		}
		all[strings.Trim(strings.TrimSpace(cells[1]), "`")] = strings.TrimSpace(cells[len(cells)-2])
	}
	return all
}

func spdx(id string) []licence { return []licence{{licenceChoice{ID: id}}} }

// debianLicence reads the licence of "Files: *" of a machine-readable copyright
// file, in the words of SPDX where they are known.
func debianLicence(copyright string) []licence {
	spdxOf := map[string]string{"GPL-2": "GPL-2.0-only", "GPL-2+": "GPL-2.0-or-later", "GPL-3": "GPL-3.0-only", "GPL-3+": "GPL-3.0-or-later",
		"LGPL-2.1": "LGPL-2.1-only", "LGPL-2.1+": "LGPL-2.1-or-later", "Expat": "MIT", "Apache-2.0": "Apache-2.0"}
	for _, paragraph := range strings.Split(copyright, "\n\n") {
		if !slices.Contains(strings.Split(paragraph, "\n"), "Files: *") {
			continue
		}
		for line := range strings.Lines(paragraph) {
			name, ok := strings.CutPrefix(strings.TrimSpace(line), "License: ")
			if !ok {
				continue
			}
			if id, known := spdxOf[name]; known {
				return spdx(id)
			}
			return []licence{{licenceChoice{Name: name}}}
		}
	}
	return nil
}

// goURL is a module's package URL: the type's rules want it in lower case.
func goURL(module, version string) string {
	return "pkg:golang/" + strings.ToLower(module) + "@" + url.QueryEscape(version)
}

func debURL(k *kernel) string {
	return "pkg:deb/debian/" + k.Name + "@" + url.QueryEscape(k.Version) + "?arch=" + k.Arch
}

// serial names this bill by its content, in the form of a UUID of version 8
// (RFC 9562, 5.8), so that equal images have equal bills.
func serial(b *bom) string {
	text, err := json.Marshal(b)
	if err != nil {
		return "" // strings and numbers alone: cannot be
	}
	s := []byte(sum(text)[:32])
	s[12], s[16] = '8', '8'
	return fmt.Sprintf("urn:uuid:%s-%s-%s-%s-%s", s[:8], s[8:12], s[12:16], s[16:20], s[20:])
}
