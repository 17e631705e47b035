package configs

import (
	"reflect"
	"testing"
)

func TestObjectsAreAsTheirAuthorWroteThem(t *testing.T) {
	text := "\ufeff" + `[lsn.pool.Z]
addresses = ["203.0.113.3", "203.0.113.9"]
port_block_allocation = true
[lsn.pool."a b"]
port_realloc_timeout = "2m"
max_port_realloc_tmq = 0x10
x = { y = 1 }
[lsn.client.C]
`
	got, err := Objects([]byte(text), "lsn", "pool")
	want := []Object{
		{"Z", map[string][]string{"addresses": {"203.0.113.3", "203.0.113.9"}, "port_block_allocation": {"true"}}, map[string]bool{"addresses": true, "port_block_allocation": false}, nil},
		{"a b", map[string][]string{"port_realloc_timeout": {"2m"}, "max_port_realloc_tmq": {"16"}}, map[string]bool{"port_realloc_timeout": false, "max_port_realloc_tmq": false}, []string{"x"}},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\n%+v\nwant\n%+v", err, got, want)
	}
	if got, err := Objects([]byte(text), "ltm", "virtual"); err != nil || len(got) != 0 {
		t.Errorf("of a kind that there is none of: %v, %v", got, err)
	}
	if _, err := Objects([]byte("[a")); err == nil {
		t.Error("what is not TOML has objects")
	}
}
