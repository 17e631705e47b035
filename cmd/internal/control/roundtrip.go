package control

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// headerTimeout is how long a daemon may think before it begins to answer.
const headerTimeout = 10 * time.Second

// question is one request.
type question struct {
	method, target string // the path with what follows it, escaped already
	body           []byte // not with GET
	patience       time.Duration
}

// roundTrip asks one question over a connection of its own. What net/http's client does besides
// (proxies, TLS, names in all scripts, connections that are kept) nobody needs
// on a socket, and it takes a third of a megabyte of the router's flash.
func roundTrip(ctx context.Context, socket string, q question) (*http.Response, error) {
	dialer := net.Dialer{Timeout: dialTimeout}
	conn, err := dialer.DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, err
	}
	body := &answerBody{ctx: ctx, conn: conn}
	body.unwatch = context.AfterFunc(ctx, func() { conn.Close() })
	response, err := body.exchange(q)
	if err != nil {
		body.Close()
		return nil, body.reason(err)
	}
	body.ReadCloser, response.Body = response.Body, body
	return response, nil
}

// answerBody is the body of an answer together with its connection.
type answerBody struct {
	io.ReadCloser
	ctx     context.Context
	conn    net.Conn
	unwatch func() bool
}

// exchange writes the question and reads the head of the answer.
func (b *answerBody) exchange(q question) (*http.Response, error) {
	if err := b.conn.SetDeadline(time.Now().Add(q.patience)); err != nil {
		return nil, err
	}
	length := ""
	if q.body != nil {
		length = fmt.Sprintf("Content-Length: %d\r\n", len(q.body))
	}
	head := fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: spigate\r\nConnection: close\r\n%s\r\n", q.method, q.target, length)
	if _, err := b.conn.Write(append(head, q.body...)); err != nil {
		return nil, err
	}
	response, err := http.ReadResponse(bufio.NewReader(b.conn), &http.Request{Method: q.method})
	if err != nil {
		return nil, err
	}
	return response, b.conn.SetDeadline(time.Time{}) // a long answer may take long
}

func (b *answerBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		err = b.reason(err)
	}
	return n, err
}

// reason is why there was an error: whose question it was may have lost
// interest, which closes the connection.
func (b *answerBody) reason(err error) error {
	if gone := b.ctx.Err(); gone != nil && err != io.EOF {
		return gone
	}
	return err
}

// Close gives the connection back, whatever has not been read.
func (b *answerBody) Close() error {
	b.unwatch()
	return b.conn.Close()
}
