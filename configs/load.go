package configs

import (
	"fmt"
	"os"
	"sort"
)

// Options is what a configuration depends on beside its text.
type Options struct {
	// Limits says how large the tables are that [limits] does not say, from the
	// model in [board]. Its error is reported at the model; a value of 0 is that
	// of DefaultLimits. nil: DefaultLimits for every model.
	Limits func(model string) (Limits, error)
}

// Load reads and parses the file at path, and the files with secrets and
// certificates that it names: their paths are relative to its own.
func Load(path string) (*Config, []Warning, error) { return LoadWith(path, Options{}) }

// LoadWith is Load with options.
func LoadWith(path string, o Options) (*Config, []Warning, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, fmt.Errorf("read configuration: %w", err)
	}
	r := reader{open: openFile, options: o}
	if info, err := os.Stat(path); err == nil && info.Mode()&0o007 != 0 {
		r.exposed = info.Mode().Perm()
	}
	return r.parse(path, text)
}

// LoadText is LoadWith for a text that has been read already, or is not in its
// file yet: path stands in messages, and the files that the text names are
// looked for as if it were there.
func LoadText(path string, text []byte, o Options) (*Config, []Warning, error) {
	r := reader{open: openFile, options: o}
	return r.parse(path, text)
}

// Parse turns the text of a configuration into a Config. The error joins every
// Fault of the text (see Faults); with one, the Config is nil. Warnings come
// with and without an error. name stands for the file in messages. No other
// file is read: what the text names stays unknown.
func Parse(name string, text []byte) (*Config, []Warning, error) {
	var r reader
	return r.parse(name, text)
}

func (r *reader) parse(name string, text []byte) (*Config, []Warning, error) {
	var err error
	if r.doc, err = read(name, text); err != nil {
		return nil, nil, err
	}
	c := r.config()
	sort.Slice(r.warnings, func(i, j int) bool { return byPlace(Fault(r.warnings[i]), Fault(r.warnings[j])) < 0 })
	if len(r.faults) > 0 {
		return nil, r.warnings, join(r.faults)
	}
	c.Source = newSecret(text)
	return c, r.warnings, nil
}

// raw is what the second layer hands to the third: the objects with the names
// that they refer to, not yet resolved.
type raw struct {
	*Config
	portOf map[*VLAN]string
	// anyDriver has the ports that say no driver of ours: nothing follows from it.
	anyDriver map[*Port]bool
	switchOf  map[*VLAN]string // of the VLANs that say one
	switches  map[*Switch]*switchRefs
	namedAt   map[*SwitchPort]spot // where a VLAN names a port that has no table
	domainOf  []int                // of Routes, as written, or unsaid
	refs      map[*Group]groupRefs
	// attributes are the names in an application profile's list.
	attributes map[*AppsProfile][]string
	// written tells of an object whether the user wrote a key (see preset.go).
	written map[any]func(key string) bool
	ltm     ltmRefs
	ipsec   ipsecRefs
}

type groupRefs struct {
	client     string
	pools      []string
	apps       []string
	transports []string
	alg        string
	log        string // log profile
	// unknownApps: a name in apps is no profile's.
	unknownApps bool
}

// config reads all tables, then checks what they say about each other.
func (r *reader) config() *Config {
	root := &table{reader: r, keys: r.doc.root}
	w := &raw{
		Config: &Config{File: r.doc.file, Places: r.doc.placed()}, portOf: map[*VLAN]string{}, anyDriver: map[*Port]bool{}, switchOf: map[*VLAN]string{},
		switches: map[*Switch]*switchRefs{}, namedAt: map[*SwitchPort]spot{}, refs: map[*Group]groupRefs{},
		attributes: map[*AppsProfile][]string{}, written: map[any]func(string) bool{},
		ltm: newLTMRefs(), ipsec: newIPsecRefs(),
	}
	r.version(root)
	r.system(root, w)
	r.boardTable(root, w)
	r.limits(root, w)
	r.offload(root, w)
	r.ports(root, w)
	r.switches(root, w)
	r.vlans(root, w)
	r.routes(root, w)
	r.lsn(root, w)
	r.ipsecalg(root, w)
	r.log(root, w)
	r.web(root, w)
	r.ltm(root, w)
	r.net(root, w)
	root.later("ha")
	root.done()
	r.checkNet(w)
	r.checkLSN(w)
	r.checkStatics(w)
	r.checkLog(w)
	r.checkLTM(w)
	r.checkIPsec(w)
	return w.Config
}

// version is the format of the file. A file without it is not taken for one of
// ours.
func (r *reader) version(root *table) {
	n, ok := get[int64](root, "version")
	switch {
	case !root.has("version"):
		r.fault(root.at("version"), "is missing: write version = 1 in the first line")
	case ok && n != 1:
		r.fault(root.at("version"), "this build reads version 1, not %d", n)
	}
}
