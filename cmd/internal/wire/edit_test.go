package wire

import (
	"errors"
	"strings"
	"testing"
	"time"

	"spigate/cmd/internal/control"
	"spigate/configs"
)

// poolEdit is a change of the pool, and of a key that the text has not.
func poolEdit(first string) []configs.Change {
	return []configs.Change{
		{Path: []string{"lsn", "pool", "LSN-POOL-1", "addresses"}, Value: configs.Texts([]string{first})},
		{Path: []string{"lsn", "pool", "LSN-POOL-1", "port_realloc_timeout"}, Value: `"1m"`},
	}
}

func TestAnEditIsShownAppliedAndRolledBack(t *testing.T) {
	eachKeeper(t, func(t *testing.T, w *windowed) {
		v := w.daemon.views
		pools, err := v.ConfigObjects("lsn", "pool")
		if err != nil || len(pools.Objects) != 1 || pools.Objects[0].Name != "LSN-POOL-1" {
			t.Fatalf("%+v, %v", pools, err)
		}
		e := control.ConfigEdit{Base: pools.Base, Changes: poolEdit(one), By: "web: anna", Comment: one, Confirm: 5 * time.Minute}
		shown, err := v.EditConfig(e)
		if err != nil || shown.Applied != nil || shown.Diff.Same || !strings.Contains(shown.Diff.Text, `+port_realloc_timeout = "1m"`) {
			t.Fatalf("%+v, %v", shown, err)
		}
		w.is(7, seven)
		e.Apply = true
		done, err := v.EditConfig(e)
		if err != nil || done.Applied == nil || done.Applied.Applied != control.AppliedLive || done.Applied.Confirm == nil {
			t.Fatalf("%+v, %v", done, err)
		}
		if rows := w.history(); !strings.Contains(rows[0], "pending web: anna") {
			t.Errorf("%q", rows)
		}
		var refused *control.Error
		if _, err := v.EditConfig(e); !errors.As(err, &refused) || refused.Code != control.CodeOutdated {
			t.Errorf("an edit of the text before: %v", err)
		}
		w.clock.advance(5 * time.Minute)
		w.is(7, seven)
		if again, err := v.ConfigObjects("lsn", "pool"); err != nil || again.Base != pools.Base {
			t.Errorf("the text is another one: %v", err)
		}
	})
}

func TestAnEditThatIsWrongChangesNothing(t *testing.T) {
	eachKeeper(t, func(t *testing.T, w *windowed) {
		v := w.daemon.views
		pools, err := v.ConfigObjects("lsn", "pool")
		if err != nil {
			t.Fatal(err)
		}
		_, err = v.EditConfig(control.ConfigEdit{Base: pools.Base, Changes: poolEdit("nowhere"), Apply: true})
		if faults := configs.Faults(err); len(faults) != 1 || faults[0].Path != "lsn.pool.LSN-POOL-1.addresses[0]" || faults[0].Line == 0 {
			t.Errorf("%v", err)
		}
		var refused *control.Error
		_, err = v.EditConfig(control.ConfigEdit{Base: pools.Base, Changes: []configs.Change{{Path: []string{"a"}, Value: "1 2"}}, Apply: true})
		if !errors.As(err, &refused) || refused.Code != control.CodeBadRequest {
			t.Errorf("%v", err)
		}
		w.is(7, seven)
	})
}
