package logs

import (
	"context"
	"errors"
	"io"
	"net"
	"time"
)

// line is a connection to a collector.
type line struct {
	conn    net.Conn
	last    context.Context // nothing is written when it has ended
	unwatch func() bool
	gone    chan struct{} // closed when the collector has ended it; nil: datagrams, it cannot
}

// dial makes one, for as long as ctx lasts. It writes until last ends.
func (s *Syslog) dial(ctx, last context.Context) (*line, error) {
	conn, err := s.config.Dial(ctx, s.config.Network, s.config.Address)
	if err != nil {
		return nil, err
	}
	l := &line{conn: conn, last: last}
	l.unwatch = context.AfterFunc(last, func() { conn.SetWriteDeadline(time.Unix(1, 0)) }) // long ago
	if s.config.Network == "tcp" {
		l.gone = make(chan struct{})
		go l.listen()
	}
	return l, nil
}

// listen waits for the end of a stream: collectors say nothing, and if one does
// it is not for us. Who only writes does not see that the other end has gone: the
// first write after that succeeds, and what it wrote is lost.
func (l *line) listen() {
	defer close(l.gone)
	_, _ = io.Copy(io.Discard, l.conn)
}

// write writes a whole message, in its own time but not beyond the last words.
func (l *line) write(message []byte) error {
	select {
	case <-l.gone:
		return errors.New("the collector has closed the connection")
	default:
	}
	if err := l.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	// If last ends after this, what watches it has the last word on the deadline.
	if err := l.last.Err(); err != nil {
		return err
	}
	_, err := l.conn.Write(message)
	return err
}

// close ends it, and what listens to it.
func (l *line) close() {
	l.unwatch()
	l.conn.Close()
	if l.gone != nil {
		<-l.gone
	}
}
