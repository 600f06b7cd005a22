package chart

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strings"
)

// The size of a chart in its own units, and what surrounds the lines.
const (
	width, height             = 760.0, 240.0
	left, right, above, below = 62.0, 14.0, 62.0, 34.0
)

// style has colours for light and dark, far enough from the background and from
// each other. The second line is dashed too, for those who see no colours.
const style = `<style>
.lc-bg{fill:#ffffff}.lc-ink{fill:#1f2937}.lc-dim{fill:#4b5563}.lc-grid{stroke:#d1d5db}.lc-mark{stroke:#6b7280;stroke-dasharray:2 3}
.lc-0,.lc-1,.lc-2,.lc-3{fill:none;stroke-width:2}
.lc-0{stroke:#1d4ed8}.lc-1{stroke:#b45309;stroke-dasharray:6 3}.lc-2{stroke:#047857;stroke-dasharray:2 2}.lc-3{stroke:#7e22ce;stroke-dasharray:8 3 2 3}
@media (prefers-color-scheme:dark){.lc-bg{fill:#111827}.lc-ink{fill:#f3f4f6}.lc-dim{fill:#d1d5db}.lc-grid{stroke:#374151}.lc-mark{stroke:#9ca3af}
.lc-0{stroke:#93c5fd}.lc-1{stroke:#fdba74}.lc-2{stroke:#6ee7b7}.lc-3{stroke:#d8b4fe}}
</style>`

// maxColours is how many lines have a colour of their own.
const maxColours = 4

// maxLabels is how many marks have their texts written into the chart.
const maxLabels = 3

// SVG returns the chart as an element svg. It needs nothing else: no script, no
// font, no network. Its description says in words what the lines do.
func (c *Chart) SVG() string {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" role="img" font-family="system-ui, sans-serif" font-size="12">`+"\n", width, height)
	fmt.Fprintf(&b, "<title>%s, %s</title>\n<desc>%s</desc>\n%s\n", html.EscapeString(c.Title), html.EscapeString(c.Unit), html.EscapeString(c.Describe()), style)
	fmt.Fprintf(&b, `<rect class="lc-bg" width="%g" height="%g"/>`+"\n", width, height)
	fmt.Fprintf(&b, `<text class="lc-ink" x="10" y="18" font-weight="600">%s, %s</text>`+"\n", html.EscapeString(c.Title), html.EscapeString(c.Unit))
	c.writeLegend(&b)
	c.writeGrid(&b)
	c.writeMarks(&b)
	for i := range c.Lines {
		c.writePath(&b, i)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// Describe says in words what the lines do.
func (c *Chart) Describe() string {
	var parts []string
	for _, l := range c.Lines {
		if len(l.Values) == 0 {
			continue
		}
		sum, most := 0.0, slices.Max(l.Values)
		for _, v := range l.Values {
			sum += v
		}
		at := float64(slices.Index(l.Values, most)) * c.Slot
		parts = append(parts, fmt.Sprintf("%s: %s on average, at most %s, at %s %s", l.Name, Number(three(sum/float64(len(l.Values)))), Number(three(most)), Number(at), c.per()))
	}
	for i, m := range c.Marks {
		if i == 2*maxLabels {
			parts = append(parts, fmt.Sprintf("%d further changes", len(c.Marks)-i))
			break
		}
		parts = append(parts, fmt.Sprintf("%s %s: %s", Number(m.At), c.per(), m.Text))
	}
	return strings.Join(parts, ". ") + "."
}

// three rounds to three digits.
func three(v float64) float64 {
	if v == 0 {
		return 0
	}
	unit := math.Pow(10, math.Floor(math.Log10(math.Abs(v)))-2)
	return math.Round(v/unit) * unit
}

func (c *Chart) x(t float64) float64 {
	return left + (width-left-right)*t/max(c.Slot*float64(c.slots()), c.Slot)
}

func (c *Chart) y(v float64) float64 { return height - below - (height-above-below)*v/c.top() }

func (c *Chart) writeLegend(b *strings.Builder) {
	x := 10.0
	for i, l := range c.Lines {
		fmt.Fprintf(b, `<path class="lc-%d" d="M%.0f 36h24"/>`, i%maxColours, x)
		fmt.Fprintf(b, `<text class="lc-ink" x="%.0f" y="40">%s</text>`+"\n", x+30, html.EscapeString(l.Name))
		x += 54 + 6.5*float64(len(l.Name))
	}
}

func (c *Chart) writeGrid(b *strings.Builder) {
	for _, share := range []float64{0, 0.5, 1} {
		v := c.top() * share
		fmt.Fprintf(b, `<path class="lc-grid" d="M%g %.1fH%g"/><text class="lc-dim" x="%g" y="%.1f" text-anchor="end">%s</text>`+"\n",
			left, c.y(v), width-right, left-6, c.y(v)+4, Number(v))
	}
	end := c.Slot * float64(c.slots())
	fmt.Fprintf(b, `<text class="lc-dim" x="%g" y="%g" text-anchor="end">%s</text>`+"\n", width-right, height-4, html.EscapeString(c.per()))
	for t := 0.0; t <= end*1.0001; t += tick(end) {
		fmt.Fprintf(b, `<text class="lc-dim" x="%.1f" y="%g" text-anchor="middle">%s</text>`+"\n", c.x(t), height-below+18, Number(t))
	}
}

// tick returns a round time of which about six fill a chart.
func tick(end float64) float64 {
	for unit := 1.0; ; unit *= 10 {
		for _, k := range []float64{1, 2, 5} {
			if end/(k*unit) <= 8 {
				return k * unit
			}
		}
	}
}

func (c *Chart) writeMarks(b *strings.Builder) {
	for i, m := range c.Marks {
		x := c.x(m.At)
		fmt.Fprintf(b, `<path class="lc-mark" d="M%.1f %gV%g"/>`, x, above-6, height-below)
		if len(c.Marks) <= maxLabels {
			anchor := "start"
			if x > width*0.7 {
				anchor, x = "end", x-4
			}
			fmt.Fprintf(b, `<text class="lc-dim" x="%.1f" y="%g" text-anchor="%s">%s</text>`, x+2, above+13+14*float64(i%2), anchor, html.EscapeString(m.Text))
		}
		b.WriteString("\n")
	}
}

// writePath draws a line as steps: each value lasts for its slot.
func (c *Chart) writePath(b *strings.Builder, i int) {
	values := c.Lines[i].Values
	if len(values) == 0 {
		return
	}
	fmt.Fprintf(b, `<path class="lc-%d" d="M%.1f %.1f`, i%maxColours, c.x(0), c.y(values[0]))
	for k, v := range values {
		if k > 0 && v != values[k-1] {
			fmt.Fprintf(b, "V%.1f", c.y(v))
		}
		if k+1 == len(values) || values[k+1] != v {
			fmt.Fprintf(b, "H%.1f", c.x(float64(k+1)*c.Slot))
		}
	}
	b.WriteString(`"/>` + "\n")
}
