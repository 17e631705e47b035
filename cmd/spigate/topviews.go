package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"spigate/cmd/internal/control"
)

// frame is one picture of a live view.
type frame struct {
	header []string
	rows   [][]string
	items  []any // of --json, in the same order
}

// scene is one live view. take returns its next picture; ready is false if
// there is none yet, because rates need two looks.
type scene struct {
	name  string
	key   byte
	sorts []string // the first is the usual one
	take  func(ctx context.Context, c *control.Client, sort string) (f frame, ready bool, err error)
}

// scenes are the live views. now is the clock by which two looks are apart.
func scenes(now func() time.Time) []scene {
	bits := []string{string(control.ByBits), string(control.ByPackets)}
	drops, ports := &looks[dropLook]{now: now}, &looks[portLook]{now: now}
	return []scene{
		{"flows", 'f', bits, topFlows},
		{"subscribers", 's', bits, topSubscribers},
		{"drops", 'd', []string{"rate", "count"}, drops.scene(lookAtDrops, drawDrops)},
		{"ports", 'o', append(bits, "lost"), ports.scene(lookAtPorts, drawPorts)},
	}
}

func topFlows(ctx context.Context, c *control.Client, sort string) (f frame, ready bool, err error) {
	f.header = []string{"Proto", "Source", "Destination", "Becomes", "In", "Bits/s", "Packets/s", "Owner", "TD"}
	for r, err := range c.TopFlows(ctx, control.TopOrder(sort)) {
		if err != nil {
			return f, false, err
		}
		source, dest := end(r.SourceIP, r.SourcePort), end(r.DestIP, r.DestPort)
		switch {
		case r.SPI != 0:
			dest += " spi " + r.SPI.String()
		case r.ICMPID != nil:
			dest += " id " + number(*r.ICMPID)
		}
		becomes := "-"
		if r.NewIP.IsValid() {
			becomes = end(r.NewIP.Addr, r.NewPort)
		}
		f.add(r, r.Protocol, source, dest, becomes, r.InInterface, metric(r.Bits), metric(r.Packets), r.Owner, number(r.TD))
	}
	return f, true, nil
}

func topSubscribers(ctx context.Context, c *control.Client, sort string) (f frame, ready bool, err error) {
	f.header = []string{"Subscriber", "TD", "Flows", "TxBits/s", "RxBits/s", "TxPackets/s", "RxPackets/s"}
	for r, err := range c.TopSubscribers(ctx, control.TopOrder(sort)) {
		if err != nil {
			return f, false, err
		}
		f.add(r, r.SubscriberIP.String(), number(r.TD), number(r.Flows), metric(r.TxBits), metric(r.RxBits), metric(r.TxPackets), metric(r.RxPackets))
	}
	return f, true, nil
}

func (f *frame) add(item any, cells ...string) {
	f.items, f.rows = append(f.items, item), append(f.rows, cells)
}

// end is an address with its port, if it has one.
func end(a fmt.Stringer, port *uint16) string {
	if port == nil {
		return a.String()
	}
	return a.String() + ":" + number(*port)
}

