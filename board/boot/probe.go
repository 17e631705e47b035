package boot

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
)

// statusPath is what a router answers when it is well.
const statusPath = "/v1/status"

// probe asks the router over its control socket whether it is well. Only the
// first line of the answer matters (RFC 9112 4); it is asked for without an HTTP
// library, because process 1 should stay small. ctx ends a question that has no
// answer.
func probe(ctx context.Context, socket string) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: spigate\r\nConnection: close\r\n\r\n", statusPath); err != nil {
		return err
	}
	line, err := bufio.NewReader(io.LimitReader(conn, 256)).ReadString('\n')
	if err != nil {
		return err
	}
	if word := strings.Fields(line); len(word) < 2 || word[0] != "HTTP/1.1" || word[1] != "200" {
		return fmt.Errorf("it answers %.40q", line)
	}
	return nil
}

// defaultSocket is where a router listens that has not said otherwise.
const defaultSocket = "/run/spigate.sock"

// note is a message of the router (sd_notify(3)): lines KEY=VALUE.
type note struct {
	ready  bool
	socket string // its control socket
}

func parseNote(text string) note {
	var n note
	for line := range strings.Lines(text) {
		switch key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "="); {
		case key == "READY" && value == "1":
			n.ready = true
		case key == "X_SPIGATE_SOCKET" && strings.HasPrefix(value, "/") && len(value) < 108:
			n.socket = value
		}
	}
	return n
}

// listenNotes receives messages until the socket is closed.
func listenNotes(path string, notes chan<- note) (io.Closer, error) {
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return nil, err
	}
	go func() {
		buf := make([]byte, 1024)
		for {
			n, _, err := conn.ReadFromUnix(buf)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				notes <- parseNote(string(buf[:n]))
			}
		}
	}()
	return conn, nil
}
