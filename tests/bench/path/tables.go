package path

import (
	"fmt"

	"spigate/netstack/frame"
	"spigate/tests/bench/bed"
	"spigate/tests/bench/report"
)

// find returns the result of a line, or nil.
func (m *Measured) find(l Line) *Result {
	for _, r := range m.Results {
		if r.Line == l {
			return r
		}
	}
	return nil
}

// Table is the section for people.
func (m *Measured) Table() report.Table {
	t := report.Table{
		Title: m.Title,
		Head:  []string{"way", "cores", "flows", "kpps arrived", "Gbit/s", "lost", "ns of CPU a packet, whole path", "of it the process", "÷ ip_forward", "÷ nft"},
		Note:  "Ratios are of rates beside the same way of the kernel with as many cores, and where all is on one core of CPU time.",
	}
	for _, r := range m.Results {
		flows := fmt.Sprint(r.Flows)
		if r.Flows > one {
			flows += " " + r.Draw.String()
		}
		if r.Void() {
			t.Row(r.Way, r.Place.String(), flows, fmt.Sprintf("void: %.1f %% went another way", 100*r.Slow()))
			continue
		}
		own := ""
		if len(r.Own()) > 0 {
			own = fmt.Sprintf("%.0f", report.Median(r.Own()))
		}
		lost := report.Median(r.values(func(f Flood) float64 { return f.Lost }))
		t.Row(r.Way, r.Place.String(), flows, report.Ranged(r.Arrived(), 1e-3, 0),
			fmt.Sprintf("%.2f", report.Median(r.Arrived())*float64(m.Length)*8/1e9), fmt.Sprintf("%.1f %%", 100*lost),
			report.Ranged(r.Path(), 1, 0), own, m.beside(r, Forward), m.beside(r, Masquerade))
	}
	return t
}

// beside is how many times as fast r is as a way of the kernel: with as many
// flows if that was measured, else with a thousand.
func (m *Measured) beside(r *Result, way string) string {
	k := m.find(Line{way, r.Place, r.Flows, r.Draw})
	if k == nil {
		k = m.find(Line{way, r.Place, thousand, Uniform})
	}
	if k == nil || k == r {
		return ""
	}
	ratios := faster(r, k)
	if len(ratios) == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f", report.Median(ratios))
}

// faster is how many times as fast a is as b, in each round: by what arrived,
// and with all on one core by the CPU time of the whole path, for there the
// sender takes of the same core.
func faster(a, b *Result) []float64 {
	if a == nil || b == nil || a.Void() || b.Void() {
		return nil
	}
	if a.Place == bed.OneCore && b.Place == bed.OneCore {
		return report.Ratios(b.Path(), a.Path())
	}
	return report.Ratios(a.Arrived(), b.Arrived())
}

// dearer is how many times as much a packet costs on a as on b, in each round:
// of the forwarder's own CPU time if it has a process, else of the whole path's.
func dearer(a, b *Result) []float64 {
	if a == nil || b == nil || a.Void() || b.Void() {
		return nil
	}
	if a.Place == bed.OneCore {
		return report.Ratios(a.Path(), b.Path())
	}
	return report.Ratios(a.Own(), b.Own())
}

