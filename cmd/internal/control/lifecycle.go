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
	"strconv"
	"strings"
	"time"
	"unicode"
)

// The paths of a configuration's life after its apply.
const (
	pathConfigConfirm  = "/v1/config/confirm"
	pathConfigRollback = "/v1/config/rollback"
	pathConfigHistory  = "/v1/config/history"
	pathConfigDiff     = "/v1/config/diff"
)

// Bounds of ConfigNew.Confirm.
const (
	MinConfirm = time.Second
	MaxConfirm = 24 * time.Hour
)

// RollbackLast is the number of what ran well before: what an apply that waits
// for its confirmation has replaced, or else the newest revision that was for
// good.
const RollbackLast = -1

// Codes of refusals of a Lifecycle.
const (
	CodeNothingPending = "nothing_pending" // there is nothing to confirm
	CodeNeedsStart     = "needs_start"     // it could not be rolled back without a restart
)

// Lifecycle is the part of a Backend that knows what was applied before, and what
// waits for its confirmation.
type Lifecycle interface {
	// ConfirmConfig makes what was applied with ConfigNew.Confirm the
	// configuration for good. by is who asks. CodeNothingPending if none waits.
	ConfirmConfig(by string) (ConfigConfirmed, error)
	// RollbackConfig applies the revision of a number again, for good: 0 is the
	// confirmed one, 1 what that replaced, or RollbackLast. NotFound if there is
	// none of that number.
	RollbackConfig(n int, by string) (ConfigApplied, error)
	// ConfigHistory returns what is kept, the newest first.
	ConfigHistory() ([]ConfigRevision, error)
	// DiffConfig compares a text (nil: what runs) with one that is kept: "" or
	// "running" is what runs, "confirmed" what the next start takes, "candidate"
	// what was tried last, and a number that of a revision. Either text must be TOML.
	// It tells whether a secret is the same, so it is for those alone who may
	// change the configuration.
	DiffConfig(text []byte, against string) (ConfigDiff, error)
}

// ConfigSessions says what became of the sessions of a running router when it
// was given another configuration.
//
// Kept are those that go on as they were. Cleared are those that ended because
// what they need is gone: their group, NAT address, virtual server, policy or
// peer. Refused are those that ended although that is still there, for it takes
// them no more as they are: a pool that is divided anew, a destination that is
// exempt, a virtual server with other addresses, a tunnel with other proposals;
// the same hosts may get new ones at once.
//
// All are zero if nothing was applied live.
type ConfigSessions struct {
	Kept    uint64               `json:"kept"`
	Cleared uint64               `json:"cleared"`
	Refused uint64               `json:"refused"`
	Kinds   []ConfigSessionsKind `json:"kinds"` // of which there was one at least
}

// ConfigSessionsKind is the part of one kind in ConfigSessions.
type ConfigSessionsKind struct {
	Kind    string `json:"kind"` // lsn_session, ipsecalg_session, connection or ipsec_sa
	Kept    uint64 `json:"kept"`
	Cleared uint64 `json:"cleared"`
	Refused uint64 `json:"refused"`
}

// MarshalJSON implements json.Marshaler: no kinds are [], not null.
func (s ConfigSessions) MarshalJSON() ([]byte, error) {
	type fields ConfigSessions
	s.Kinds = present(s.Kinds)
	return json.Marshal(fields(s))
}

// Add counts sessions of a kind; a kind without any is left out.
func (s *ConfigSessions) Add(k ConfigSessionsKind) {
	if k.Kept+k.Cleared+k.Refused == 0 {
		return
	}
	s.Kept, s.Cleared, s.Refused = s.Kept+k.Kept, s.Cleared+k.Cleared, s.Refused+k.Refused
	s.Kinds = append(s.Kinds, k)
}

// ConfigConfirmed is the row that answers "config confirm".
type ConfigConfirmed struct {
	Path     string  `json:"path"` // where it is kept
	Sequence *uint64 `json:"sequence"`
	Comment  string  `json:"comment"`
	Left     Seconds `json:"confirm_seconds_left"` // there were so many more
}

// States of a ConfigRevision.
const (
	RevisionRunning    = "running"     // it runs, and the next start takes it
	RevisionPending    = "pending"     // it runs, and is rolled back unless it is confirmed
	RevisionConfirmed  = "confirmed"   // the next start takes it; another one runs now
	RevisionNextStart  = "next_start"  // the next start takes it; another one runs until then
	RevisionCandidate  = "candidate"   // it was tried last, and could not be applied
	RevisionPrevious   = "previous"    // it was the confirmed one once
	RevisionRolledBack = "rolled_back" // it was applied with a time to confirm, and rolled back
	RevisionReplaced   = "replaced"    // likewise, and another was applied before it was confirmed
	RevisionDamaged    = "damaged"     // the file cannot be read; Why says why
)

// ConfigRevision is a row of "config history".
type ConfigRevision struct {
	Number   *int    `json:"number"`   // for "config rollback"; null: it has none
	Sequence *uint64 `json:"sequence"` // grows with every apply; null: the file was not written by the router
	Time     *string `json:"time"`     // when it was applied, RFC 3339; null: not known
	By       string  `json:"by"`
	Comment  string  `json:"comment"`
	Size     uint64  `json:"size"`   // of the text, in bytes
	SHA256   string  `json:"sha256"` // of the text without its secrets, as "config show" prints it, in hex digits: nobody can try secrets against it
	State    string  `json:"state"`
	Why      string  `json:"why"` // of RevisionRolledBack and RevisionDamaged
}

