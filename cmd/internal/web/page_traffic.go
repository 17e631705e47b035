//go:build !noweb

package web

import (
	"fmt"
	"iter"
	"net/url"
	"strconv"

	"spigate/cmd/internal/control"
)

// Bounds of what one page shows, and looks at to find it.
const (
	maxRows = 100
	maxWalk = 1 << 20
)

func (p *site) virtualsPage() page {
	return page{path: "/virtual", title: "Virtual servers", menu: "Traffic", template: "virtual", refresh: 10, get: p.virtuals}
}

// virtuals are BIG-IP's objects with their statistics.
type virtuals struct {
	Virtuals []control.LTMVirtual
	NATs     []control.LTMNAT
	SNATs    []control.LTMSNAT
}

func (p *site) virtuals(r *request) (any, error) {
	return virtuals{r.backend.LTMVirtuals(), r.backend.LTMNATs(), r.backend.LTMSNATs()}, nil
}

func (p *site) flowsPage() page {
	return page{path: "/flows", title: "Flows", menu: "Traffic", template: "flows", get: p.flows}
}

// flows is a page of the flow table.
type flows struct {
	Form url.Values
	Rows []control.Flow
	pager
}

func (p *site) flows(r *request) (any, error) {
	f, err := r.filter(control.FiltersOfFlow()...)
	if err != nil {
		return nil, err
	}
	rows, err := r.backend.Flows(f)
	if err != nil {
		return nil, err
	}
	out := flows{Form: r.Form}
	out.Rows, out.pager, err = onePage(r, control.Passing(f, rows))
	return out, err
}

// pager leads from one page of rows to the next.
type pager struct {
	First, Last int    // rows shown, from 1; both 0 if none are
	Back, Next  string // queries, "" at an end
}

// onePage takes the rows of a page. The table changes meanwhile: a row may be on
// two pages or on none.
func onePage[T any](r *request, rows iter.Seq[T]) (out []T, p pager, err error) {
	from := 0
	if text := r.value("from"); text != "" {
		if from, err = strconv.Atoi(text); err != nil || from < 0 || from > maxWalk {
			return nil, p, &control.Error{Message: fmt.Sprintf("from: %q is not the number of a row", text), Code: control.CodeBadRequest}
		}
	}
	at, more := 0, false
	for row := range rows {
		if at++; at <= from {
			continue
		}
		if len(out) == maxRows {
			more = true
			break
		}
		out = append(out, row)
	}
	if len(out) > 0 {
		p.First, p.Last = from+1, from+len(out)
	}
	if from > 0 {
		p.Back = pageQuery(r, max(0, from-maxRows))
	}
	if more {
		p.Next = pageQuery(r, from+maxRows)
	}
	return out, p, nil
}

func pageQuery(r *request, from int) string {
	q := url.Values{}
	for name, values := range r.URL.Query() {
		if len(values) == 1 && values[0] != "" {
			q[name] = values
		}
	}
	q.Set("from", strconv.Itoa(from))
	return "?" + q.Encode()
}