// Figures are the values of the goals that sections tell of.
func Figures(all []Measured, into report.Figures) {
	for i := range all {
		m := &all[i]
		if m.Length != 100 {
			continue
		}
		if m.Proto == frame.ProtoUDP {
			into.Set(report.XDPToMasqUDP, faster(m.find(Line{XDP, bed.OneCore, many, Uniform}), m.find(Line{Masquerade, bed.OneCore, many, Uniform})))
			continue
		}
		ring := func(flows int) *Result { return m.find(Line{FastPath, bed.TwoCores, flows, Uniform}) }
		xdp := func(flows int) *Result { return m.find(Line{XDP, bed.OneCore, flows, Uniform}) }
		kernel := func(way string, p bed.Place) *Result { return m.find(Line{way, p, thousand, Uniform}) }
		// A section has the lines of some goals; Set leaves the others as they are.
		into.Set(report.RingToForward, faster(ring(thousand), kernel(Forward, bed.TwoCores)))
		into.Set(report.RingToMasquerade, faster(ring(thousand), kernel(Masquerade, bed.TwoCores)))
		into.Set(report.RingToBare, faster(ring(thousand), kernel(Loop, bed.TwoCores)))
		into.Set(report.XDPToMasquerade, faster(xdp(thousand), kernel(Masquerade, bed.OneCore)))
		into.Set(report.XDPToBare, faster(xdp(thousand), kernel(Redirect, bed.OneCore)))
		into.Set(report.RingAt100k, dearer(ring(many), ring(thousand)))
		into.Set(report.XDPAt100k, dearer(xdp(many), xdp(thousand)))
		into.Set(report.RingAt1M, dearer(ring(million), ring(thousand)))
		into.Set(report.XDPAt1M, dearer(xdp(million), xdp(thousand)))
	}
}

// Plot is the picture of the sections.
func Plot(all []Measured) (p report.Plot) {
	for i := range all {
		m := &all[i]
		if m.Length != 100 || m.find(Line{Forward, bed.TwoCores, thousand, Uniform}) == nil {
			continue
		}
		p.Bars = append(p.Bars,
			m.bars("packets a second, one forwarding core", "kpps", 1e-3, bed.TwoCores, (*Result).Arrived),
			m.bars("CPU time of the whole path for a packet, all on one core", "ns", 1, bed.OneCore, (*Result).Path))
	}
	for _, l := range []report.Lines{
		lines(all, FastPath, bed.TwoCores, "CPU time of the process", (*Result).Own),
		lines(all, XDP, bed.OneCore, "CPU time of the whole path", (*Result).Path),
	} {
		if len(l.Series[0].Points) > 0 {
			p.Lines = append(p.Lines, l)
		}
	}
	return p
}

func (m *Measured) bars(what, unit string, scale float64, at bed.Place, of func(*Result) []float64) report.Bars {
	b := report.Bars{Title: fmt.Sprintf("%s, 1,000 flows: %s", m.Title, what), Unit: unit}
	for _, r := range m.Results {
		if r.Place != at || r.Flows != thousand || r.Draw != Uniform || r.Void() {
			continue
		}
		values := of(r)
		for i := range values {
			values[i] *= scale
		}
		b.Bars = append(b.Bars, report.Bar{Name: r.Way, Values: values, Ours: r.Way == SlowPath || r.Way == FastPath || r.Way == XDP})
	}
	return b
}

// lines is what ESP of 100 bytes costs with few flows and with many, each number
// of flows from the first section that has it.
func lines(all []Measured, way string, at bed.Place, what string, of func(*Result) []float64) report.Lines {
	l := report.Lines{Title: fmt.Sprintf("ESP, 100 bytes, %s: %s for a packet", way, what), Unit: "ns"}
	for i, d := range []Draw{Uniform, Zipf} {
		s := report.Series{Name: d.String(), Dashed: d == Zipf, Color: i}
		for _, n := range []int{one, thousand, many, million} {
			draw := d
			if n == one {
				draw = Uniform // one flow is drawn in one way
			}
			if r := first(all, Line{way, at, n, draw}); r != nil && !r.Void() {
				s.Points = append(s.Points, report.Point{Flows: n, Values: of(r)})
			}
		}
		l.Series = append(l.Series, s)
	}
	return l
}

// first finds a line among the sections of ESP of 100 bytes.
func first(all []Measured, l Line) *Result {
	for i := range all {
		if m := &all[i]; m.Proto == frame.ProtoESP && m.Length == 100 {
			if r := m.find(l); r != nil {
				return r
			}
		}
	}
	return nil
}
