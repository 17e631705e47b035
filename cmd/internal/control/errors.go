package control

import (
	"errors"
	"fmt"
	"strings"

	"spigate/configs"
)

// Codes of an Error.
const (
	CodeNotFound    = "not_found"    // the named object does not exist
	CodeUnknownPath = "unknown_path" // the daemon does not have this view
	CodeMethod      = "method_not_allowed"
	CodeBadRequest  = "bad_request"
	CodeTooLarge    = "request_too_large"
	CodeBusy        = "busy"
	CodeInternal    = "internal"
)

// Error is a refusal, as it goes over the socket.
type Error struct {
	Message string `json:"error"`
	Code    string `json:"code"`
}

// Error implements error.
func (e *Error) Error() string { return e.Message }

// NotFound is what a Backend returns for a name in a filter that the
// configuration does not have. kind is the noun: "lsn client". Of the known
// names the nearest is suggested; if none is near, some are told.
func NotFound(kind, name string, known ...string) error {
	near := configs.DidYouMean(name, known)
	if near == "" {
		near = thereAre(known)
	}
	return &Error{Message: fmt.Sprintf("no %s %q%s", kind, name, near), Code: CodeNotFound}
}

// mostTold is how many names are told to somebody whose word is near none.
const mostTold = 5

// thereAre tells the first names of a list.
func thereAre(known []string) string {
	if len(known) == 0 {
		return ""
	}
	text := "; known: " + strings.Join(known[:min(len(known), mostTold)], ", ")
	if n := len(known) - mostTold; n > 0 {
		text += fmt.Sprintf(" and %d more", n)
	}
	return text
}

// IsNotFound reports whether err says that a named object does not exist.
func IsNotFound(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == CodeNotFound
}

// ErrNoDaemon is in the chain of an error of the Client when nobody listens
// on the socket.
var ErrNoDaemon = errors.New("is the daemon running? start it with: spigate run --config FILE")
