package wire

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"spigate/cmd/internal/control"
	"spigate/netstack/capture"
	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/link"
)

// capturing is the captures that are under way, by the id that whoever asked for
// them has given them.
type capturing struct {
	mu    sync.Mutex
	under map[string]*capture.Capture
}

// begin keeps a capture until forget is called.
func (c *capturing) begin(id string, k *capture.Capture) (forget func(), err error) {
	if id == "" {
		return func() {}, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.under[id] != nil {
		return nil, badRequest(fmt.Sprintf("there is a capture with the id %q", id))
	}
	if c.under == nil {
		c.under = map[string]*capture.Capture{}
	}
	c.under[id] = k
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.under, id)
	}, nil
}

func (c *capturing) of(id string) *capture.Capture {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.under[id]
}

// EndCapture implements control.Capturer.
func (v *views) EndCapture(f control.Filter) (control.CaptureEnd, error) {
	k := v.capturing.of(f.Looking.ID)
	if k == nil {
		return control.CaptureEnd{}, control.NotFound("capture", f.Looking.ID)
	}
	v.chassis.EndCapture(k)
	return endOf(k), nil
}

func endOf(k *capture.Capture) control.CaptureEnd {
	s := k.Stats()
	return control.CaptureEnd{Taken: s.Taken, Lost: s.Lost}
}

// Capture implements control.Capturer.
func (v *views) Capture(ctx context.Context, f control.Filter, out io.Writer) (control.CaptureEnd, error) {
	c, err := v.captureConfig(&f.Looking)
	if err != nil {
		return control.CaptureEnd{}, err
	}
	k, err := v.chassis.BeginCapture(c)
	if errors.Is(err, capture.ErrBusy) {
		err = &control.Error{Message: err.Error(), Code: control.CodeBusy}
	}
	if err != nil {
		return control.CaptureEnd{}, err
	}
	defer v.chassis.EndCapture(k)
	forget, err := v.capturing.begin(f.Looking.ID, k)
	if err != nil {
		return control.CaptureEnd{}, err
	}
	defer forget()
	if f.Looking.Seconds > 0 {
		end := time.AfterFunc(time.Duration(f.Looking.Seconds)*time.Second, func() { v.chassis.EndCapture(k) })
		defer end.Stop()
	}
	err = v.stream(ctx, k, v.captureFormat(&f.Looking), out)
	return endOf(k), err
}

// captureConfig is what a question asks for.
func (v *views) captureConfig(l *control.Looking) (c capture.Config, err error) {
	if c.Filter, err = v.expression(l.Match); err != nil {
		return c, err
	}
	if c.Points, err = capture.ParsePoints(l.Points); err != nil {
		return c, badRequest(err.Error())
	}
	c.Count, c.Snap, c.Port = l.Count, l.Snaplen, l.Link
	var ports, vlans []string
	for _, i := range v.chassis.Counters() {
		ports, vlans = append(ports, i.Port), append(vlans, i.Name)
		if l.VLAN == i.Name || l.VLAN == "" && l.Link == i.Port {
			c.VLANs = append(c.VLANs, frame.Interface(i.ID))
		}
	}
	switch {
	case l.VLAN != "" && l.Link != "":
		return c, badRequest("a VLAN is on one port: want --link or --vlan")
	case l.VLAN != "" && c.VLANs == nil:
		return c, control.NotFound("VLAN", l.VLAN, vlans...)
	case l.Link != "" && c.VLANs == nil:
		return c, control.NotFound("port with a VLAN", l.Link, ports...)
	}
	return c, nil
}

// captureFormat writes what a capture takes.
type captureFormat interface {
	begin(b *bytes.Buffer)
	record(b *bytes.Buffer, r *capture.Record)
	end(b *bytes.Buffer, s capture.Stats, now int64)
}

func (v *views) captureFormat(l *control.Looking) captureFormat {
	epoch := time.Now().UnixNano() - v.chassis.Now()
	switch l.Format {
	case control.FormatRows:
		return &rowFormat{v, epoch}
	case control.FormatPcap:
		return &pcapFormat{epoch: epoch}
	}
	name := func(r *capture.Record) string { return v.chassis.InterfaceName(r.Interface()) }
	return &ngFormat{capture.Pcapng{Application: "spigate", Name: name, Epoch: epoch, Snap: l.Snaplen}}
}

// mostWritten is how many bytes are written to a reader at once, about.
const mostWritten = 64 << 10

// stream writes a capture until it ends, or whoever reads it has gone.
func (v *views) stream(ctx context.Context, k *capture.Capture, to captureFormat, out io.Writer) error {
	var b bytes.Buffer
	to.begin(&b)
	if err := write(&b, out); err != nil { // also of nothing: it says that the capture has begun
		return err
	}
	for {
		if err := drain(k, to, &b, out); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-k.Ready():
		case <-k.Ended():
			if err := drain(k, to, &b, out); err != nil {
				return err
			}
			to.end(&b, k.Stats(), v.chassis.Now())
			return flush(&b, out)
		}
	}
}

// drain writes what a capture has, and what is in b.
func drain(k *capture.Capture, to captureFormat, b *bytes.Buffer, out io.Writer) error {
	var failed error
	k.Take(func(r *capture.Record) {
		if to.record(b, r); b.Len() > mostWritten && failed == nil {
			failed = flush(b, out)
		}
	})
	if failed != nil {
		return failed
	}
	return flush(b, out)
}

func flush(b *bytes.Buffer, out io.Writer) error {
	if b.Len() == 0 {
		return nil
	}
	return write(b, out)
}

func write(b *bytes.Buffer, out io.Writer) error {
	_, err := out.Write(b.Bytes())
	b.Reset()
	return err
}

type ngFormat struct{ capture.Pcapng }

func (n *ngFormat) begin(b *bytes.Buffer) { b.Write(n.Begin(nil)) }

func (n *ngFormat) record(b *bytes.Buffer, r *capture.Record) { b.Write(n.Record(nil, r)) }

func (n *ngFormat) end(b *bytes.Buffer, s capture.Stats, now int64) { b.Write(n.End(nil, s, now)) }

// pcapFormat is the classic one: frames alone.
type pcapFormat struct {
	epoch int64
	w     *link.PcapWriter
}

// begin and record write into a buffer, which cannot fail.
func (p *pcapFormat) begin(b *bytes.Buffer) { p.w, _ = link.NewPcapWriter(b) }

func (p *pcapFormat) record(_ *bytes.Buffer, r *capture.Record) {
	data, length := r.Ether()
	_ = p.w.WriteCut(p.epoch+r.At, data, length)
}

func (*pcapFormat) end(*bytes.Buffer, capture.Stats, int64) {}

// rowFormat is for people and scripts.
type rowFormat struct {
	v     *views
	epoch int64
}

func (*rowFormat) begin(*bytes.Buffer) {}

func (f *rowFormat) record(b *bytes.Buffer, r *capture.Record) {
	data, length := r.Tagged()
	row := control.CapturedPacket{
		At: time.Unix(0, f.epoch+r.At).UTC(), Point: r.Point.String(), In: f.v.chassis.InterfaceName(r.In), Out: f.v.chassis.InterfaceName(r.Out),
		Length: length, Frame: r.Frame, Packet: control.Summary(data),
	}
	if r.Reason != drop.None {
		word := r.Reason.Info().Word
		row.Reason = &word
	}
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	_ = e.Encode(row) // words, numbers and a time: cannot fail
}

func (*rowFormat) end(*bytes.Buffer, capture.Stats, int64) {}
