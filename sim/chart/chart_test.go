package chart

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

func example() Chart {
	return Chart{
		Title: "Failed <calls>", Unit: "a second", Slot: 1,
		Lines: []Line{
			{"adaptive", []float64{0, 0, 1, 0, 0}},
			{"classic", []float64{0, 0, 64, 100, 50}},
		},
		Marks: []Mark{{At: 2, Text: "host 0 dies & burns"}},
	}
}

// TestText: a slot in which anything happened has a bar, and the lines have one
// scale.
func TestText(t *testing.T) {
	var b strings.Builder
	c := example()
	if err := c.Text(&b, 40); err != nil {
		t.Fatal(err)
	}
	want := `
Failed <calls>, a second
       adaptive
   100 |
       |
       |
     0 |            ▁▁▁▁▁▁
       classic
   100 |                  ██████
       |            ▄▄▄▄▄▄██████
       |            ██████████████████
     0 |            ██████████████████
       +------------^-----------------
       0                          5 s
`
	if got := "\n" + b.String(); got != want {
		t.Errorf("got %s", got)
	}
	for _, line := range strings.Split(b.String(), "\n") {
		if n := len([]rune(line)); n > 40 {
			t.Errorf("%d characters: %s", n, line)
		}
	}
}

// TestTextOfManySlots: the largest value of the slots that share a column is
// shown, so that no failure is lost.
func TestTextOfManySlots(t *testing.T) {
	values := make([]float64, 1000)
	values[123] = 7
	c := Chart{Title: "x", Unit: "y", Slot: 1, Lines: []Line{{"a", values}}, Marks: []Mark{{At: 1000, Text: "at the end"}}}
	var b strings.Builder
	if err := c.Text(&b, 60); err != nil {
		t.Fatal(err)
	}
	if !strings.ContainsAny(b.String(), "▃▄▅▆▇█") {
		t.Errorf("the only value is not shown:\n%s", b.String())
	}
	narrow := Chart{Title: "x", Unit: "y", Slot: 1}
	if err := narrow.Text(&b, 0); err != nil {
		t.Error(err)
	}
}

// TestSVGIsWellFormed: it can stand in a page, whatever the names are, and needs
// nothing from elsewhere.
func TestSVGIsWellFormed(t *testing.T) {
	c := example()
	svg := c.SVG()
	d := xml.NewDecoder(strings.NewReader(svg))
	var texts []string
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, svg)
		}
		switch x := token.(type) {
		case xml.StartElement:
			for _, a := range x.Attr {
				if a.Name.Local == "href" || a.Name.Local == "src" {
					t.Errorf("%s refers to %s", x.Name.Local, a.Value)
				}
			}
		case xml.CharData:
			texts = append(texts, string(x))
		}
	}
	all := strings.Join(texts, "\n")
	for _, want := range []string{
		"Failed <calls>, a second", "host 0 dies & burns", "adaptive", "classic", "prefers-color-scheme:dark",
		"classic: 42.8 on average, at most 100, at 3 s",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("%q is not in it:\n%s", want, all)
		}
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 1: "1", -1234: "-1,234", 999: "999", 1000: "1,000", 1234567: "1,234,567", 0.5: "0.500", 99.96: "100", 0.9996: "1", 0.0996: "0.0996", 1.234: "1.23",
		12.345: "12.3", 123.45: "123", 1234.5: "1,230", 0.00012345: "0.000123",
	} {
		if got := Number(v); got != want {
			t.Errorf("Number(%v) = %q, want %q", v, got, want)
		}
	}
}

func TestTop(t *testing.T) {
	for most, want := range map[float64]float64{0: 1, 1: 1, 1.5: 2, 3: 5, 6: 10, 607: 1000, 0.03: 0.05} {
		c := Chart{Lines: []Line{{"a", []float64{most}}}}
		if got := c.top(); got < want*0.999 || got > want*1.001 {
			t.Errorf("the scale of %v ends at %v, want %v", most, got, want)
		}
	}
}
