package metrics

import (
	"errors"
	"flag"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

var update = flag.Bool("update", false, "write the golden file anew")

// told is what the handlers of a house say.
type told struct {
	house    *house
	dead     error
	now      time.Time
	handlers map[string]http.Handler
}

func newTold() *told {
	to := &told{house: newHouse(), now: time.Unix(1000, 0)}
	to.handlers = New(Config{
		Backend: to.house, Alive: func() error { return to.dead }, Now: func() time.Time { return to.now },
		Process: func() Process { return Process{Heap: 11 << 20, Memory: 20 << 20, Goroutines: 30, Collections: 4} },
	})
	return to
}

func (to *told) ask(method, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	to.handlers[path].ServeHTTP(w, httptest.NewRequest(method, path, nil))
	return w
}

func (to *told) scrape(t *testing.T) string {
	t.Helper()
	w := to.ask(http.MethodGet, PathMetrics)
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != contentType {
		t.Fatalf("a scrape is %d, %v", w.Code, w.Header())
	}
	return w.Body.String()
}

func TestAScrapeAsItIs(t *testing.T) {
	const file = "testdata/scrape.txt"
	got := newTold().scrape(t)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

func TestPrometheusOwnLinterFindsNothingToSay(t *testing.T) {
	problems, err := promlint.New(strings.NewReader(newTold().scrape(t))).Lint()
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	if err != nil {
		t.Error(err)
	}
}

// labels are all that a metric may have: each has a bounded number of values.
var labels = map[string]bool{
	"version": true, "revision": true, "goversion": true, "goarch": true, // one value each
	"link": true, "port": true, "pool": true, "group": true, "vserver": true, "sink": true, "switch": true, "peer": true, // names of the configuration
	"td": true, "table": true, "helper": true, "kind": true, "state": true, "dir": true, "protocol": true, "path": true, // words of this program
	"reason": true, "result": true, "cause": true, "fault": true, "event": true,
}

func TestNoLabelIsAnAddressASubscriberOrAnSPI(t *testing.T) {
	for _, bad := range strayLabels(t, newTold().scrape(t)) {
		t.Error(bad)
	}
	const strange = "# HELP spigate_x_total X.\n# TYPE spigate_x_total counter\n"
	for _, sample := range []string{`{subscriber="a"}`, `{port="192.0.2.1"}`, `{port="192.0.2.1:500"}`, `{peer="gw/192.0.2.1"}`, `{port="192.0.2.0/24"}`, `{port="c3a1b2d4"}`} {
		if len(strayLabels(t, strange+"spigate_x_total"+sample+" 1\n")) != 1 {
			t.Errorf("%s passes", sample)
		}
	}
	if len(strayLabels(t, "# HELP other_total X.\n# TYPE other_total counter\nother_total 1\n")) != 1 {
		t.Error("a metric without our prefix passes")
	}
}

var spi = regexp.MustCompile(`^[0-9a-f]{8}$`)

// strayLabels says what of a scrape breaks the project's own rules.
func strayLabels(t *testing.T, scrape string) (bad []string) {
	t.Helper()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(scrape))
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range families {
		if !strings.HasPrefix(name, "spigate_") {
			bad = append(bad, name+" has not our prefix")
		}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if !labels[l.GetName()] || spi.MatchString(l.GetValue()) || hasAddress(l.GetValue()) {
					bad = append(bad, name+": label "+l.String())
				}
			}
		}
	}
	return bad
}

func hasAddress(value string) bool {
	for _, part := range strings.FieldsFunc(value, func(r rune) bool { return strings.ContainsRune("/: ", r) }) {
		if _, err := netip.ParseAddr(part); err == nil {
			return true
		}
	}
	return false
}

// A crowd of monitors costs what one costs: the counters are read once a second.
func TestHoweverManyAskTheCountersAreReadOnceASecond(t *testing.T) {
	to := newTold()
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() { to.ask(http.MethodGet, PathMetrics) })
	}
	all.Wait()
	first := to.scrape(t)
	if to.house.scans != 1 {
		t.Errorf("it was read %d times in a second", to.house.scans)
	}
	to.house.status.FastHits++
	if to.now = to.now.Add(999 * time.Millisecond); to.scrape(t) != first {
		t.Error("within a second the answer changed")
	}
	if to.now = to.now.Add(time.Millisecond); to.scrape(t) == first || to.house.scans != 2 {
		t.Errorf("after a second it is the same answer, or was read %d times", to.house.scans)
	}
	if to.now = to.now.Add(-time.Hour); len(to.scrape(t)) == 0 || to.house.scans != 3 {
		t.Error("a clock that was set back holds the counters still")
	}
}

func TestHealthAndReadinessAreOneWord(t *testing.T) {
	down := func(to *told) { to.house.status.Ports[1].Up = false }
	up := func(to *told) {
		for i := range to.house.status.Ports {
			to.house.status.Ports[i].Up = true
		}
	}
	for _, c := range []struct {
		name          string
		change        func(*told)
		health, ready int
	}{
		{"all is well", up, 200, 200},
		{"a port is down", down, 200, 503},
		{"it begins", func(to *told) { up(to); to.house.status.Ready = false }, 200, 503},
		{"a switch has failed", func(to *told) { up(to); to.house.status.FailedSwitches = []string{"sw0"} }, 200, 503},
		{"the router is stuck", func(to *told) { up(to); to.dead = errors.New("10.0.0.1 is stuck") }, 503, 503},
	} {
		to := newTold()
		c.change(to)
		for path, want := range map[string]int{PathHealth: c.health, PathReady: c.ready} {
			word := map[int]string{200: "ok\n", 503: "unavailable\n"}[want]
			if w := to.ask(http.MethodGet, path); w.Code != want || w.Body.String() != word {
				t.Errorf("%s: %s is %d %q, want %d", c.name, path, w.Code, w.Body, want)
			}
		}
	}
}

func TestOnlyLookingIsAllowed(t *testing.T) {
	to := newTold()
	for path := range to.handlers {
		for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, "BREW"} {
			if w := to.ask(method, path); w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD" {
				t.Errorf("%s %s is %d", method, path, w.Code)
			}
		}
	}
	if w := to.ask(http.MethodHead, PathMetrics); w.Code != http.StatusOK {
		t.Errorf("HEAD is %d", w.Code)
	}
}

func TestTheRuntimeTellsOfItself(t *testing.T) {
	if p := ReadProcess(); p.Heap == 0 || p.Memory < p.Heap || p.Goroutines == 0 {
		t.Errorf("it says %+v", p)
	}
}
