//go:build !noweb

package web

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Bounds of streams: in all, of one session, and how long one lasts before the
// browser asks for it again, which is when it is looked at whether the session
// still is.
const (
	maxStreams       = 16
	maxStreamsOfOne  = 4
	streamLife       = 10 * time.Minute
	streamRetry      = 3000 // milliseconds until a browser asks again
	streamHeartbeats = 15   // looks without a change: then something is sent all the same
)

// stream is a part of a page that is sent anew whenever it changes.
type stream struct {
	page  string // that it belongs to
	every time.Duration
}

// liveTemplate is the part of a page's template that a stream sends.
const liveTemplate = "live"

// allStreams finds the pages that have one.
func (p *site) allStreams() map[string]stream {
	out := map[string]stream{}
	for _, page := range p.byPath {
		if page.live != "" {
			out[page.live] = stream{page.path, page.every}
		}
	}
	return out
}

// streams reports whether a path is one of a stream.
func (p *site) streams(path string) bool {
	_, ok := p.streamed[path]
	return ok
}

// stream sends a page's live part as server-sent events until the session ends,
// the browser goes, or its time is over.
func (p *site) stream(w http.ResponseWriter, r *http.Request, s stream) {
	o := p.sessionOf(r, false)
	if o == nil || r.Method != http.MethodGet {
		p.server.plain(w, http.StatusUnauthorized, "not logged in")
		return
	}
	leave, ok := p.enterStream(o)
	if !ok {
		w.Header().Set("Retry-After", "10")
		p.server.plain(w, http.StatusServiceUnavailable, "too many pages are watching")
		return
	}
	defer leave()
	w.Header().Set("Content-Type", "text/event-stream")
	out := http.NewResponseController(w)
	if err := out.SetReadDeadline(time.Time{}); err != nil { // the server's is for requests that end
		return
	}
	tick := time.NewTicker(s.every)
	defer tick.Stop()
	end := time.NewTimer(streamLife)
	defer end.Stop()
	fmt.Fprintf(w, "retry: %d\n\n", streamRetry)
	var last []byte
	for quiet := 0; ; quiet++ {
		text, err := p.live(&request{r, o, p.server.config.Backend, p.server.config.Editor}, s)
		if err != nil {
			return
		}
		if !bytes.Equal(text, last) || quiet >= streamHeartbeats {
			if err := out.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
				return
			}
			if _, err := w.Write(event(text)); err != nil || out.Flush() != nil {
				return
			}
			last, quiet = text, 0
		}
		select {
		case <-r.Context().Done():
			return
		case <-end.C:
			return
		case <-tick.C:
		}
		if p.sessionOf(r, false) == nil {
			return
		}
	}
}

// live renders a page's live part.
func (p *site) live(r *request, s stream) ([]byte, error) {
	page := p.byPath[s.page]
	data, err := page.get(r)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = page.template.ExecuteTemplate(&b, liveTemplate, view{Path: page.path, Token: r.session.token, Data: data})
	return b.Bytes(), err
}

// event is a text as an event: a line of data for each of its lines.
func event(text []byte) []byte {
	var b bytes.Buffer
	for line := range strings.Lines(string(text)) {
		b.WriteString("data: ")
		b.WriteString(strings.TrimRight(line, "\r\n"))
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
	return b.Bytes()
}

// enterStream counts a stream, unless there are too many.
func (p *site) enterStream(o *session) (leave func(), ok bool) {
	p.sessions.mu.Lock()
	defer p.sessions.mu.Unlock()
	if o.streams >= maxStreamsOfOne {
		return nil, false
	}
	select {
	case p.open <- struct{}{}:
	default:
		return nil, false
	}
	o.streams++
	return func() {
		p.sessions.mu.Lock()
		defer p.sessions.mu.Unlock()
		o.streams--
		<-p.open
	}, true
}
