package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"net/url"
	"os/user"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"spigate/configs"
)

func (b *fake) ApplyConfig(n ConfigNew) (ConfigApplied, error) {
	b.applied = append(b.applied, n)
	if b.refuses != nil {
		return ConfigApplied{}, b.refuses
	}
	seven := uint64(7)
	return ConfigApplied{Applied: AppliedLive, Written: true, Path: "/overlay/spigate/running.toml", Sequence: &seven,
		Warnings: []ConfigFinding{{n.File, 3, 1, "lsn.pool.P", "is used by nobody"}}}, nil
}

func (b *fake) ShowConfig(slot string) (ConfigText, error) {
	if slot != "" && slot != "running" {
		return ConfigText{}, NotFound("slot", slot, "running")
	}
	return ConfigText{Path: "p", Text: strings.Repeat("\x00<&>", MaxConfig/4)}, nil
}

func TestAConfigurationGoesToTheDaemonAsItIs(t *testing.T) {
	b := &fake{}
	c, _ := serve(t, b)
	all := make([]byte, MaxConfig)
	for i := range all {
		all[i] = byte(i)
	}
	sent := ConfigNew{File: "dir/new & old=1.toml", Comment: "für später?", Text: all, Confirm: 90 * time.Second, By: "somebody else"}
	done, err := c.ApplyConfig(t.Context(), sent)
	// Who asks is not what they say.
	me, bad := user.Current()
	if bad != nil {
		t.Fatal(bad)
	}
	sent.By = me.Username
	if err != nil || done.Applied != AppliedLive || *done.Sequence != 7 || len(done.Warnings) != 1 || done.Warnings[0].File != sent.File || len(done.Tables) > 0 {
		t.Errorf("%+v, %v", done, err)
	}
	if diff := cmp.Diff([]ConfigNew{sent}, b.applied); diff != "" {
		t.Error("it came as something else")
	}
	if _, err := c.ApplyConfig(t.Context(), ConfigNew{File: "f", Text: append(all, 0)}); err == nil || !strings.Contains(err.Error(), "more than 1048576 bytes") {
		t.Errorf("too much: %v", err)
	}
}

func TestFaultsOfAConfigurationComeWithTheirPlaces(t *testing.T) {
	b := &fake{}
	var faults []error
	for i := range 1200 {
		faults = append(faults, configs.Fault{File: "new.toml", Line: i + 1, Col: 2, Path: "lsn.pool." + strings.Repeat("P", 60), Text: "is wrong"})
	}
	b.refuses = errors.Join(faults...)
	c, _ := serve(t, b)
	_, err := c.ApplyConfig(t.Context(), ConfigNew{File: "new.toml", Text: []byte("a")})
	got := configs.Faults(err)
	if len(got) != maxFaults || got[0].Error() != faults[0].Error() || got[999].Error() != faults[999].Error() {
		t.Errorf("%d faults", len(got))
	}
	for code, refusal := range map[string]error{
		CodeBusy:     &Error{"another one", CodeBusy},
		CodeNotFound: NotFound("slot", "x"),
		CodeInternal: fmt.Errorf("slot candidate: the flash is full"),
	} {
		b.refuses = refusal
		_, err := c.ApplyConfig(t.Context(), ConfigNew{File: "new.toml", Text: []byte("a")})
		var e *Error
		if !errors.As(err, &e) || e.Code != code || e.Message != refusal.Error() {
			t.Errorf("%v, want %v", err, refusal)
		}
	}
}

func TestAConfigurationThatIsNotSentProperlyIsNotApplied(t *testing.T) {
	b := &fake{}
	_, socket := serve(t, b)
	for name, c := range map[string]struct {
		method, path, body string
		status             int
		says               string
	}{
		"looking":            {"GET", pathConfigApply + "?file=a", "", 405, "want POST"},
		"posting a view":     {"POST", pathConfig, "", 405, "want GET"},
		"without a name":     {"POST", pathConfigApply, "version = 1", 400, "a name for messages is missing"},
		"unknown parameter":  {"POST", pathConfigApply + "?file=a&conform=5m", "version = 1", 400, `"conform" is not one of`},
		"no time to confirm": {"POST", pathConfigApply + "?file=a&confirm=0s", "version = 1", 400, "want a time from 1s to 24h"},
		"one in the past":    {"POST", pathConfigApply + "?file=a&confirm=-5m", "version = 1", 400, "want a time from"},
		"a year":             {"POST", pathConfigApply + "?file=a&confirm=8760h", "version = 1", 400, "want a time from"},
		"more than that":     {"POST", pathConfigApply + "?file=a&confirm=99999999999h", "version = 1", 400, "want a time from"},
		"a word":             {"POST", pathConfigApply + "?file=a&confirm=soon", "version = 1", 400, "want a time from"},
		"an empty time":      {"POST", pathConfigApply + "?file=a&confirm=", "version = 1", 400, "want a time from"},
		"a name twice":       {"POST", pathConfigApply + "?file=a&file=b", "version = 1", 400, "one text"},
		"a terminal's name":  {"POST", pathConfigApply + "?file=" + url.QueryEscape("a\x1b[2J"), "version = 1", 400, "control characters"},
		"a long comment":     {"POST", pathConfigApply + "?file=a&comment=" + strings.Repeat("c", 201), "version = 1", 400, "at most 200"},
		"below":              {"POST", pathConfigApply + "/now?file=a", "version = 1", 404, "no such"},
	} {
		status, _, body := raw(t, socket, c.method, c.path, strings.NewReader(c.body))
		var e Error
		if err := json.Unmarshal([]byte(body), &e); err != nil || status != c.status || !strings.Contains(e.Message, c.says) {
			t.Errorf("%s: %d %s, %v", name, status, body, err)
		}
	}
	long := strings.Repeat("#", MaxConfig+1)
	w := httptest.NewRecorder()
	New(b, nil).handler().ServeHTTP(w, httptest.NewRequest("POST", pathConfigApply+"?file=a", strings.NewReader(long)))
	if w.Code != 413 || !strings.Contains(w.Body.String(), "too large") {
		t.Errorf("a long one: %d %s", w.Code, w.Body)
	}
	if len(b.applied) != 0 {
		t.Errorf("applied %d", len(b.applied))
	}
}

func TestTheLongestConfigurationCanBeShown(t *testing.T) {
	c, _ := serve(t, &fake{})
	got, err := c.ShowConfig(t.Context(), "")
	if err != nil || len(got.Text) != MaxConfig {
		t.Errorf("%d bytes, %v", len(got.Text), err)
	}
	if _, err := c.ShowConfig(t.Context(), "runing"); !IsNotFound(err) || !strings.Contains(err.Error(), `did you mean "running"`) {
		t.Errorf("%v", err)
	}
}
