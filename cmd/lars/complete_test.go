package main

import (
	"io"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"lars.internal/cmd/internal/process"
)

// TestFinding43CompletionOffersNoFiles: the tab key once offered the files of the
// folder where a service, a host or nothing was wanted.
func TestFinding43CompletionOffersNoFiles(t *testing.T) {
	eachCommand(newRoot(process.Env{Stdout: io.Discard, Stderr: io.Discard}), func(c *cobra.Command) {
		if c.ValidArgsFunction == nil {
			t.Errorf("%s: no completion of arguments", c.CommandPath())
		}
	})
	for _, args := range []string{"version ", "db migrate ", "up ", "agent services ", "gethost --agent ", "route list --dsn ", "qps 2 --service "} {
		var out strings.Builder
		root := newRoot(process.Env{Stdout: &out, Stderr: io.Discard,
			Environ: []string{"LARS_STORE_DSN=sqlite:" + t.TempDir() + "/none.db", "LARS_DEBUG_ADDR=off"}})
		root.SetArgs(append([]string{"__complete"}, strings.Split(args, " ")...))
		if err := root.ExecuteContext(t.Context()); err != nil {
			t.Fatal(err)
		}
		if want := ":36\n"; !strings.HasPrefix(out.String(), want) && !strings.HasPrefix(out.String(), ":4\n") {
			t.Errorf("%q: completion says %q, want nothing and no files", args, out.String())
		}
	}
}
