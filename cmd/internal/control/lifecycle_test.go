package control

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
)

func (b *fake) ConfirmConfig(by string) (ConfigConfirmed, error) {
	b.flushed = append(b.flushed, "confirm")
	if b.refuses != nil {
		return ConfigConfirmed{}, b.refuses
	}
	seven := uint64(7)
	return ConfigConfirmed{Path: "/overlay/spigate/running.toml", Sequence: &seven, Comment: "by " + by, Left: 250}, nil
}

func (b *fake) RollbackConfig(n int, _ string) (ConfigApplied, error) {
	b.flushed = append(b.flushed, fmt.Sprint("rollback ", n))
	if n > 1 {
		return ConfigApplied{}, NotFound("revision", fmt.Sprint(n))
	}
	return ConfigApplied{Applied: AppliedLive, Written: true, Path: "/overlay/spigate/running.toml"}, b.refuses
}

func (b *fake) ConfigHistory() ([]ConfigRevision, error) {
	zero, one := 0, 1
	return []ConfigRevision{{Number: &zero, By: "root", State: RevisionRunning, Size: 12}, {Number: &one, State: RevisionDamaged, Why: "it is empty"}}, b.refuses
}

func (b *fake) DiffConfig(text []byte, against string) (ConfigDiff, error) {
	return ConfigDiff{Same: text == nil, Text: fmt.Sprintf("%s against %s", text, against)}, b.refuses
}

func TestALifeOfAConfigurationGoesOverTheSocket(t *testing.T) {
	b := &fake{}
	c, _ := serve(t, b)
	done, err := c.ConfirmConfig(t.Context())
	if err != nil || *done.Sequence != 7 || done.Left != 250 || !strings.HasPrefix(done.Comment, "by ") || done.Comment == "by unknown" {
		t.Errorf("%+v, %v", done, err)
	}
	for _, n := range []int{RollbackLast, 0, 1} {
		if back, err := c.RollbackConfig(t.Context(), n); err != nil || !back.Written {
			t.Errorf("%+v, %v", back, err)
		}
	}
	if _, err := c.RollbackConfig(t.Context(), 2); !IsNotFound(err) {
		t.Errorf("%v", err)
	}
	if got := strings.Join(b.flushed, ","); got != "confirm,rollback -1,rollback 0,rollback 1,rollback 2" {
		t.Errorf("asked %s", got)
	}
	rows := collect(t, c.ConfigHistory(t.Context()))
	if len(rows) != 2 || *rows[1].Number != 1 || rows[1].Why != "it is empty" || rows[0].By != "root" {
		t.Errorf("%+v", rows)
	}
	diff, err := c.DiffConfig(t.Context(), []byte("new"), "3")
	if err != nil || diff.Same || diff.Text != "new against 3" {
		t.Errorf("%+v, %v", diff, err)
	}
	if diff, err := c.DiffConfig(t.Context(), nil, ""); err != nil || !diff.Same {
		t.Errorf("%+v, %v", diff, err)
	}
	b.refuses = &Error{"nothing waits", CodeNothingPending}
	if _, err := c.ConfirmConfig(t.Context()); err == nil || err.Error() != "nothing waits" {
		t.Errorf("%v", err)
	}
}

func TestALifeTakesOnlyWhatItUnderstands(t *testing.T) {
	b := &fake{}
	_, socket := serve(t, b)
	long := strings.Repeat("#", MaxConfig+1)
	for name, c := range map[string]struct {
		method, path, body string
		status             int
		says               string
	}{
		"looking at a confirmation":  {"GET", pathConfigConfirm, "", 405, "want POST"},
		"looking at a rollback":      {"GET", pathConfigRollback + "?number=1", "", 405, "want POST"},
		"posting a history":          {"POST", pathConfigHistory, "", 405, "want GET"},
		"a confirmation with a body": {"POST", pathConfigConfirm, "yes", 400, "body must be empty"},
		"a rollback with a body":     {"POST", pathConfigRollback, "number=1", 400, "body must be empty"},
		"a confirmation of another":  {"POST", pathConfigConfirm + "?number=1", "", 400, `"number" is not a parameter here`},
		"an unknown parameter":       {"POST", pathConfigRollback + "?nummer=1", "", 400, `"nummer" is not a parameter here`},
		"two numbers":                {"POST", pathConfigRollback + "?number=1&number=2", "", 400, "want one word"},
		"a number before all":        {"POST", pathConfigRollback + "?number=-1", "", 400, "want one of"},
		"a number that is none":      {"POST", pathConfigRollback + "?number=last", "", 400, "want one of"},
		"a number without end":       {"POST", pathConfigRollback + "?number=99999999999999999999", "", 400, "want one of"},
		"a number that is a text":    {"POST", pathConfigRollback + "?number=" + strings.Repeat("1", 41), "", 400, "at most 40 bytes"},
		"against a terminal":         {"POST", pathConfigDiff + "?against=%1b%5b2J", "a = 1", 400, "want one word"},
		"a filter of a history":      {"GET", pathConfigHistory + "?name=x", "", 400, "name"},
	} {
		status, _, body := raw(t, socket, c.method, c.path, strings.NewReader(c.body))
		var e Error
		if err := json.Unmarshal([]byte(body), &e); err != nil || status != c.status || !strings.Contains(e.Message, c.says) {
			t.Errorf("%s: %d %s, %v", name, status, body, err)
		}
	}
	w := httptest.NewRecorder()
	New(b, nil).handler().ServeHTTP(w, httptest.NewRequest("POST", pathConfigDiff, strings.NewReader(long)))
	if w.Code != 413 || !strings.Contains(w.Body.String(), "too large") {
		t.Errorf("a long one: %d %s", w.Code, w.Body)
	}
	if len(b.flushed) != 0 {
		t.Errorf("done: %q", b.flushed)
	}
}
