// Package chart draws how numbers go over time, as text for a terminal and as
// SVG for a page.
//
//	c := chart.Chart{Title: "failed calls", Unit: "a second", Slot: 1, Lines: lines}
//	err := c.Text(os.Stdout, 80)
//	svg := c.SVG()
//
// The lines of one chart have one scale, so that they can be compared.
package chart

import (
	"math"
	"strconv"
)

// Chart is some lines over the same time. The zero value draws nothing.
type Chart struct {
	Title string
	Unit  string  // of the values
	Slot  float64 // what each value stands for, in Per
	Per   string  // the unit of the horizontal axis; none: s
	Lines []Line
	Marks []Mark
}

// Line is the values of one thing, one of each slot.
type Line struct {
	Name   string
	Values []float64
}

// Mark is a moment at which something happened.
type Mark struct {
	At   float64 // on the horizontal axis
	Text string
}

func (c *Chart) per() string {
	if c.Per == "" {
		return "s"
	}
	return c.Per
}

// slots returns the length of the longest line.
func (c *Chart) slots() int {
	n := 0
	for _, l := range c.Lines {
		n = max(n, len(l.Values))
	}
	return n
}

// Empty reports whether all values are 0.
func (c *Chart) Empty() bool { return c.most() == 0 }

func (c *Chart) most() float64 {
	most := 0.0
	for _, l := range c.Lines {
		for _, v := range l.Values {
			most = max(most, v)
		}
	}
	return most
}

// top returns the end of the scale: the next of 1, 2 and 5 times a power of ten.
func (c *Chart) top() float64 {
	most := c.most()
	if most == 0 {
		return 1
	}
	unit := math.Pow(10, math.Floor(math.Log10(most)))
	for _, k := range []float64{1, 2, 5} {
		if most <= k*unit*1.0001 {
			return k * unit
		}
	}
	return 10 * unit
}

// Number returns a value with three digits, as people write it; integers with all
// of theirs.
func Number(v float64) string {
	if v != math.Trunc(v) {
		v = three(v)
	}
	switch a := math.Abs(v); {
	case a >= 100 || v == math.Trunc(v):
		return thousands(strconv.FormatFloat(v, 'f', 0, 64))
	case a >= 0.001:
		return strconv.FormatFloat(v, 'f', 2-int(math.Floor(math.Log10(a))), 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

// thousands puts commas into the digits of an integer.
func thousands(digits string) string {
	first := 0
	if digits[0] == '-' {
		first = 1
	}
	for i := len(digits) - 3; i > first; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
