package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net/http"
	"os"
	"syscall"
)

// maxItem bounds what is read for one row, so that a stranger behind the
// socket cannot fill our memory. The text of a configuration is a row.
const maxItem = 8 * MaxConfig

// Client asks a daemon. It holds no connection between two questions.
type Client struct {
	socket string
}

// NewClient returns a client for the daemon behind socket. Nothing is dialed
// until the first question.
func NewClient(socket string) *Client { return &Client{socket: socket} }

// IPsecSessions yields the ESP sessions that pass the filter. Like all
// sequences of the client it ends at the first error, which comes last and
// with a zero row.
func (c *Client) IPsecSessions(ctx context.Context, f Filter) iter.Seq2[IPsecSession, error] {
	return ask[IPsecSession](ctx, c, pathIPsecSessions, f)
}

// IPsecGates yields the locks and gates that pass the filter.
func (c *Client) IPsecGates(ctx context.Context, f Filter) iter.Seq2[IPsecGate, error] {
	return ask[IPsecGate](ctx, c, pathIPsecGates, f)
}

// LSNSessions yields the NAT sessions that pass the filter.
func (c *Client) LSNSessions(ctx context.Context, f Filter) iter.Seq2[LSNSession, error] {
	return ask[LSNSession](ctx, c, pathLSNSessions, f)
}

// Flows yields the entries of the fast path that pass the filter.
func (c *Client) Flows(ctx context.Context, f Filter) iter.Seq2[Flow, error] {
	return ask[Flow](ctx, c, pathFlows, f)
}

// Drops yields every reason for a drop, with its count.
func (c *Client) Drops(ctx context.Context) iter.Seq2[Drop, error] {
	return ask[Drop](ctx, c, pathDrops, Filter{})
}

// IPsecStat returns the counters of one profile of the IPsec ALG, or with ""
// of all together.
func (c *Client) IPsecStat(ctx context.Context, profile string) (IPsecStat, error) {
	return one(ask[IPsecStat](ctx, c, pathIPsecStat, Filter{Name: profile}))
}

// IPsecProfiles yields the ALG's profiles, or the one that Filter.Name names.
// The same holds for the other views of the configuration.
func (c *Client) IPsecProfiles(ctx context.Context, f Filter) iter.Seq2[IPsecProfile, error] {
	return ask[IPsecProfile](ctx, c, pathIPsecProfiles, f)
}

// LSNClients yields the configured clients.
func (c *Client) LSNClients(ctx context.Context, f Filter) iter.Seq2[LSNClient, error] {
	return ask[LSNClient](ctx, c, pathLSNClients, f)
}

// LSNPools yields the configured pools with their use.
func (c *Client) LSNPools(ctx context.Context, f Filter) iter.Seq2[LSNPool, error] {
	return ask[LSNPool](ctx, c, pathLSNPools, f)
}

// LSNGroups yields the configured groups.
func (c *Client) LSNGroups(ctx context.Context, f Filter) iter.Seq2[LSNGroup, error] {
	return ask[LSNGroup](ctx, c, pathLSNGroups, f)
}

// LSNAppsProfiles yields the configured application profiles.
func (c *Client) LSNAppsProfiles(ctx context.Context, f Filter) iter.Seq2[LSNAppsProfile, error] {
	return ask[LSNAppsProfile](ctx, c, pathLSNApps, f)
}

// Version returns what the daemon was built from.
func (c *Client) Version(ctx context.Context) (Version, error) {
	return one(ask[Version](ctx, c, pathVersion, Filter{}))
}

// Status returns how the daemon is.
func (c *Client) Status(ctx context.Context) (Status, error) {
	return one(ask[Status](ctx, c, pathStatus, Filter{}))
}

// one takes the single row of an answer.
func one[T any](rows iter.Seq2[T, error]) (T, error) {
	for row, err := range rows {
		return row, err
	}
	var none T
	return none, errors.New("control: the daemon's answer has no item")
}

// ask sends one question and yields the rows of the answer as they arrive.
func ask[T any](ctx context.Context, c *Client, path string, f Filter) iter.Seq2[T, error] {
	return rowsOf[T](ctx, c, http.MethodGet, path, f)
}

