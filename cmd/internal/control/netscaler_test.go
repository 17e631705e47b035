package control

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func (b *fake) NetScalerConfig() []NetScalerLine {
	return []NetScalerLine{{"lsn pool", "P", "add lsn pool P"}, {"lsn pool", "P", "bind lsn pool P 203.0.113.3"}}
}

func TestCommandsOfNetScalerComeOverTheSocket(t *testing.T) {
	b := &fake{}
	c, socket := serve(t, b)
	if diff := cmp.Diff(b.NetScalerConfig(), collect(t, c.NetScalerConfig(t.Context()))); diff != "" {
		t.Errorf("(-sent +received):\n%s", diff)
	}
	if status, _, _ := raw(t, socket, "GET", pathNetScaler+"?td=1", nil); status != 400 {
		t.Errorf("a filter that it does not have: status %d", status)
	}
}

// A kind has a path, words of tmsh, and properties; no two are alike.
func TestEachKindThatIsListedHasWordsAndProperties(t *testing.T) {
	seen := map[string]bool{}
	for _, kind := range LTMKinds() {
		if w := kind.Words(); w == "" || seen[w] || len(kind.Properties()) == 0 {
			t.Errorf("%s: %q with %q", kind, w, kind.Properties())
		}
		seen[kind.Words()] = true
	}
	if len(seen) != len(kindWords()) {
		t.Errorf("%d kinds are listed, of %d", len(seen), len(kindWords()))
	}
}
