package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"

	"spigate/configs"
)

// The paths of the daemon's own configuration.
const (
	pathConfig      = "/v1/config"
	pathConfigApply = "/v1/config/apply"
)

// MaxConfig bounds the text of a configuration, in bytes.
const MaxConfig = 1 << 20

// applyTimeout is how long an apply may take: flash is slow, and slower when it
// is nearly full.
const applyTimeout = 2 * time.Minute

// CodeConfigInvalid is the code of a refusal that has "faults" besides, a list of
// ConfigFinding.
const CodeConfigInvalid = "config_invalid"

// Configurer is the part of a Backend that keeps its configuration.
type Configurer interface {
	// ApplyConfig checks a configuration and makes it the daemon's, now and at its
	// next start. Faults (see configs.Faults) name the file ConfigNew.File. After an
	// error nothing has changed, unless it says so.
	ApplyConfig(n ConfigNew) (ConfigApplied, error)
	// ShowConfig returns what is kept in a slot, without its secrets; "" is what
	// runs. NotFound if there is no such slot.
	ShowConfig(slot string) (ConfigText, error)
}

// ConfigNew is a configuration that is to be applied.
type ConfigNew struct {
	File    string // where the operator has it, for messages
	Comment string // kept with it
	By      string // who asks, kept with it; over the socket it is the user at the other end
	Text    []byte

	// Confirm is how long the configuration may run without ConfirmConfig: when
	// that is over it is rolled back. 0: it is for good. Otherwise it is within
	// MinConfirm and MaxConfirm.
	Confirm time.Duration
}

// When a configuration takes effect.
const (
	AppliedLive      = "live"
	AppliedNextStart = "next_start"
)

// ConfigApplied is the row that answers "config apply".
type ConfigApplied struct {
	Applied  string          `json:"applied"`              // AppliedLive or AppliedNextStart
	Tables   Words           `json:"tables"`               // why not live: what differs in these is read at the start only
	Written  bool            `json:"written"`              // false: the next start would have found this text already
	Path     string          `json:"path"`                 // where it is kept
	Sequence *uint64         `json:"sequence"`             // of what was kept, as "config history" has it; null if nothing was written
	Confirm  *Seconds        `json:"confirm_seconds_left"` // it is rolled back then, unless it is confirmed; null: it is for good
	Sessions ConfigSessions  `json:"sessions"`
	Warnings []ConfigFinding `json:"warnings"`
}

// ConfigFinding is a fault or a warning, with its place.
type ConfigFinding struct {
	File string `json:"file"`
	Line int    `json:"line"`
	Col  int    `json:"col"`
	Path string `json:"path"`
	Text string `json:"text"`
}

// ConfigText is the row of "config show".
type ConfigText struct {
	Slot     *string `json:"slot"` // null: there are no slots, but a file
	Path     string  `json:"path"`
	Sequence *uint64 `json:"sequence"`
	Time     *string `json:"time"` // when it was applied, RFC 3339
	Comment  string  `json:"comment"`
	Text     string  `json:"text"` // without secrets
}

func (ConfigText) passes(*Filter) bool { return true }

// MarshalJSON implements json.Marshaler: no warnings are [], not null.
func (a ConfigApplied) MarshalJSON() ([]byte, error) {
	type fields ConfigApplied
	a.Warnings = present(a.Warnings)
	return json.Marshal(fields(a))
}

// config adds the paths of a Configurer.
func (s *Server) config(mux *http.ServeMux) {
	mux.Handle(pathConfig, view(s, []string{ByName}, func(f Filter) (iter.Seq[ConfigText], error) {
		text, err := s.backend.ShowConfig(f.Name)
		return slices.Values([]ConfigText{text}), err
	}))
	mux.HandleFunc(pathConfigApply, s.posted(s.applyConfig))
}

// posted answers a path that takes POST, by a function that does it all.
func (s *Server) posted(do func(w http.ResponseWriter, r *http.Request, out io.Writer)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		out := &stallWriter{w: w, control: http.NewResponseController(w), stall: s.stall}
		defer s.caught(r, out)
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			refuse(w, http.StatusMethodNotAllowed, &Error{"method " + r.Method + " is not allowed here, want POST", CodeMethod})
			return
		}
		do(w, r, out)
	}
}

// bodyLimit is how large a request's body may be.
func bodyLimit(path string) int64 {
	if path == pathConfigApply || path == pathConfigDiff {
		return MaxConfig
	}
	return maxBody
}

// applyConfig answers a configuration with a row. Whoever sent it may be gone
// before that: what has begun is done.
func (s *Server) applyConfig(w http.ResponseWriter, r *http.Request, out io.Writer) {
	n, err := parseNew(r.URL.Query())
	if err != nil {
		refuse(w, http.StatusBadRequest, &Error{err.Error(), CodeBadRequest})
		return
	}
	if n.Text, err = readBody(w, r); err != nil {
		return
	}
	n.By = askedBy(r)
	done, err := s.backend.ApplyConfig(n)
	if faults := configs.Faults(err); len(faults) > 0 {
		s.log.Info("control: operator", "path", pathConfigApply, "by", n.By, "file", n.File, "refused", len(faults))
		refuseFaults(w, faults)
		return
	}
	s.changed(w, r, out, done, err, "file", n.File, "comment", n.Comment)
}

