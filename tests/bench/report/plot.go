package report

import (
	"fmt"
	"html"
	"io"
	"math"
)

// Plot is a picture of panels, one below the other.
type Plot struct {
	Bars  []Bars
	Lines []Lines
}

// Bars is a panel of bars from the left, a whisker at the end of each from the
// lowest to the highest round.
type Bars struct {
	Title string
	Unit  string
	Bars  []Bar
}

// Bar is one of them.
type Bar struct {
	Name   string
	Values []float64
	Ours   bool // has another colour
}

// Lines is a panel of lines over numbers of flows, on a logarithmic axis.
type Lines struct {
	Title  string
	Unit   string
	Series []Series
}

// Series is one line.
type Series struct {
	Name   string
	Dashed bool
	Color  int // which of the colours; a dashed line has that of its sister
	Points []Point
}

// Point is the rounds' values at a number of flows.
type Point struct {
	Flows  int
	Values []float64
}

// The picture's measures, in pixels.
const (
	plotWidth   = 960
	plotMargin  = 24
	plotNames   = 250 // the column of names
	plotNumbers = 190 // the column of values
	plotBar     = 18
	plotStep    = 28
	plotTitle   = 40
	plotLines   = 300 // height of a panel of lines
	plotScale   = 60  // the column left of lines
)

func colors() []string { return []string{"#1b6ca8", "#c8553d", "#588157", "#8a5a9e", "#b8860b"} }

const otherColor = "#9aa5b1"

