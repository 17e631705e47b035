package control

import (
	"context"
	"iter"
	"net/http"
)

// Doctor is the part of a Backend that looks the router over.
type Doctor interface {
	// Doctor returns the tree of checks: each part of the router, with what
	// belongs to it behind it.
	Doctor() []Check
}

const pathDoctor = "/v1/doctor"

// What a check found.
const (
	CheckOK   = "ok"
	CheckWarn = "warn" // it works, but will not for long, or not as it should
	CheckFail = "fail" // it does not work
)

// Check is a row of "doctor". A row without a name is a part of the router as a
// whole, and as bad as the worst of its own rows, which follow it.
type Check struct {
	Part  string  `json:"part"`
	Name  *string `json:"name"` // of the object that was looked at; null: the part as a whole
	State string  `json:"state"`
	Found string  `json:"found"`
	Do    *string `json:"do"` // what to do next; null: nothing
}

func (Check) passes(*Filter) bool { return true }

// doctor adds the path of Doctor.
func (s *Server) doctor(mux *http.ServeMux) {
	mux.Handle(pathDoctor, view(s, nil, plain(func() []Check { return s.backend.Doctor() })))
}

// Doctor yields the tree of checks.
func (c *Client) Doctor(ctx context.Context) iter.Seq2[Check, error] {
	return ask[Check](ctx, c, pathDoctor, Filter{})
}
