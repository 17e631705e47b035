package configs

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const edited = `# the office
version = 1   # of the format

[lsn.pool.P] # outside
# from the provider
addresses = ["203.0.113.3"] # one is enough
nat_type = "DYNAMIC"

# Those who phone.
[lsn.client.C]
networks = ["192.0.2.0/24"]
[lsn.client.C.more]
x = """
[lsn.pool.P]
addresses = []
"""
`

func TestAnEditChangesItsKeyAndNothingElse(t *testing.T) {
	for name, c := range map[string]struct {
		change   Change
		old, new string // of the text
	}{
		"a value": {Change{[]string{"lsn", "pool", "P", "addresses"}, Texts([]string{"203.0.113.3", "203.0.113.9"})},
			`["203.0.113.3"] #`, `["203.0.113.3", "203.0.113.9"] #`},
		"a new key": {Change{[]string{"lsn", "pool", "P", "port_block_size"}, Number(512)},
			"nat_type = \"DYNAMIC\"\n", "nat_type = \"DYNAMIC\"\nport_block_size = 512\n"},
		"a key that goes": {Change{[]string{"lsn", "pool", "P", "nat_type"}, ""}, "nat_type = \"DYNAMIC\"\n", ""},
		"a new table": {Change{[]string{"lsn", "pool", "Q 2", "nat_type"}, Text(`a"b`)},
			"nat_type = \"DYNAMIC\"\n", "nat_type = \"DYNAMIC\"\n\n[lsn.pool.\"Q 2\"]\nnat_type = \"a\\\"b\"\n"},
		"a table of another kind": {Change{[]string{"log", "nat", "on"}, Flag(true)}, "addresses = []\n\"\"\"\n", "addresses = []\n\"\"\"\n\n[log.nat]\non = true\n"},
		"a table that goes":       {Change{[]string{"lsn", "client"}, ""}, edited[strings.Index(edited, "# Those"):], ""},
		"what is not there":       {Change{[]string{"lsn", "group", "G"}, ""}, "", ""},
		"the only one":            {Change{[]string{"lsn", "pool", "P"}, ""}, edited[strings.Index(edited, "[lsn.pool.P] #"):strings.Index(edited, "# Those")], ""},
		"a table alone":           {Change{[]string{"lsn", "pool", "P"}, "{}"}, "", ""},
	} {
		got, err := Edit([]byte(edited), []Change{c.change})
		if want := strings.Replace(edited, c.old, c.new, 1); err != nil || string(got) != want {
			t.Errorf("%s: %v\n%s\nwant\n%s", name, err, got, want)
		}
	}
}

func TestLineEndsAndTheMarkOfTheFileStay(t *testing.T) {
	was := "\ufeffversion = 1\r\n[a]\r\nx = 1"
	got, err := Edit([]byte(was), []Change{{[]string{"a", "y"}, "2"}, {[]string{"b", "z"}, "3"}})
	if want := was + "\r\ny = 2\r\n\r\n[b]\r\nz = 3\r\n"; err != nil || string(got) != want {
		t.Errorf("%v, %q", err, got)
	}
}

func TestAnEditThatCannotBeSureIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		text, want string
		change     Change
	}{
		"inline table":     {"a = {b = 1}\n", "a.b stands in the text in a form", Change{[]string{"a", "b"}, "2"}},
		"array of tables":  {"[[a]]\nb = 1\n", "a is no table", Change{[]string{"a", "b"}, "2"}},
		"not TOML":         {"a = \n", "not TOML", Change{[]string{"a", "b"}, "2"}},
		"a second line":    {"", "not a value", Change{[]string{"a", "b"}, "2\nc = 3"}},
		"no value":         {"", "not a value", Change{[]string{"a", "b"}, "2 3"}},
		"no name":          {"", "needs a name", Change{[]string{"a", ""}, "2"}},
		"an invisible one": {"", "needs a name", Change{[]string{"a\x00b"}, "2"}},
		"too deep":         {"", "needs a name", Change{slices.Repeat([]string{"a"}, 33), "2"}},
	} {
		if got, err := Edit([]byte(c.text), []Change{c.change}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// Whatever the text and the changes are, the result means what was asked for, or
// there is none; and a line that no change is about is still there.
func TestAnEditMeansWhatWasAsked(t *testing.T) {
	names := rapid.SampledFrom([]string{"a", "b", "c d", `"`, "é"})
	values := rapid.SampledFrom([]string{"1", `"x # y"`, "[1, 2]", "true", `'''z'''`})
	rapid.Check(t, func(t *rapid.T) {
		var text strings.Builder
		for range rapid.IntRange(0, 5).Draw(t, "tables") {
			text.WriteString(Table(rapid.SliceOfN(names, 1, 3).Draw(t, "table")...) + " # head\n")
			for range rapid.IntRange(0, 3).Draw(t, "pairs") {
				text.WriteString(Key(names.Draw(t, "key")) + "=" + values.Draw(t, "value") + "# remark\n\n")
			}
		}
		var changes []Change
		for range rapid.IntRange(1, 3).Draw(t, "changes") {
			changes = append(changes, Change{rapid.SliceOfN(names, 1, 4).Draw(t, "path"), rapid.OneOf(values, rapid.Just(""), rapid.Just("{}")).Draw(t, "new")})
		}
		got, refused := Edit([]byte(text.String()), changes)
		want, err := decoded(text.String())
		for _, c := range changes {
			if err == nil {
				err = apply(want, c)
			}
		}
		if (err == nil) != (refused == nil) {
			t.Fatalf("%q: %+v: %v, and Edit says %v", text.String(), changes, err, refused)
		}
		if err != nil {
			return
		}
		if is, err := decoded(string(got)); err != nil || !reflect.DeepEqual(pruned(is), pruned(want)) {
			t.Fatalf("%q\nbecame %q (%v)", text.String(), got, err)
		}
	})
}

func FuzzEdit(f *testing.F) {
	f.Add(edited, "lsn/pool/P/addresses", "[]")
	f.Add("a.b = 1\r\n[a.c]\n", "a/b", "")
	f.Add("\ufeff[a]\n[a.'b']", "a/c/d", "{x = 1}")
	f.Fuzz(func(t *testing.T, text, path, value string) {
		got, err := Edit([]byte(text), []Change{{strings.Split(path, "/"), value}})
		if err != nil {
			return
		}
		if _, err := decoded(strings.TrimPrefix(string(got), "\ufeff")); err != nil {
			t.Errorf("%q became %q: %v", text, got, err)
		}
	})
}
