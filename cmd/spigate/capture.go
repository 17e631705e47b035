package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"spigate/cmd/internal/control"
)

// Copies of live packets.

// catcher is one run of "capture".
type catcher struct {
	*app
	socket string
	file   string
	filter control.Filter
}

// newCapture makes "capture".
func (a *app) newCapture() *cobra.Command {
	c := &catcher{app: a}
	cmd := &cobra.Command{
		Use: "capture", Short: "Copy packets on their way, to look at or into a capture file",
		Long: "Copies packets at the points that they pass: received, before and after their\n" +
			"translation, sent, and dropped with the reason. With -w they are written as\n" +
			"pcapng, which Wireshark and tshark read: an interface for each point and VLAN,\n" +
			"and the reason of a drop as the packet's comment. Without, a line is printed\n" +
			"for each; with --json, an object.\n\n" +
			"It goes on until it is interrupted, or for --count or --seconds. A packet that\n" +
			"was chosen once is followed to its later points, where its addresses are\n" +
			"others. If whoever reads is too slow, packets are lost, and in the end the\n" +
			"number is told; the router never waits. What the TCP/IP stack drops for its own\n" +
			"reasons (stack_…) is not seen as dropped: \"trace\" tells.\n\n" +
			expressionHelp + "\n" + offloadHelp,
		Example: exampleText(`capture --vlan wan --filter "host 198.51.100.9 and esp"`,
			`capture --filter "host 192.0.2.11" --point dropped --seconds 60`,
			`capture --link wan1 --filter "udp port 500" -w ike.pcapng`,
			"capture --filter esp --count 100 -w - > esp.pcapng"),
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.run(cmd.Context()) },
	}
	addFilters(cmd, &c.filter, control.FiltersOfCapture())
	cmd.Flags().StringVarP(&c.file, "write", "w", "", "write a capture file, `FILE` or - for stdout")
	addSocket(cmd, &c.socket)
	return cmd
}

// farewell is how long the daemon has to end a capture when it is asked to.
const farewell = 2 * time.Second

// run captures until ctx ends, and then asks for what was taken and lost.
func (c *catcher) run(ctx context.Context) error {
	switch {
	case c.file == "" && c.filter.Looking.Format != "":
		return usagef("--format is of a file: give it with -w")
	case c.file == "-" && c.color:
		return usagef("-w - writes bytes that are no text to a terminal: send them elsewhere with > or |, or give -w a file's name")
	case c.file != "" && c.json:
		return usagef("--json is instead of a file: give it without -w")
	}
	client := control.NewClient(c.socket)
	c.filter.Looking.ID = newID()
	streaming, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	defer context.AfterFunc(ctx, func() {
		asking, done := context.WithTimeout(streaming, farewell)
		defer done()
		if client.EndCapture(asking, c.filter.Looking.ID) != nil {
			cut()
			return
		}
		time.AfterFunc(farewell, cut)
	})()
	end, err := c.stream(streaming, client)
	switch {
	case err == nil:
		c.tell(end)
		return nil
	case ctx.Err() != nil:
		return nil // it was interrupted, and the daemon has not answered
	}
	return asUsage(err)
}

// newID is an id that no other capture has.
func newID() string {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// stream writes or prints what comes.
func (c *catcher) stream(ctx context.Context, client *control.Client) (control.CaptureEnd, error) {
	switch {
	case c.json:
		c.filter.Looking.Format = control.FormatRows
		return client.Capture(ctx, c.filter, c.out)
	case c.file == "":
		return client.CapturePackets(ctx, c.filter, c.print)
	case c.file == "-":
		return client.Capture(ctx, c.filter, c.out)
	}
	f := &lazyFile{name: c.file}
	end, err := client.Capture(ctx, c.filter, f)
	if closed := f.close(); err == nil {
		err = closed
	}
	return end, err
}

// tell says on stderr what was taken, and lost.
func (c *catcher) tell(end control.CaptureEnd) {
	fmt.Fprint(c.errs, count(end.Taken, "packet"), " captured")
	if end.Lost > 0 {
		fmt.Fprintf(c.errs, ", %d lost: they came faster than they were read; a --filter, or fewer points, may help", end.Lost)
	}
	fmt.Fprintln(c.errs)
}

// print prints a packet in a line.
func (c *catcher) print(p control.CapturedPacket) error {
	_, err := io.WriteString(c.out, capturedLine(&p))
	return err
}

func capturedLine(p *control.CapturedPacket) string {
	at := p.In
	switch {
	case at == "":
		at = p.Out
	case p.Out != "":
		at += ">" + p.Out
	}
	if at == "" {
		at = "-"
	}
	line := fmt.Sprintf("%s %-8s %s %s", p.At.UTC().Format("15:04:05.000000"), p.Point, at, printable(p.Packet))
	if p.Reason != nil {
		line += ": " + *p.Reason
	}
	return line + "\n"
}

// lazyFile makes a file when there is something to write: a question that is
// refused must not empty an older one.
type lazyFile struct {
	name string
	file *os.File
}

func (l *lazyFile) Write(b []byte) (int, error) {
	if l.file == nil {
		f, err := os.Create(l.name)
		if err != nil {
			return 0, err
		}
		l.file = f
	}
	return l.file.Write(b)
}

func (l *lazyFile) close() error {
	if l.file == nil {
		return nil
	}
	return l.file.Close()
}
