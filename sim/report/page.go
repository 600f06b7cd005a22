package report

import (
	_ "embed"
	"html/template"
	"io"
	"strconv"

	"lars.internal/sim/chart"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Parse(pageText))

// pageData is what the template of the page gets.
type pageData struct {
	*Report
	Heading, Setting string
	Stopped          bool
	Figures          []Figure
	Charts           []drawing
	Loads            []Figure // the calls of the first hosts
}

// maxLoadRows is how many hosts have a row in the page.
const maxLoadRows = 1000

// drawing is a chart as it stands in the page, with its numbers.
type drawing struct {
	SVG   template.HTML // by package chart, which escapes what it is given
	Title string
	Names []string
	Rows  [][]string
}

// HTML writes the report as a page that needs nothing else.
func (r *Report) HTML(w io.Writer) error {
	data := pageData{Report: r, Heading: r.heading(), Setting: r.setting(), Stopped: r.stopped(), Figures: r.Figures()}
	for h := range min(r.Hosts, maxLoadRows) {
		data.Loads = append(data.Loads, r.loadOf(h))
	}
	for _, c := range r.Charts() {
		data.Charts = append(data.Charts, draw(&c))
	}
	return page.Execute(w, data)
}

// loadOf returns the row of a host: calls, failed ones and share of each run.
func (r *Report) loadOf(host int) Figure {
	f := Figure{Name: strconv.Itoa(host)}
	for i := range r.Runs {
		l := &r.Runs[i].Load[host]
		f.Values = append(f.Values, chart.Number(float64(l.Calls)), chart.Number(float64(l.Failed)), chart.Number(round(l.Share)))
	}
	return f
}

func draw(c *chart.Chart) drawing {
	d := drawing{SVG: template.HTML(c.SVG()), Title: c.Title + ", " + c.Unit}
	for _, l := range c.Lines {
		d.Names = append(d.Names, l.Name)
	}
	for t := range c.Lines[0].Values {
		row := []string{chart.Number(float64(t) * c.Slot)}
		for _, l := range c.Lines {
			row = append(row, chart.Number(l.Values[t]))
		}
		d.Rows = append(d.Rows, row)
	}
	return d
}
