package ftp

import (
	"bytes"
	"encoding/binary"
	"sync"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// control is one control connection. The goroutines of two ports meet here.
type control struct {
	mu sync.Mutex
	stream
}

// translator finds the text that a line is to have in place of part of its own;
// not ok if it stays.
type translator func(line []byte) (a announcement, text []byte, ok bool)

// leaving makes of a segment of the subscriber's what the remote gets; room is
// how long it may become, in bytes. nil is the segment as it is.
//
//	                  SYN                          FIN, data from next on: its lines are read
//	(nothing) ──────────────────► next = first ◄──────────────────────────────────┐
//	    │  other (a connection from before: the NAT has lost   │  data before next: as it was before
//	    └───────── its state): next = this one ───────────────►│  data behind next: dropped
func (c *control) leaving(s segment, room int, translate translator) ([]byte, drop.Reason) {
	c.begin(s)
	data, first := s.payload(), s.first()
	if (len(data) > 0 || s.has(frame.TCPFin)) && before(c.next, first) {
		return nil, drop.FTPGap
	}
	read := c.read(data, first, translate)
	if !c.changed() {
		return nil, drop.None
	}
	out := append(make([]byte, 0, min(len(s.b)+maxEdits*maxText, max(room, len(s.b)))), s.b[:s.size]...)
	out, taken := c.rewrite(out, first, data[:read], room-s.size)
	if taken == 0 && len(data) > 0 {
		return nil, drop.FTPBacklog
	}
	binary.BigEndian.PutUint32(out[atSeq:], c.outward(s.seq()))
	if taken < len(data) {
		out[atFlags] &^= frame.TCPFin // it comes again behind the rest
	}
	if s.has(flagUrg) {
		urgent := first + uint32(s.urgent())
		binary.BigEndian.PutUint16(out[atUrgent:], uint16(c.outward(urgent)-c.outward(first)))
	}
	return out, drop.None
}

// begin takes up a connection, or a new one between the same endpoints.
func (c *control) begin(s segment) {
	first := s.first()
	if c.started && (!s.has(frame.TCPSyn) || first == c.first) {
		return
	}
	c.stream = stream{started: true, atStart: true, first: first, next: first}
}

// read looks at the lines of a segment that were not looked at before, and
// returns how much of it may go on: as many rewritten lines as there is room for.
func (c *control) read(data []byte, first uint32, translate translator) int {
	if len(data) == 0 {
		return 0 // it may be anywhere
	}
	known := int(int32(c.next - first)) // not negative: there is no gap
	if known >= len(data) {
		return len(data)
	}
	b := data[known:]
	pos := 0
	if !c.atStart {
		pos = bytes.IndexByte(b, '\n') + 1 // 0: this line goes on
	}
	for c.atStart || pos > 0 {
		n := bytes.IndexByte(b[pos:], '\n')
		if n < 0 {
			break
		}
		line := bytes.TrimSuffix(b[pos:pos+n], []byte{'\r'})
		if len(c.edits) == maxEdits && announces(line) {
			b = b[:pos]
			break
		}
		if a, text, ok := translate(line); ok {
			c.replace(c.next+uint32(pos+a.at), a.end-a.at, text)
		}
		pos += n + 1
	}
	if len(b) > 0 {
		c.next += uint32(len(b))
		c.atStart = b[len(b)-1] == '\n'
	}
	return known + len(b)
}

// announces reports whether a line could have to be rewritten.
func announces(line []byte) bool {
	_, command := parseCommand(line)
	_, reply := parseReply(line)
	return command || reply
}

// coming makes of a segment of the remote's what the subscriber gets.
func (c *control) coming(s segment) []byte {
	if !s.has(flagAck) || !c.changed() {
		return nil
	}
	out := s.acknowledge(&c.stream)
	c.acknowledged(s.ack())
	return out
}