// metric prints a rate with three digits and a prefix.
func metric(n float64) string {
	prefixes := []string{"", "k", "M", "G", "T"}
	for n >= 999.5 && len(prefixes) > 1 {
		n, prefixes = n/1000, prefixes[1:]
	}
	digits := 0
	for limit := 99.95; n < limit && digits < 2; limit /= 10 {
		digits++
	}
	text := strconv.FormatFloat(n, 'f', digits, 64)
	if digits > 0 {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text + prefixes[0]
}

// looks remembers the look before, so that counters become rates.
type looks[T any] struct {
	now    func() time.Time
	before map[string]T
	at     time.Time
}

// scene makes a live view out of rows with counters. look returns them by their
// names, draw makes the picture: was is the row before, or a zero one for what
// is new, and per turns a difference into a rate.
func (l *looks[T]) scene(look func(context.Context, *control.Client) (map[string]T, error), draw func(is, was map[string]T, per func(is, was uint64) float64, sort string) frame) func(context.Context, *control.Client, string) (frame, bool, error) {
	return func(ctx context.Context, c *control.Client, sort string) (f frame, ready bool, err error) {
		is, err := look(ctx, c)
		if err != nil {
			return f, false, err
		}
		now := l.now()
		was, span := l.before, now.Sub(l.at).Seconds()
		l.before, l.at = is, now
		if was == nil || span <= 0 {
			return f, false, nil
		}
		per := func(is, was uint64) float64 {
			if is < was {
				was = 0 // the daemon has begun anew
			}
			return float64(is-was) / span
		}
		return draw(is, was, per, sort), true, nil
	}
}

type dropLook struct{ control.Drop }

func lookAtDrops(ctx context.Context, c *control.Client) (map[string]dropLook, error) {
	out := map[string]dropLook{}
	for d, err := range c.Drops(ctx) {
		if err != nil {
			return nil, err
		}
		if d.Count > 0 {
			out[d.Reason] = dropLook{d}
		}
	}
	return out, nil
}

// topDrop is an item of "top drops --json".
type topDrop struct {
	Reason string  `json:"reason"`
	Rate   float64 `json:"rate"` // per second, since the picture before
	Count  uint64  `json:"count"`
	Do     string  `json:"do"`
}

func drawDrops(is, was map[string]dropLook, per func(is, was uint64) float64, sort string) frame {
	f := frame{header: []string{"Reason", "Rate/s", "Count", "LastFrame"}}
	var list []topDrop
	for reason, d := range is {
		list = append(list, topDrop{reason, per(d.Count, was[reason].Count), d.Count, d.Do})
	}
	slices.SortFunc(list, func(a, b topDrop) int {
		by := cmp.Compare(b.Rate, a.Rate)
		if sort == "count" {
			by = 0
		}
		return cmp.Or(by, cmp.Compare(b.Count, a.Count), cmp.Compare(a.Reason, b.Reason))
	})
	for _, d := range list {
		last := "-"
		if s := is[d.Reason].Last; s != nil {
			last = s.Summary
		}
		f.add(d, d.Reason, metric(d.Rate), number(d.Count), last)
	}
	return f
}

type portLook struct{ control.PortStatus }

func lookAtPorts(ctx context.Context, c *control.Client) (map[string]portLook, error) {
	st, err := c.Status(ctx)
	if err != nil {
		return nil, err
	}
	out := map[string]portLook{}
	for _, p := range st.Ports {
		out[p.Port+"/"+p.Interface] = portLook{p}
	}
	return out, nil
}

// topPort is an item of "top ports --json".
type topPort struct {
	Port      string  `json:"port"`
	Interface string  `json:"interface"`
	Up        bool    `json:"up"`
	RxBits    float64 `json:"rx_bits_per_second"`
	TxBits    float64 `json:"tx_bits_per_second"`
	RxPackets float64 `json:"rx_packets_per_second"`
	TxPackets float64 `json:"tx_packets_per_second"`
	Lost      float64 `json:"lost_per_second"` // of the port
	Fast      float64 `json:"fast_percent"`    // of what came in and was forwarded, by the fast path
}

func drawPorts(is, was map[string]portLook, per func(is, was uint64) float64, sort string) frame {
	f := frame{header: []string{"Port", "Interface", "Up", "RxBits/s", "TxBits/s", "RxPackets/s", "TxPackets/s", "Fast%", "Lost/s"}}
	var list []topPort
	for key, p := range is {
		w := was[key]
		row := topPort{Port: p.Port, Interface: p.Interface, Up: p.Up,
			RxBits: 8 * per(p.RxBytes, w.RxBytes), TxBits: 8 * per(p.TxBytes, w.TxBytes),
			RxPackets: per(p.RxFrames, w.RxFrames), TxPackets: per(p.TxFrames, w.TxFrames), Lost: per(p.Lost, w.Lost)}
		if fast, slow := per(p.FastHits, w.FastHits), per(p.SlowHits, w.SlowHits); fast+slow > 0 {
			row.Fast = 100 * fast / (fast + slow)
		}
		list = append(list, row)
	}
	weight := func(p *topPort) float64 {
		return map[string]float64{"bits": p.RxBits + p.TxBits, "packets": p.RxPackets + p.TxPackets, "lost": p.Lost}[sort]
	}
	slices.SortFunc(list, func(a, b topPort) int {
		return cmp.Or(cmp.Compare(weight(&b), weight(&a)), cmp.Compare(a.Port, b.Port), cmp.Compare(a.Interface, b.Interface))
	})
	for _, p := range list {
		f.add(p, p.Port, p.Interface, yes(p.Up), metric(p.RxBits), metric(p.TxBits), metric(p.RxPackets), metric(p.TxPackets), strconv.FormatFloat(p.Fast, 'f', 0, 64), metric(p.Lost))
	}
	return f
}

// line is the picture as one line of JSON.
func (f *frame) line() ([]byte, error) {
	var b bytes.Buffer
	err := printJSON(&b, local(f.items...))
	return append(bytes.ReplaceAll(b.Bytes(), []byte("\n"), nil), '\n'), err
}
