package wire

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"spigate/cmd/internal/control"
	"spigate/cmd/internal/metrics"
	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/lsn"
)

// reading is a scrape as Prometheus reads it.
type reading map[string]float64

// scraped reads /metrics of what v shows: "name{label=value,…}", labels in the
// order in which they are written.
func scraped(t *testing.T, v control.Backend) reading {
	t.Helper()
	w := httptest.NewRecorder()
	h := metrics.New(metrics.Config{Backend: v, Alive: func() error { return nil }})
	h[metrics.PathMetrics].ServeHTTP(w, httptest.NewRequest(http.MethodGet, metrics.PathMetrics, nil))
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	out := reading{}
	for name, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			out[name+"{"+strings.Join(labels, ",")+"}"] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return out
}

// What is scraped of a router with sessions is what its views show.
func TestMetricsAndViewsSayTheSame(t *testing.T) {
	o := newOperated(t)
	table, now := o.router.LSN(), o.router.Now()
	for host := range 5 {
		tup := lsn.Tuple{
			Proto: frame.ProtoUDP, Inside: frame.Endpoint{Addr: frame.Addr{192, 0, 2, byte(10 + host)}, Port: 5000},
			Remote: frame.Endpoint{Addr: frame.Addr{198, 51, 100, 9}, Port: 53},
		}
		plan, why := table.DecideOut(tup, lsn.Hints{Bytes: 60}, now)
		if why == drop.None {
			_, why = table.CommitOut(&plan, now)
		}
		if why != drop.None {
			t.Fatal(why)
		}
	}
	got := scraped(t, o.views)
	want := reading{}
	status, err := o.client.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want["spigate_flow_capacity{}"] = float64(status.FlowCapacity)
	for _, p := range status.Ports {
		want["spigate_link_frames_total{link="+p.Interface+",port="+p.Port+",dir=tx}"] = float64(p.TxFrames)
	}
	sessions := 0
	for range o.client.LSNSessions(t.Context(), control.Filter{}) {
		sessions++
	}
	want["spigate_nat_sessions{protocol=udp,td=0}"] = float64(sessions)
	want["spigate_nat_sessions_created_total{protocol=udp,td=0}"] = 5
	for p, err := range o.client.LSNPools(t.Context(), control.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		want["spigate_nat_pool_ports{pool="+p.Name+",protocol=udp,state=used}"] = float64(p.UsedUDP)
		want["spigate_nat_pool_ports{pool="+p.Name+",protocol=udp,state=free}"] = float64(p.Ports - p.UsedUDP)
	}
	for d, err := range o.client.Drops(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		want["spigate_drop_frames_total{reason="+d.Reason+"}"] = float64(d.Count)
	}
	for name, n := range want {
		if have, ok := got[name]; !ok || have != n {
			t.Errorf("%s is %v (%v), and the view says %v", name, have, ok, n)
		}
	}
	if sessions != 5 || len(want) < 100 {
		t.Errorf("%d sessions, and only %d values are compared", sessions, len(want))
	}
}

// leaping is a clock that is a second on whenever it is read.
func leaping() func() time.Time {
	at := time.Unix(0, 0)
	return func() time.Time { at = at.Add(time.Second); return at }
}

// BenchmarkScrape is what a scrape costs, of a router with 200,000 sessions.
func BenchmarkScrape(b *testing.B) {
	o := manySessions(b, 2000, 100)
	h := metrics.New(metrics.Config{Backend: o.views, Alive: func() error { return nil }, Now: leaping()})
	for b.Loop() {
		h[metrics.PathMetrics].ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, metrics.PathMetrics, nil))
	}
}
