package chart

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"strings"
)

const (
	rows     = 4  // of characters of each line
	margin   = 8  // characters before the bars
	minWidth = 30 // of a chart
)

// bars are the eighths of a character.
var bars = []rune(" ▁▂▃▄▅▆▇█")

// Text writes the chart with at most width characters a line: the lines one
// below the other, each slot of time a bar. A slot with any value but 0 has a bar.
func (c *Chart) Text(w io.Writer, width int) error {
	columns := max(width, minWidth) - margin
	slots := c.slots()
	if slots == 0 {
		return nil
	}
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, "%s, %s\n", c.Title, c.Unit)
	for i := range c.Lines {
		c.writeLine(b, &c.Lines[i], slots, columns)
	}
	c.writeAxis(b, slots, columns)
	return b.Flush()
}

// spread returns the values as columns: each is repeated, or the largest of
// several is taken.
func spread(values []float64, slots, columns int) []float64 {
	wide := max(1, columns/slots)
	out := make([]float64, min(columns, slots*wide))
	for i, v := range values {
		first := i * len(out) / slots
		last := max(first+1, (i+1)*len(out)/slots)
		for k := first; k < last; k++ {
			out[k] = max(out[k], v)
		}
	}
	return out
}

func (c *Chart) writeLine(w io.Writer, l *Line, slots, columns int) {
	heights := make([]int, 0, columns)
	for _, v := range spread(l.Values, slots, columns) {
		h := int(math.Round(v / c.top() * rows * 8))
		if v > 0 {
			h = max(h, 1)
		}
		heights = append(heights, h)
	}
	fmt.Fprintf(w, "%*s %s\n", margin-2, "", l.Name)
	for row := rows - 1; row >= 0; row-- {
		label := ""
		switch row {
		case rows - 1:
			label = Number(c.top())
		case 0:
			label = "0"
		}
		var line strings.Builder
		for _, h := range heights {
			line.WriteRune(bars[min(max(h-8*row, 0), 8)])
		}
		fmt.Fprintf(w, "%*s |%s\n", margin-2, label, strings.TrimRight(line.String(), " "))
	}
}

// writeAxis writes the time, and what happened at the marks.
func (c *Chart) writeAxis(w io.Writer, slots, columns int) {
	used := min(columns, slots*max(1, columns/slots))
	at := func(t float64) int { return min(int(t/c.Slot*float64(used)/float64(slots)), used-1) }
	line := []rune(strings.Repeat("-", used))
	for _, m := range c.Marks {
		line[at(m.At)] = '^'
	}
	fmt.Fprintf(w, "%*s +%s\n", margin-2, "", string(line))
	end := Number(float64(slots)*c.Slot) + " " + c.per()
	fmt.Fprintf(w, "%*s 0%*s\n", margin-2, "", max(0, used-1), end)
}