// rowsOf is ask with any method. There are many kinds of rows, and the compiler
// makes this function for each of them: what they share is in receive.
func rowsOf[T any](ctx context.Context, c *Client, method, path string, f Filter) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		err := c.receive(ctx, method, path, f, func(read func(any) error) (bool, error) {
			var row T
			if err := read(&row); err != nil {
				return false, err
			}
			return yield(row, nil), nil
		})
		if err != nil {
			var none T
			yield(none, err)
		}
	}
}

// receive asks, and lets item read each row of the answer until it wants no
// more of them.
func (c *Client) receive(ctx context.Context, method, path string, f Filter, item func(read func(any) error) (more bool, err error)) error {
	body, err := c.send(ctx, method, path, f)
	if err != nil {
		return err
	}
	defer body.Close()
	if err := decode(body, item); err != nil {
		return fmt.Errorf("control socket %s: %w", c.socket, err)
	}
	return nil
}

// send returns the body of a good answer, or the error that the other end or
// the way there gave.
func (c *Client) send(ctx context.Context, method, path string, f Filter) (io.ReadCloser, error) {
	return c.exchange(ctx, question{method: method, target: path + "?" + f.Values().Encode(), patience: headerTimeout})
}

// exchange is send with a question of any kind.
func (c *Client) exchange(ctx context.Context, q question) (io.ReadCloser, error) {
	response, err := c.respond(ctx, q)
	if err != nil {
		return nil, err
	}
	return response.Body, nil
}

// respond returns a good answer whole.
func (c *Client) respond(ctx context.Context, q question) (*http.Response, error) {
	response, err := roundTrip(ctx, c.socket, q)
	if err != nil {
		return nil, c.explain(err)
	}
	if response.StatusCode == http.StatusOK {
		return response, nil
	}
	defer response.Body.Close()
	var e invalid
	body := io.LimitReader(response.Body, maxItem)
	if err := json.NewDecoder(body).Decode(&e); err != nil || e.Message == "" {
		return nil, fmt.Errorf("control socket %s: unexpected answer %q: is this spigate?", c.socket, response.Status)
	}
	return nil, e.err()
}

// explain turns an error of the HTTP client into one that says what to do.
func (c *Client) explain(err error) error {
	// The reasons are taken out of net/http's wrapping, which repeats method,
	// address and path.
	var number syscall.Errno
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOTDIR):
		errors.As(err, &number)
		return fmt.Errorf("control socket %s: %w: %w", c.socket, number, ErrNoDaemon)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("control socket %s: %w: try as root", c.socket, syscall.EACCES)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, os.ErrDeadlineExceeded), isTimeout(err):
		return fmt.Errorf("control socket %s: the daemon does not answer", c.socket)
	}
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(inner) {
		err = inner
	}
	return fmt.Errorf("control socket %s: %w", c.socket, err)
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// decode reads {"version":1,"items":[…]} and lets item read each item until it
// wants no more.
func decode(body io.Reader, item func(read func(any) error) (more bool, err error)) error {
	limited := &itemReader{r: body}
	dec := json.NewDecoder(limited)
	if err := decodeHead(dec); err != nil {
		return notWhole(err)
	}
	for dec.More() {
		limited.n = 0
		more, err := item(dec.Decode)
		if err != nil {
			return notWhole(err)
		}
		if !more {
			return nil
		}
	}
	for _, want := range []json.Delim{']', '}'} {
		if t, err := dec.Token(); err != nil || t != want {
			return notWhole(err)
		}
	}
	return nil
}

// decodeHead reads up to the first item. The fields come in this order
// because our own server writes them so.
func decodeHead(dec *json.Decoder) error {
	for _, want := range []json.Token{json.Delim('{'), "version", float64(FormatVersion), "items", json.Delim('[')} {
		t, err := dec.Token()
		if err != nil {
			return err
		}
		if t == want {
			continue
		}
		if _, number := want.(float64); number {
			return fmt.Errorf("format version %v, this program reads %v", t, want)
		}
		return fmt.Errorf("%v in place of %v", t, want)
	}
	return nil
}

// notWhole says what a broken answer means.
func notWhole(err error) error {
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the daemon's answer was cut short")
	}
	return fmt.Errorf("the daemon's answer is not what was expected: %w", err)
}

// itemReader fails when one item becomes too long.
type itemReader struct {
	r io.Reader
	n int
}

func (i *itemReader) Read(b []byte) (int, error) {
	if i.n > maxItem {
		return 0, fmt.Errorf("an item of more than %d bytes", maxItem)
	}
	n, err := i.r.Read(b)
	i.n += n
	return n, err
}
