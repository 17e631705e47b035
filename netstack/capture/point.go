package capture

import (
	"fmt"
	"strings"
)

// Point is where a packet is seen.
type Point uint8

// The points, in the order in which a packet comes by.
const (
	Received Point = iota // a frame as a port received it
	Before                // an IPv4 packet that is about to be translated
	After                 // the same, translated
	Sent                  // a frame as a port sent it
	Dropped               // a frame or a packet that goes no further
	NumPoints
)

var pointWords = [NumPoints]string{"received", "before", "after", "sent", "dropped"}

// String is the word for operators.
func (p Point) String() string { return pointWords[p] }

// Points is a set of them.
type Points uint8

// AllPoints is every one.
const AllPoints = Points(1<<NumPoints - 1)

// Has reports whether a point is in the set.
func (s Points) Has(p Point) bool { return s&(1<<p) != 0 }

// ParsePoints reads words of points with commas between them; "" is AllPoints.
func ParsePoints(text string) (s Points, err error) {
	if text == "" {
		return AllPoints, nil
	}
	for word := range strings.SplitSeq(text, ",") {
		found := false
		for p, known := range pointWords {
			if strings.TrimSpace(word) == known {
				s, found = s|1<<p, true
			}
		}
		if !found {
			return 0, fmt.Errorf("%q is no point, want some of %s", word, strings.Join(pointWords[:], ","))
		}
	}
	return s, nil
}