// changed logs what an operator has done to the configuration, and answers with
// the row.
func (s *Server) changed(w http.ResponseWriter, r *http.Request, out io.Writer, done row, err error, asked ...any) {
	asked = append([]any{"path", r.URL.Path, "by", askedBy(r)}, asked...)
	if err != nil {
		s.log.Error("control: operator", append(asked, "error", strings.ReplaceAll(err.Error(), "\n", "; "))...)
		refuseError(w, err)
		return
	}
	s.log.Info("control: operator", append(asked, "done", inJSON(done))...)
	s.answer(w, r, out, done)
}

// answer writes one row.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, out io.Writer, done row) {
	w.Header().Set("Content-Type", "application/json")
	rows := NewItemWriter(out)
	if err := errors.Join(rows.Add(done), rows.End()); err != nil {
		s.log.Debug("control: answer cut short", "path", r.URL.Path, "error", err)
	}
}

// readBody reads a request's body, or has refused it. Its length is known and
// within its bound: the guard has seen to it.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	text := make([]byte, r.ContentLength)
	_, err := io.ReadFull(r.Body, text)
	if err != nil {
		refuse(w, http.StatusBadRequest, &Error{"the request's body: " + err.Error(), CodeBadRequest})
	}
	return text, err
}

func tooLarge() *Error {
	return &Error{fmt.Sprintf("the configuration has more than %d bytes", MaxConfig), CodeTooLarge}
}

// parseNew reads what stands beside the text.
func parseNew(q url.Values) (n ConfigNew, err error) {
	for name, values := range q {
		field, most := &n.File, 4096
		var confirm string
		switch name {
		case "file":
		case "comment":
			field, most = &n.Comment, 200
		case "confirm":
			field, most = &confirm, 40
		default:
			return n, fmt.Errorf("%q is not one of: file, comment, confirm", name)
		}
		*field = values[0]
		if len(values) > 1 || len(*field) > most || strings.ContainsFunc(*field, unicode.IsControl) {
			return n, fmt.Errorf("%s: want one text of at most %d bytes without control characters", name, most)
		}
		if name == "confirm" {
			if n.Confirm, err = ParseConfirm(confirm); err != nil {
				return n, err
			}
		}
	}
	if n.File == "" {
		return n, errors.New("file: a name for messages is missing")
	}
	return n, nil
}

// invalid is a refusal of a configuration.
type invalid struct {
	Error
	Faults []ConfigFinding `json:"faults"`
}

// maxFaults bounds how many faults a refusal has.
const maxFaults = 1000

func refuseFaults(w http.ResponseWriter, faults []configs.Fault) {
	e := invalid{Error: Error{fmt.Sprintf("the configuration has faults: %d", len(faults)), CodeConfigInvalid}}
	for _, f := range faults[:min(len(faults), maxFaults)] {
		e.Faults = append(e.Faults, ConfigFinding(f))
	}
	body, err := json.Marshal(e)
	if err != nil { // texts and numbers: cannot fail
		refuse(w, http.StatusUnprocessableEntity, &e.Error)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusUnprocessableEntity)
	w.Write(append(body, '\n'))
}

// err is the refusal as the error that configs.Faults takes apart.
func (i *invalid) err() error {
	if i.Code != CodeConfigInvalid || len(i.Faults) == 0 {
		return &i.Error
	}
	var errs []error
	for _, f := range i.Faults {
		errs = append(errs, configs.Fault(f))
	}
	return errors.Join(errs...)
}

// ApplyConfig sends a configuration; see Configurer. It waits until it is on
// flash.
func (c *Client) ApplyConfig(ctx context.Context, n ConfigNew) (ConfigApplied, error) {
	var out ConfigApplied
	if len(n.Text) > MaxConfig {
		return out, tooLarge()
	}
	q := url.Values{"file": {n.File}}
	if n.Comment != "" {
		q.Set("comment", n.Comment)
	}
	if n.Confirm != 0 {
		q.Set("confirm", n.Confirm.String())
	}
	return post[ConfigApplied](ctx, c, pathConfigApply, q, n.Text)
}

// post sends a body and takes the single row of the answer.
func post[T any](ctx context.Context, c *Client, path string, q url.Values, text []byte) (out T, err error) {
	if text == nil {
		text = []byte{} // a POST has a body
	}
	body, err := c.exchange(ctx, question{http.MethodPost, path + "?" + q.Encode(), text, applyTimeout})
	if err != nil {
		return out, err
	}
	defer body.Close()
	found := false
	err = decode(body, func(read func(any) error) (bool, error) {
		found = true
		return true, read(&out)
	})
	if err == nil && !found {
		err = errors.New("the answer has no item")
	}
	if err != nil {
		return out, fmt.Errorf("control socket %s: %w", c.socket, err)
	}
	return out, nil
}

// ShowConfig returns what is kept in a slot; see Configurer.
func (c *Client) ShowConfig(ctx context.Context, slot string) (ConfigText, error) {
	return one(ask[ConfigText](ctx, c, pathConfig, Filter{Name: slot}))
}
