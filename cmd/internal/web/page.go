//go:build !noweb

package web

import (
	"net/http"
	"strings"
	"time"

	"spigate/cmd/internal/control"
	"spigate/configs"
)

// page is one page of the site. To add one: a file with a method of site that
// returns it, a template in templates, and a line in pages.
type page struct {
	path     string // "/drops"; the whole of it
	title    string
	menu     string          // the group in the menu, "" for none
	template string          // file in templates, without .html; it defines "content"
	role     configs.WebRole // that is needed to look at it
	// refresh is after how many seconds a browser without JavaScript asks again;
	// 0: never. live is the path of a stream that replaces the part of the page in
	// its template "live", when it changes, looked at every so often; "": none.
	refresh int
	live    string
	every   time.Duration
	// get returns what the template shows as .Data.
	get func(*request) (any, error)
	// post does what a form of the page asks for, for admins alone unless anybody
	// is set. nil: there is no form.
	post   func(*request) (outcome, error)
	anyone bool
}

// pages are all pages, in the order of the menu.
func (p *site) pages() []page {
	return []page{
		p.overviewPage(),
		p.virtualsPage(),
		p.flowsPage(),
		p.poolsPage(),
		p.subscribersPage(),
		p.ipsecPage(),
		p.dropsPage(),
		p.explainPage(),
		p.portsPage(),
		p.editPage(),
		p.configPage(),
	}
}

// outcome is what became of a form. It leads to another page (or to the same one
// anew, so that going back or reloading sends nothing twice), or shows the
// form's page with other data.
type outcome struct {
	to     string // path, with a query
	notice string // that the next page begins with
	data   any    // if to is ""
}

// request is what a page is asked.
type request struct {
	*http.Request
	session *session
	backend control.Backend
	editor  control.Editor
}

// value is a field of the form or the query, without the spaces around it.
func (r *request) value(name string) string { return strings.TrimSpace(r.Form.Get(name)) }

// filter makes a filter of the fields that are set.
func (r *request) filter(names ...string) (f control.Filter, err error) {
	for _, name := range names {
		if text := r.value(name); text != "" {
			if err := f.Set(name, text); err != nil {
				return f, &control.Error{Message: err.Error(), Code: control.CodeBadRequest}
			}
		}
	}
	return f, nil
}