// ConfigDiff is the row of "config diff".
type ConfigDiff struct {
	Same bool   `json:"same"` // byte for byte
	Text string `json:"text"` // what differs, as a unified diff, without secrets
}

func (ConfigRevision) passes(*Filter) bool  { return true }
func (ConfigDiff) passes(*Filter) bool      { return true }
func (ConfigApplied) passes(*Filter) bool   { return true }
func (ConfigConfirmed) passes(*Filter) bool { return true }

// ParseConfirm reads a time to confirm, within its bounds.
func ParseConfirm(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d < MinConfirm || d > MaxConfirm {
		return 0, fmt.Errorf("confirm %q: want a time from %s to %s, as 5m", text, Seconds(MinConfirm.Seconds()), Seconds(MaxConfirm.Seconds()))
	}
	return d, nil
}

// lifecycle adds the paths of a Lifecycle.
func (s *Server) lifecycle(mux *http.ServeMux) {
	mux.HandleFunc(pathConfigConfirm, s.posted(s.confirmConfig))
	mux.HandleFunc(pathConfigRollback, s.posted(s.rollbackConfig))
	mux.HandleFunc(pathConfigDiff, s.posted(s.diffConfig))
	mux.Handle(pathConfigHistory, view(s, nil, func(Filter) (iter.Seq[ConfigRevision], error) {
		rows, err := s.backend.ConfigHistory()
		return func(yield func(ConfigRevision) bool) {
			for _, r := range rows {
				if !yield(r) {
					return
				}
			}
		}, err
	}))
}

func (s *Server) confirmConfig(w http.ResponseWriter, r *http.Request, out io.Writer) {
	if _, ok := bare(w, r, ""); !ok {
		return
	}
	done, err := s.backend.ConfirmConfig(askedBy(r))
	s.changed(w, r, out, done, err)
}

func (s *Server) rollbackConfig(w http.ResponseWriter, r *http.Request, out io.Writer) {
	text, ok := bare(w, r, "number")
	if !ok {
		return
	}
	n, err := RollbackLast, error(nil)
	if text != "" {
		if n, err = strconv.Atoi(text); err != nil || n < 0 {
			refuse(w, http.StatusBadRequest, &Error{fmt.Sprintf("number %q: want one of \"config history\"", text), CodeBadRequest})
			return
		}
	}
	done, err := s.backend.RollbackConfig(n, askedBy(r))
	s.changed(w, r, out, done, err, "number", text)
}

func (s *Server) diffConfig(w http.ResponseWriter, r *http.Request, out io.Writer) {
	against, ok := parameter(w, r, "against")
	if !ok {
		return
	}
	text, err := readBody(w, r)
	if err != nil {
		return
	}
	if len(text) == 0 {
		text = nil
	}
	done, err := s.backend.DiffConfig(text, against)
	if err != nil {
		refuseError(w, err)
		return
	}
	s.answer(w, r, out, done)
}

// bare is parameter for a request without a body.
func bare(w http.ResponseWriter, r *http.Request, name string) (text string, ok bool) {
	if r.ContentLength != 0 {
		refuse(w, http.StatusBadRequest, &Error{"the body must be empty", CodeBadRequest})
		return "", false
	}
	return parameter(w, r, name)
}

// parameter returns the only parameter that a request may have, or has refused it.
func parameter(w http.ResponseWriter, r *http.Request, name string) (text string, ok bool) {
	for key, values := range r.URL.Query() {
		text = values[0]
		switch {
		case key != name:
			refuse(w, http.StatusBadRequest, &Error{fmt.Sprintf("%q is not a parameter here", key), CodeBadRequest})
			return "", false
		case len(values) > 1 || len(text) > 40 || strings.ContainsFunc(text, unicode.IsControl):
			refuse(w, http.StatusBadRequest, &Error{name + ": want one word of at most 40 bytes", CodeBadRequest})
			return "", false
		}
	}
	return text, true
}

// ConfirmConfig makes what was applied the configuration for good; see Lifecycle.
func (c *Client) ConfirmConfig(ctx context.Context) (ConfigConfirmed, error) {
	return post[ConfigConfirmed](ctx, c, pathConfigConfirm, nil, nil)
}

// RollbackConfig applies an earlier configuration; see Lifecycle.
func (c *Client) RollbackConfig(ctx context.Context, n int) (ConfigApplied, error) {
	q := url.Values{}
	if n != RollbackLast {
		q.Set("number", strconv.Itoa(n))
	}
	return post[ConfigApplied](ctx, c, pathConfigRollback, q, nil)
}

// ConfigHistory yields what is kept, the newest first.
func (c *Client) ConfigHistory(ctx context.Context) iter.Seq2[ConfigRevision, error] {
	return ask[ConfigRevision](ctx, c, pathConfigHistory, Filter{})
}

// DiffConfig compares texts; see Lifecycle.
func (c *Client) DiffConfig(ctx context.Context, text []byte, against string) (ConfigDiff, error) {
	q := url.Values{}
	if against != "" {
		q.Set("against", against)
	}
	if len(text) > MaxConfig {
		return ConfigDiff{}, tooLarge()
	}
	if text != nil && len(text) == 0 {
		return ConfigDiff{}, errors.New("the configuration is empty")
	}
	return post[ConfigDiff](ctx, c, pathConfigDiff, q, text)
}
