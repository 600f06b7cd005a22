package report

import (
	"bytes"
	"fmt"
	"io"
	"text/tabwriter"
	"unicode/utf8"

	"github.com/mitchellh/go-wordwrap"

	"lars.internal/sim/chart"
)

// Text writes the report with at most width characters a line where it can: what
// happened, the charts, and the figures of the runs beside each other.
func (r *Report) Text(w io.Writer, width int) error {
	var b bytes.Buffer
	r.writeHead(&b, width)
	for _, c := range r.Charts() {
		b.WriteString("\n")
		if err := c.Text(&b, width); err != nil {
			return err
		}
	}
	b.WriteString("\n")
	r.writeFigures(&b)
	_, err := w.Write(b.Bytes())
	return err
}

// maxChanges is how many changes a text lists.
const maxChanges = 12

func (r *Report) writeHead(b *bytes.Buffer, width int) {
	fmt.Fprintf(b, "%s\n", wordwrap.WrapString(r.heading(), uint(width)))
	fmt.Fprintf(b, "%s\n", wordwrap.WrapString(r.setting(), uint(width)))
	for i, c := range r.Changes {
		if i == maxChanges {
			fmt.Fprintf(b, "  and %d further changes\n", len(r.Changes)-i)
			break
		}
		fmt.Fprintf(b, "  %s\n", c)
	}
	if r.stopped() {
		fmt.Fprintf(b, "The run was stopped after %s of %s s.\n", chart.Number(r.Simulated), chart.Number(r.Length))
	}
}

func (r *Report) stopped() bool { return r.Simulated < r.Length }

// heading names the scenario and what it shows.
func (r *Report) heading() string {
	if r.Title == "" {
		return r.Name
	}
	return r.Name + ": " + r.Title
}

// setting says what is simulated.
func (r *Report) setting() string {
	return fmt.Sprintf("%s, %s calls/s each, %s, %s s, seed %d",
		plural(r.Agents, "agent"), chart.Number(r.Rate), plural(r.Hosts, "host"), chart.Number(r.Length), r.Seed)
}

// String returns the change as people read it.
func (c Change) String() string {
	if c.At == 0 {
		return c.What
	}
	return "at " + chart.Number(c.At) + " s: " + c.What
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return chart.Number(float64(n)) + " " + noun + "s"
}

// writeFigures writes the figures in columns: names to the left, numbers to the
// right.
func (r *Report) writeFigures(b *bytes.Buffer) {
	columns := make([]column, 1+len(r.Runs))
	for _, row := range r.Figures() {
		columns[0].add(row.Name)
		for i, v := range row.Values {
			columns[1+i].add(v)
		}
	}
	for y := range columns[0].cells {
		fmt.Fprintf(b, "%-*s", columns[0].width, columns[0].cells[y])
		for _, c := range columns[1:] {
			fmt.Fprintf(b, "   %*s", c.width, c.cells[y])
		}
		b.WriteString("\n")
	}
}

type column struct {
	cells []string
	width int
}

func (c *column) add(cell string) {
	c.cells = append(c.cells, cell)
	c.width = max(c.width, utf8.RuneCountInString(cell))
}

// WriteSeconds writes what happened in each second, of each run.
func (r *Report) WriteSeconds(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "second\t")
	for i := range r.Runs {
		fmt.Fprintf(t, "%s: calls\tfailed\trefused\tp99 ms\t", r.Runs[i].Policy)
	}
	fmt.Fprintln(t)
	for y := range r.Runs[0].Seconds {
		fmt.Fprintf(t, "%d\t", y)
		for i := range r.Runs {
			s := &r.Runs[i].Seconds[y]
			fmt.Fprintf(t, "%d\t%d\t%d\t%s\t", s.Calls, s.Failed, s.Refused, chart.Number(s.P99))
		}
		fmt.Fprintln(t)
	}
	return t.Flush()
}
