package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// The paths of captures.
const (
	pathCapture    = "/v1/capture"
	pathCaptureEnd = "/v1/capture/end"
)

// What a capture has taken stands behind its last byte, in trailers.
const (
	trailerTaken = "Spigate-Taken"
	trailerLost  = "Spigate-Lost"
)

// Capturer is the part of a Backend that copies packets on their way.
type Capturer interface {
	// Capture writes the packets of Filter.Looking to out, in its format, until ctx
	// ends, out fails, EndCapture is called or what was asked for is there. An error
	// before the first Write refuses the question; CodeBusy if there are too many
	// captures. The first Write comes as soon as it has begun, with nothing to write
	// too: whoever asked waits for the answer's head, and the first packet may be far.
	Capture(ctx context.Context, f Filter, out io.Writer) (CaptureEnd, error)
	// EndCapture ends the capture with the id of Filter.Looking. NotFound if there is
	// none.
	EndCapture(f Filter) (CaptureEnd, error)
}

// CaptureEnd is what a capture has taken.
type CaptureEnd struct {
	Taken uint64 `json:"taken"`
	Lost  uint64 `json:"lost"` // for want of room: the reader was too slow
}

func (CaptureEnd) passes(*Filter) bool { return true }

// CapturedPacket is one packet in FormatRows.
type CapturedPacket struct {
	At     time.Time `json:"at"`
	Point  string    `json:"point"`
	In     string    `json:"in"`  // VLAN or tunnel; "": not known
	Out    string    `json:"out"` // "": it does not leave, or not yet
	Length int       `json:"length"`
	Frame  bool      `json:"frame"`  // the length is that of its frame, not of the IPv4 packet
	Packet string    `json:"packet"` // as Summary has it
	Reason *string   `json:"reason"` // of what was dropped
}

// FiltersOfCapture returns what "capture" takes.
func FiltersOfCapture() []string {
	return []string{ByLook, ByLink, ByVLAN, ByPoint, ByCount, BySeconds, BySnaplen, ByFormat}
}

// captures are the paths of a Capturer.
func (s *Server) captures(mux *http.ServeMux) {
	mux.HandleFunc(pathCapture, s.capture)
	mux.Handle(pathCaptureEnd, operation(s, pathCaptureEnd, []string{ByID}, s.backend.EndCapture))
}

// capture streams one.
func (s *Server) capture(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", http.MethodGet)
		refuse(w, http.StatusMethodNotAllowed, &Error{"method " + r.Method + " is not allowed here, want GET", CodeMethod})
		return
	}
	out := &liveWriter{stallWriter{w: w, control: http.NewResponseController(w), stall: s.stall}}
	defer s.caught(r, &out.stallWriter)
	f, err := parseFilter(r.URL.Query(), append(FiltersOfCapture(), ByID, ByMatch))
	if err != nil {
		refuse(w, http.StatusBadRequest, &Error{err.Error(), CodeBadRequest})
		return
	}
	// The server's patience with requests would end the answer, too.
	if err := out.control.SetReadDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		refuse(w, http.StatusInternalServerError, &Error{err.Error(), CodeInternal})
		return
	}
	w.Header().Set("Trailer", trailerTaken+", "+trailerLost)
	w.Header().Set("Content-Type", contentType(f.Looking.Format))
	end, err := s.backend.Capture(r.Context(), f, out)
	switch {
	case err != nil && !out.begun:
		w.Header().Del("Trailer")
		refuseError(w, err)
		return
	case err != nil:
		s.log.Debug("control: capture cut short", "error", err)
	default:
		// The last packet may be long ago, and the time of its piece over: what
		// stands behind it is a piece of its own.
		_, _ = out.Write(nil)
	}
	w.Header().Set(trailerTaken, strconv.FormatUint(end.Taken, 10))
	w.Header().Set(trailerLost, strconv.FormatUint(end.Lost, 10))
}

func contentType(format string) string {
	switch format {
	case FormatRows:
		return "application/x-ndjson"
	case FormatPcap:
		return "application/vnd.tcpdump.pcap"
	}
	return "application/x-pcapng"
}

// liveWriter passes on at once what is written: somebody looks at it. The first
// time that is the head of the answer too, also with nothing behind it.
type liveWriter struct{ stallWriter }

func (l *liveWriter) Write(b []byte) (int, error) {
	n, err := l.stallWriter.Write(b)
	if err == nil {
		err = l.control.Flush()
	}
	return n, err
}

// Capture writes what the daemon captures to w, until one of them ends it or ctx
// does. The end is what the daemon tells behind the last byte; it is zero if the
// answer was cut short, which is an error.
func (c *Client) Capture(ctx context.Context, f Filter, w io.Writer) (CaptureEnd, error) {
	response, err := c.respond(ctx, question{method: http.MethodGet, target: pathCapture + "?" + f.Values().Encode(), patience: headerTimeout})
	if err != nil {
		return CaptureEnd{}, err
	}
	defer response.Body.Close()
	if _, err := io.Copy(w, response.Body); err != nil {
		return CaptureEnd{}, err
	}
	taken, err1 := strconv.ParseUint(response.Trailer.Get(trailerTaken), 10, 64)
	lost, err2 := strconv.ParseUint(response.Trailer.Get(trailerLost), 10, 64)
	if err1 != nil || err2 != nil {
		return CaptureEnd{}, fmt.Errorf("control socket %s: %w", c.socket, notWhole(nil))
	}
	return CaptureEnd{taken, lost}, nil
}

// CapturePackets is Capture in rows, each given to fn. An error of fn ends it.
func (c *Client) CapturePackets(ctx context.Context, f Filter, fn func(CapturedPacket) error) (CaptureEnd, error) {
	f.Looking.Format = FormatRows
	r, w := io.Pipe()
	decoded := make(chan error, 1)
	go func() {
		err := decodeLines(r, fn)
		r.CloseWithError(err)
		decoded <- err
	}()
	end, err := c.Capture(ctx, f, w)
	w.CloseWithError(io.EOF)
	if why := <-decoded; why != nil {
		err = why
	}
	return end, err
}

func decodeLines(r io.Reader, fn func(CapturedPacket) error) error {
	for dec := json.NewDecoder(r); ; {
		var p CapturedPacket
		switch err := dec.Decode(&p); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if err := fn(p); err != nil {
			return err
		}
	}
}

// EndCapture ends the capture with an id: its answer then comes to its end, with
// its statistics.
func (c *Client) EndCapture(ctx context.Context, id string) error {
	_, err := one(rowsOf[CaptureEnd](ctx, c, http.MethodPost, pathCaptureEnd, Filter{Looking: Looking{ID: id}}))
	return err
}
