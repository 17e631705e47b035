package dsa

import (
	"fmt"
	"strconv"
	"strings"
)

// record is how devices were before the switch took them. It is the alias of the
// bridge, as people see it in "ip link": "spigate switch: 5=down/1500 6=up/1500".
type record []entry

// entry is one device: its number, which no other one gets before a reboot.
type entry struct {
	index int
	up    bool
	mtu   int // bytes
}

const (
	recordHead = "spigate switch:"
	maxAlias   = 255 // IFALIASZ without the zero
	maxMTU     = 1 << 16
)

// with adds a device as it is now, unless the record has it from before.
func (r record) with(l *link) record {
	for _, e := range r {
		if e.index == l.Index {
			return r
		}
	}
	return append(r, entry{l.Index, l.up(), l.MTU})
}

func (r record) text() (string, error) {
	var b strings.Builder
	b.WriteString(recordHead)
	for _, e := range r {
		state := "down"
		if e.up {
			state = "up"
		}
		fmt.Fprintf(&b, " %d=%s/%d", e.index, state, e.mtu)
	}
	if b.Len() > maxAlias {
		return "", fmt.Errorf("%d devices are too many for one switch: there is no room to write down how they were", len(r))
	}
	return b.String(), nil
}

// parseRecord reads an alias; one that is not a record's is an error.
func parseRecord(alias string) (record, error) {
	rest, ok := strings.CutPrefix(alias, recordHead)
	if !ok || len(alias) > maxAlias {
		return nil, fmt.Errorf("the alias %q is not ours", alias)
	}
	r := record{}
	for _, word := range strings.Fields(rest) {
		e, err := parseEntry(word)
		if err != nil {
			return nil, fmt.Errorf("the alias %q is not ours: %w", alias, err)
		}
		r = append(r, e)
	}
	return r, nil
}

func parseEntry(word string) (entry, error) {
	index, rest, _ := strings.Cut(word, "=")
	state, mtu, _ := strings.Cut(rest, "/")
	n, err := strconv.Atoi(index)
	m, merr := strconv.Atoi(mtu)
	if err != nil || merr != nil || n <= 0 || m <= 0 || m > maxMTU || state != "up" && state != "down" {
		return entry{}, fmt.Errorf("%q is no device's state", word)
	}
	return entry{n, state == "up", m}, nil
}
