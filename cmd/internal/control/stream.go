package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// row is a type of this package that a view consists of.
type row interface{ passes(*Filter) bool }

// plain makes a view without filters out of a function that returns all rows.
func plain[T row](all func() []T) func(Filter) (iter.Seq[T], error) {
	return func(Filter) (iter.Seq[T], error) { return slices.Values(all()), nil }
}

// view answers a path that changes nothing. There are many kinds of rows, and
// the compiler makes the generic functions for each of them: what they share is
// in functions that are not generic.
func view[T row](s *Server, allowed []string, rows func(Filter) (iter.Seq[T], error)) http.Handler {
	return s.handle(http.MethodGet, allowed, func(f Filter, yield func(row) bool) error {
		seq, err := rows(f)
		if err != nil {
			return err
		}
		one := new(T) // for all rows: there may be a million
		shown := any(one).(row)
		seq(func(r T) bool {
			*one = r
			return yield(shown)
		})
		return nil
	})
}

// handle answers one path, for one method. rows gives its rows to yield until
// that returns false, or gives none and returns an error.
func (s *Server) handle(method string, allowed []string, rows func(f Filter, yield func(row) bool) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != method {
			w.Header().Set("Allow", method)
			refuse(w, http.StatusMethodNotAllowed, &Error{"method " + r.Method + " is not allowed here, want " + method, CodeMethod})
			return
		}
		out := &stallWriter{w: w, control: http.NewResponseController(w), stall: s.stall, long: s.long}
		defer out.leave()
		defer s.caught(r, out)
		f, err := parseFilter(r.URL.Query(), allowed)
		if err != nil {
			refuse(w, http.StatusBadRequest, &Error{err.Error(), CodeBadRequest})
			return
		}
		w.Header().Set("Content-Type", "application/json")
		e := &encoder{ctx: r.Context(), filter: &f, out: NewItemWriter(out)}
		if err := rows(f, e.add); err != nil {
			refuseError(w, err)
			return
		}
		out.ending = true
		if err := e.end(); err != nil {
			s.log.Debug("control: answer cut short", "path", r.URL.Path, "error", err)
			out.fail(err)
		}
	})
}

// encoder writes the rows that pass the filter, one at a time.
type encoder struct {
	ctx    context.Context
	filter *Filter
	out    *ItemWriter
	err    error
}

// add takes a row. It returns false if no more can be written.
func (e *encoder) add(r row) bool {
	// Whoever asked may be gone, also while no row passes the filter.
	if e.err = e.ctx.Err(); e.err == nil && r.passes(e.filter) {
		e.err = e.out.Add(r)
	}
	return e.err == nil
}

// end returns the first error.
func (e *encoder) end() error {
	if e.err != nil {
		return e.err
	}
	return e.out.End()
}

// stallWriter gives every piece of an answer its own time, so that a long
// answer may take long but a reader that has stopped does not keep it.
type stallWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	stall   time.Duration
	begun   bool
	ending  bool          // no piece comes after the next
	long    chan struct{} // places of the answers of more than one piece; nil: it needs none
	placed  bool
}

// tooMany refuses an answer of many pieces. Those who read slowly, or have stopped
// in a pager, keep the short answers from nobody.
func tooMany() *Error {
	return &Error{"as many long lists are being read as may be at a time: come again, or ask for less with a filter", CodeBusy}
}

func (s *stallWriter) Write(b []byte) (int, error) {
	if !s.begun && !s.ending && s.long != nil {
		select {
		case s.long <- struct{}{}:
			s.placed = true
		default:
			return 0, tooMany()
		}
	}
	stall := s.stall
	if !s.begun && s.ending {
		stall = min(stall, shortTimeout)
	}
	s.begun = true
	if err := s.control.SetWriteDeadline(time.Now().Add(stall)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, err
	}
	return s.w.Write(b)
}

// leave gives up the answer's place.
func (s *stallWriter) leave() {
	if s.placed {
		<-s.long
	}
}

// fail refuses an answer of which nothing has been written. An answer that has
// begun it breaks off, so that the reader sees that it is not whole.
func (s *stallWriter) fail(err error) {
	if s.begun {
		panic(http.ErrAbortHandler)
	}
	refuseError(s.w, err)
}

// caught turns a panic of a backend into an error for the one who asked.
func (s *Server) caught(r *http.Request, out *stallWriter) {
	p := recover()
	if p == nil {
		return
	}
	if p == http.ErrAbortHandler {
		panic(p)
	}
	s.log.Error("control: view failed", "path", r.URL.Path, "panic", fmt.Sprint(p))
	out.fail(&Error{"the view failed, see the daemon's log", CodeInternal})
}

// refuseError answers with what a backend returned.
func refuseError(w http.ResponseWriter, err error) {
	var e *Error
	switch {
	case !errors.As(err, &e):
		refuse(w, http.StatusInternalServerError, &Error{err.Error(), CodeInternal})
	case e.Code == CodeNotFound:
		refuse(w, http.StatusNotFound, e)
	case e.Code == CodeBusy:
		refuse(w, http.StatusServiceUnavailable, e)
	case e.Code == CodeInternal:
		refuse(w, http.StatusInternalServerError, e)
	default:
		refuse(w, http.StatusBadRequest, e)
	}
}

func refuse(w http.ResponseWriter, status int, e *Error) {
	body, err := json.Marshal(e)
	if err != nil { // two strings: cannot fail
		body = []byte(`{"error":"` + strconv.Itoa(status) + `","code":"` + CodeInternal + `"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(append(body, '\n'))
}
