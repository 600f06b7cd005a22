package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

// jsonFlag gives a command the flag --json.
func jsonFlag(c *cobra.Command, p *bool) *cobra.Command {
	c.Flags().BoolVar(p, "json", false, "print JSON, for scripts")
	return c
}

// printJSON writes one value, readable by people too.
func (s *settings) printJSON(v any) error {
	e := json.NewEncoder(s.env.Stdout)
	e.SetEscapeHTML(false) // it is read by people and scripts, not by browsers
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// table prints columns that line up.
type table struct {
	w *tabwriter.Writer
}

func (s *settings) newTable(columns ...string) *table {
	t := &table{tabwriter.NewWriter(s.env.Stdout, 0, 0, 2, ' ', 0)}
	fmt.Fprintln(t.w, strings.Join(columns, "\t"))
	return t
}

func (t *table) row(cells ...any) {
	text := make([]string, len(cells))
	for i, c := range cells {
		text[i] = fmt.Sprint(c)
	}
	fmt.Fprintln(t.w, strings.Join(text, "\t"))
}

func (t *table) flush() error { return t.w.Flush() }
