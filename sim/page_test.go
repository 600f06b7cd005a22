package sim

import (
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "measure the tables of docs/balancing.md and draw its pictures anew")

const (
	pageFile   = "../docs/balancing.md"
	pictureDir = "../docs/balancing/"
	measuredBy = "`make balancing`"
)

// block is a part of the page that is generated.
var block = regexp.MustCompile(`(?s)<!-- (measured|table [a-z ]+) -->\n(.*?)<!-- end -->\n`)

func pageText(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(pageFile)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestBalancingPage: docs/balancing.md has the tables that are measured here, with
// their rows and columns, and the pictures that are drawn here. With -update it is
// written anew, which takes minutes.
func TestBalancingPage(t *testing.T) {
	if *update {
		writePage(t)
	}
	page := pageText(t)
	blocks := map[string]string{}
	for _, m := range block.FindAllStringSubmatch(page, -1) {
		blocks[m[1]] = m[2]
	}
	if !strings.Contains(blocks["measured"], measuredBy) {
		t.Errorf("the page does not say that %s measures it", measuredBy)
	}
	for _, table := range tables() {
		name := "table " + table.name
		checkBlock(t, &table, blocks[name])
		delete(blocks, name)
	}
	for name := range blocks {
		if name != "measured" {
			t.Errorf("the page has a %s that nobody measures", name)
		}
	}
	for _, p := range pictures() {
		checkPicture(t, page, p.name)
	}
}

// checkBlock holds that a table of the page has the rows and columns of ours.
func checkBlock(t *testing.T, table *table, text string) {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) != 2+len(table.rows) {
		t.Errorf("table %s of the page has %d lines, want %d: run make balancing", table.name, len(lines), 2+len(table.rows))
		return
	}
	if lines[0] != table.head() {
		t.Errorf("table %s of the page: head\n%s, want\n%s: run make balancing", table.name, lines[0], table.head())
	}
	for i, r := range table.rows {
		cells := strings.Split(lines[2+i], "|")
		if len(cells) != len(table.columns)+3 || strings.TrimSpace(cells[1]) != r.name {
			t.Errorf("table %s of the page: row %s, want %s and %d cells: run make balancing", table.name, lines[2+i], r.name, len(table.columns))
		}
	}
}

// checkPicture holds that the page shows the picture, which stands alone.
func checkPicture(t *testing.T, page, name string) {
	if !strings.Contains(page, "](balancing/"+name+".svg)") {
		t.Errorf("the page does not show %s.svg", name)
	}
	file, err := os.Open(pictureDir + name + ".svg")
	if err != nil {
		t.Errorf("%v: run make balancing", err)
		return
	}
	defer file.Close()
	for d := xml.NewDecoder(file); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Errorf("%s.svg: %v", name, err)
			return
		}
	}
}

// head returns the first line of the table in Markdown.
func (t *table) head() string {
	line := "| " + t.corner + " |"
	for _, c := range t.columns {
		line += " " + c.name + " |"
	}
	return line
}

func writePage(t *testing.T) {
	t.Helper()
	for _, p := range pictures() {
		c := p.draw(t)
		if err := os.WriteFile(pictureDir+p.name+".svg", []byte(c.SVG()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	texts := map[string]string{"measured": fmt.Sprintf("Measured on %s by %s, each cell by one run with seed 1.\n", time.Now().UTC().Format("2 January 2006"), measuredBy)}
	for _, table := range tables() {
		texts["table "+table.name] = table.markdown(t)
		t.Logf("table %s", table.name)
	}
	page := block.ReplaceAllStringFunc(pageText(t), func(old string) string {
		name := block.FindStringSubmatch(old)[1]
		text, ok := texts[name]
		if !ok {
			return old
		}
		return "<!-- " + name + " -->\n" + text + "<!-- end -->\n"
	})
	if err := os.WriteFile(pageFile, []byte(page), 0o644); err != nil {
		t.Fatal(err)
	}
}

// markdown measures all cells of the table.
func (t *table) markdown(tb testing.TB) string {
	tb.Helper()
	cells := make([]string, len(t.rows)*len(t.columns))
	jobs := make(chan int) // closed when all are given out
	var wait sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wait.Go(func() {
			for i := range jobs {
				f, err := t.run(t.rows[i/len(t.columns)], t.columns[i%len(t.columns)])
				if err != nil {
					tb.Error(err)
					continue
				}
				cells[i] = t.show(f)
			}
		})
	}
	for i := range cells {
		jobs <- i
	}
	close(jobs)
	wait.Wait()
	var b strings.Builder
	b.WriteString(t.head() + "\n|---" + strings.Repeat("|--:", len(t.columns)) + "|\n")
	for i, r := range t.rows {
		b.WriteString("| " + r.name + " |")
		for k := range t.columns {
			b.WriteString(" " + cells[i*len(t.columns)+k] + " |")
		}
		b.WriteString("\n")
	}
	return b.String()
}

// TestPageDescribesScenarios: what a scenario file may hold is on the page.
func TestPageDescribesScenarios(t *testing.T) {
	page := pageText(t)
	s := DefaultScenario()
	var words []string
	for key := range s.settings() {
		words = append(words, key)
	}
	for key := range s.flags() {
		words = append(words, key)
	}
	for _, c := range changes {
		words = append(words, c.name)
	}
	for _, word := range append(append(words, "policy", "against"), Policies()...) {
		if !regexp.MustCompile("`" + word + "[ `]").MatchString(page) {
			t.Errorf("docs/balancing.md does not describe %s", word)
		}
	}
	for _, name := range Shipped() {
		if !strings.Contains(page, "`"+name+"`") {
			t.Errorf("docs/balancing.md does not name the scenario %s", name)
		}
	}
}
