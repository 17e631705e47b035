package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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

// view answers a path that changes nothing.
func view[T row](s *Server, allowed []string, rows func(Filter) (iter.Seq[T], error)) http.Handler {
	return handle(s, http.MethodGet, allowed, rows)
}

// handle answers one path, for one method.
func handle[T row](s *Server, method string, allowed []string, rows func(Filter) (iter.Seq[T], error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != method {
			w.Header().Set("Allow", method)
			refuse(w, http.StatusMethodNotAllowed, &Error{"method " + r.Method + " is not allowed here, want " + method, CodeMethod})
			return
		}
		out := &stallWriter{w: w, control: http.NewResponseController(w), stall: s.stall}
		defer s.caught(r, out)
		f, err := parseFilter(r.URL.Query(), allowed)
		if err != nil {
			refuse(w, http.StatusBadRequest, &Error{err.Error(), CodeBadRequest})
			return
		}
		seq, err := rows(f)
		if err != nil {
			refuseError(w, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if err := encode(r.Context(), out, seq, &f); err != nil {
			s.log.Debug("control: answer cut short", "path", r.URL.Path, "error", err)
			out.fail(&Error{err.Error(), CodeInternal})
		}
	})
}

// encode writes the rows that pass the filter, one at a time.
func encode[T row](ctx context.Context, out io.Writer, rows iter.Seq[T], f *Filter) error {
	w := NewItemWriter(out)
	for item := range rows {
		// Whoever asked may be gone, also while no row passes the filter.
		if err := ctx.Err(); err != nil {
			return err
		}
		if !item.passes(f) {
			continue
		}
		if err := w.Add(item); err != nil {
			return err
		}
	}
	return w.End()
}

// stallWriter gives every piece of an answer its own time, so that a long
// answer may take long but a reader that has stopped does not keep it.
type stallWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	stall   time.Duration
	begun   bool
}

func (s *stallWriter) Write(b []byte) (int, error) {
	s.begun = true
	if err := s.control.SetWriteDeadline(time.Now().Add(s.stall)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, err
	}
	return s.w.Write(b)
}

// fail refuses an answer of which nothing has been written. An answer that has
// begun it breaks off, so that the reader sees that it is not whole.
func (s *stallWriter) fail(e *Error) {
	if s.begun {
		panic(http.ErrAbortHandler)
	}
	refuse(s.w, http.StatusInternalServerError, e)
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