// SVG writes the picture.
func (p Plot) SVG(out io.Writer) {
	height := plotMargin
	for _, b := range p.Bars {
		height += plotTitle + plotStep*len(b.Bars) + plotMargin
	}
	height += (plotTitle + plotLines + 2*plotMargin) * len(p.Lines)
	fmt.Fprintf(out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="sans-serif" font-size="13" fill="#1f2933">`+"\n", plotWidth, height, plotWidth, height)
	fmt.Fprintf(out, `<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", plotWidth, height)
	y := plotMargin
	for _, b := range p.Bars {
		y = b.svg(out, y)
	}
	for _, l := range p.Lines {
		y = l.svg(out, y)
	}
	fmt.Fprintln(out, "</svg>")
}

func text(out io.Writer, x, y float64, anchor, more, s string) {
	fmt.Fprintf(out, `<text x="%.1f" y="%.1f" text-anchor="%s"%s>%s</text>`+"\n", x, y, anchor, more, html.EscapeString(s))
}

func line(out io.Writer, x1, y1, x2, y2 float64, more string) {
	fmt.Fprintf(out, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" %s/>`+"\n", x1, y1, x2, y2, more)
}

// svg draws the panel from y on and returns where it ends.
func (b Bars) svg(out io.Writer, y int) int {
	text(out, plotMargin, float64(y+16), "start", ` font-size="15" font-weight="bold"`, b.Title)
	y += plotTitle
	most := 0.0
	for _, r := range b.Bars {
		most = max(most, Quantile(r.Values, 1))
	}
	left := float64(plotMargin + plotNames)
	scale := (plotWidth - plotMargin - plotNumbers - left) / max(most, math.SmallestNonzeroFloat64)
	for i, r := range b.Bars {
		top := float64(y + i*plotStep)
		middle := top + plotBar/2
		text(out, left-10, middle+4, "end", "", r.Name)
		if len(r.Values) == 0 {
			text(out, left+4, middle+4, "start", ` fill="#7b8794"`, "not measured")
			continue
		}
		color := otherColor
		if r.Ours {
			color = colors()[0]
		}
		m, s := Median(r.Values), Spread(r.Values)
		fmt.Fprintf(out, `<rect x="%.1f" y="%.1f" width="%.1f" height="%d" fill="%s"/>`+"\n", left, top, m*scale, plotBar, color)
		whisker(out, left+s[0]*scale, middle, left+s[1]*scale, middle)
		text(out, left+s[1]*scale+10, middle+4, "start", "", number(m)+" "+b.Unit)
	}
	return y + plotStep*len(b.Bars) + plotMargin
}

// whisker draws a line with a cross-stroke at each end, level or upright.
func whisker(out io.Writer, x1, y1, x2, y2 float64) {
	const style = `stroke="#1f2933" stroke-width="1.2"`
	dx, dy := 0.0, 4.0
	if x1 == x2 {
		dx, dy = 4, 0
	}
	line(out, x1, y1, x2, y2, style)
	line(out, x1-dx, y1-dy, x1+dx, y1+dy, style)
	line(out, x2-dx, y2-dy, x2+dx, y2+dy, style)
}

// lineArea is where a panel of lines is drawn: pixels of the axes' ends, and
// what they stand for.
type lineArea struct {
	left, right, top, bottom float64
	flows, most              float64 // the logarithm of the most flows, the greatest value
}

func (a lineArea) x(flows int) float64 {
	return a.left + math.Log10(float64(flows))/max(a.flows, 1)*(a.right-a.left)
}

func (a lineArea) y(v float64) float64 { return a.bottom - v/a.most*(a.bottom-a.top) }

func (l Lines) area(y int) lineArea {
	a := lineArea{
		left: plotMargin + plotScale, right: plotWidth - plotMargin - plotNumbers,
		top: float64(y), bottom: float64(y + plotLines), most: math.SmallestNonzeroFloat64,
	}
	for _, s := range l.Series {
		for _, p := range s.Points {
			a.flows = max(a.flows, math.Log10(float64(p.Flows)))
			a.most = max(a.most, Quantile(p.Values, 1))
		}
	}
	return a
}

func (l Lines) svg(out io.Writer, y int) int {
	text(out, plotMargin, float64(y+16), "start", ` font-size="15" font-weight="bold"`, l.Title)
	a := l.area(y + plotTitle)
	l.axes(out, &a)
	for i, s := range l.Series {
		color := colors()[s.Color%len(colors())]
		stroke := fmt.Sprintf(`stroke="%s" stroke-width="2"`, color)
		if s.Dashed {
			stroke += ` stroke-dasharray="6 4"`
		}
		s.draw(out, a, stroke, color)
		at := a.top + 10 + float64(i)*22
		line(out, a.right+18, at, a.right+46, at, stroke)
		text(out, a.right+54, at+4, "start", "", s.Name)
	}
	return y + plotTitle + plotLines + 2*plotMargin
}

// draw joins the medians; a number of flows that has no values is left out.
func (s Series) draw(out io.Writer, a lineArea, stroke, color string) {
	had := false
	var px, py float64
	for _, p := range s.Points {
		if len(p.Values) == 0 {
			continue
		}
		x, y := a.x(p.Flows), a.y(Median(p.Values))
		if had {
			line(out, px, py, x, y, stroke)
		}
		w := Spread(p.Values)
		whisker(out, x, a.y(w[0]), x, a.y(w[1]))
		fmt.Fprintf(out, `<circle cx="%.1f" cy="%.1f" r="4" fill="%s"/>`+"\n", x, y, color)
		px, py, had = x, y, true
	}
}

// axes draws both with round numbers, and sets the upper one's end to one.
func (l Lines) axes(out io.Writer, a *lineArea) {
	step := roundStep(a.most / 5)
	a.most = math.Ceil(a.most/step) * step
	for v := 0.0; v <= a.most*1.0001; v += step {
		line(out, a.left, a.y(v), a.right, a.y(v), `stroke="#e4e7eb"`)
		text(out, a.left-8, a.y(v)+4, "end", "", number(v))
	}
	text(out, a.left-8, a.top-12, "end", ` fill="#7b8794"`, l.Unit)
	for n := 1; math.Log10(float64(n)) <= a.flows+0.01; n *= 10 {
		line(out, a.x(n), a.bottom, a.x(n), a.bottom+5, `stroke="#1f2933"`)
		text(out, a.x(n), a.bottom+20, "middle", "", grouped(n))
	}
	text(out, a.right+54, a.bottom+20, "start", ` fill="#7b8794"`, "active flows")
	line(out, a.left, a.bottom, a.right, a.bottom, `stroke="#1f2933"`)
}

// roundStep is 1, 2 or 5 times a power of ten, at least v.
func roundStep(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(max(v, 1e-9))))
	for _, m := range []float64{1, 2, 5} {
		if m*power >= v {
			return m * power
		}
	}
	return 10 * power
}

func grouped(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", grouped(n/1000), n%1000)
}
