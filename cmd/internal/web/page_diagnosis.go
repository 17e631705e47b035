//go:build !noweb

package web

import (
	"cmp"
	"net/url"
	"slices"
	"strings"

	"spigate/cmd/internal/control"
)

func (p *site) dropsPage() page {
	return page{path: "/drops", title: "Drops", menu: "Diagnosis", template: "drops", refresh: 10, get: p.drops}
}

// drops are the reasons for which packets died, and those for which none has.
type drops struct {
	Seen, Never []control.Drop
	Total       uint64
}

func (p *site) drops(r *request) (any, error) {
	var out drops
	for _, d := range r.backend.Drops() {
		if d.Count == 0 {
			out.Never = append(out.Never, d)
			continue
		}
		out.Seen = append(out.Seen, d)
		out.Total += d.Count
	}
	slices.SortStableFunc(out.Seen, func(a, b control.Drop) int {
		return cmp.Or(cmp.Compare(b.Rate, a.Rate), cmp.Compare(b.Count, a.Count))
	})
	return out, nil
}

func (p *site) explainPage() page {
	return page{path: "/explain", title: "Explain a packet", menu: "Diagnosis", template: "explain", get: p.explain}
}

// explain is the form with the last question, and its answer.
type explain struct {
	Form     url.Values
	VLANs    []string
	Protocol string
	Why      string // the question cannot be asked
	Answer   *control.Explained
	Command  string // that asks the same
}

func (p *site) explain(r *request) (any, error) {
	out := explain{Form: r.Form, Protocol: cmp.Or(r.value("protocol"), "udp")}
	for _, v := range r.backend.VLANs() {
		out.VLANs = append(out.VLANs, v.Name)
	}
	for _, s := range r.backend.NetIPsecSelectors() {
		if t := s.Tunnel; t != nil && !slices.Contains(out.VLANs, *t) {
			out.VLANs = append(out.VLANs, *t)
		}
	}
	if r.value("source") == "" && r.value("destination") == "" {
		return out, nil // nothing has been asked
	}
	f, err := r.filter(control.ByIn, control.ByFlags, control.ByTTL, control.BySize, control.ByDF, control.ByUnsealed, control.ByTD)
	if err == nil {
		err = f.Set(control.ByFrame, frameOf(r))
	}
	if err == nil {
		var answer control.Explained
		if answer, err = r.backend.Explain(f); err == nil {
			out.Answer = &answer
			out.Command = command(f)
		}
	}
	if err != nil {
		out.Why = err.Error()
	}
	return out, nil
}

// frameOf joins the fields of the form to what control.ParseFrame takes.
func frameOf(r *request) string {
	protocol, more := r.value("protocol"), ""
	source, destination := r.value("source"), r.value("destination")
	switch protocol {
	case "tcp", "udp":
		source, destination = source+":"+r.value("source_port"), destination+":"+r.value("destination_port")
	case "esp":
		more = "," + r.value("spi")
	case "icmp", "icmp-reply":
		if id := r.value("id"); id != "" {
			more = "," + id
		}
	case "other":
		protocol = r.value("number")
	}
	return protocol + "," + source + "," + destination + more
}

// command is how the same is asked on the command line.
func command(f control.Filter) string {
	words := []string{"spigate explain --in", f.Question.In, "--frame", f.Question.Frame.String()}
	for name, values := range f.Values() {
		if name != control.ByIn && name != control.ByFrame {
			words = append(words, "--"+strings.ReplaceAll(name, "_", "-")+"="+values[0])
		}
	}
	slices.Sort(words[4:])
	return strings.Join(words, " ")
}
