package control

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// What chooses packets to look at, for "trace" and "capture", as it stands in a
// request and as flags.
const (
	ByMatch   = "match"   // expression of a trace
	ByLook    = "filter"  // expression of a capture
	ByCount   = "count"   // packets
	ByLink    = "link"    // port
	ByVLAN    = "vlan"    // or tunnel
	ByPoint   = "point"   // some of Points, with commas
	BySnaplen = "snaplen" // bytes of each packet
	BySeconds = "seconds"
	ByFormat  = "format"
	ByID      = "id" // of a capture, by who asked for it
)

// Points returns the words of the points of a capture.
func Points() []string { return []string{"received", "before", "after", "sent", "dropped"} }

// The formats of a capture.
const (
	FormatPcapng = "pcapng"
	FormatPcap   = "pcap"
	FormatRows   = "rows" // CapturedPacket, one JSON object on a line
)

// Bounds of Looking.
const (
	MaxExpression = 1024  // bytes
	MaxSeconds    = 86400 // of a capture
	maxSnaplen    = 65535
	maxID         = 32
)

// Looking chooses packets.
type Looking struct {
	Match   string // of trace and capture
	Count   uint64 // 0: as many as come
	Link    string
	VLAN    string
	Points  string // "": all
	Snaplen int    // 0: whole packets
	Seconds int    // 0: until it is ended
	Format  string
	ID      string
}

// set sets one part from text; known is false if there is none of that name.
func (l *Looking) set(name, text string) (known bool, err error) {
	switch name {
	case ByMatch, ByLook:
		if l.Match = text; len(text) > MaxExpression {
			err = fmt.Errorf("an expression of more than %d bytes", MaxExpression)
		}
	case ByCount:
		l.Count, err = strconv.ParseUint(text, 10, 32)
		if err != nil || l.Count == 0 {
			err = fmt.Errorf("%q is no number of packets", text)
		}
	case ByLink:
		l.Link, err = parseName(text)
	case ByVLAN:
		l.VLAN, err = parseName(text)
	case ByPoint:
		l.Points, err = parsePoints(text)
	case BySnaplen:
		l.Snaplen, err = bounded(text, 14, maxSnaplen, "bytes")
	case BySeconds:
		l.Seconds, err = bounded(text, 1, MaxSeconds, "seconds")
	case ByFormat:
		if l.Format = text; !slices.Contains([]string{FormatPcapng, FormatPcap, FormatRows}, text) {
			err = fmt.Errorf("%q is no format, want %s or %s", text, FormatPcapng, FormatPcap)
		}
	case ByID:
		if l.ID = text; text == "" || len(text) > maxID {
			err = fmt.Errorf("an id has 1 to %d characters", maxID)
		}
	default:
		return false, nil
	}
	return true, err
}

// values puts the parts that are set into a request.
func (l *Looking) values(set func(name string, is bool, value any)) {
	set(ByMatch, l.Match != "", l.Match)
	set(ByCount, l.Count != 0, l.Count)
	set(ByLink, l.Link != "", l.Link)
	set(ByVLAN, l.VLAN != "", l.VLAN)
	set(ByPoint, l.Points != "", l.Points)
	set(BySnaplen, l.Snaplen != 0, l.Snaplen)
	set(BySeconds, l.Seconds != 0, l.Seconds)
	set(ByFormat, l.Format != "", l.Format)
	set(ByID, l.ID != "", l.ID)
}

func parsePoints(text string) (string, error) {
	for word := range strings.SplitSeq(text, ",") {
		if !slices.Contains(Points(), word) {
			return "", fmt.Errorf("%q is no point, want some of %s", word, strings.Join(Points(), ","))
		}
	}
	return text, nil
}

func bounded(text string, low, high int, of string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < low || n > high {
		return 0, fmt.Errorf("%q: want %d to %d %s", text, low, high, of)
	}
	return n, nil
}
