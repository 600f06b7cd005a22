// Lars is the operator's command of Lars: it runs the whole system in one process,
// asks the agent as a program would, edits the routes, and shows what the report
// table and a running agent hold.
//
//	lars up
//	lars gethost 1/2
//	lars route add 1/2 10.0.0.1:8080
//
// `lars help` lists its commands; docs/commands.md describes them. It exits with 0,
// with 1 after an error, which it tells in one line, and with 2 when it was called
// in a wrong way.
package main

import (
	"context"
	"fmt"

	"lars/cmd/internal/process"
)

// version is set by the linker.
var version string

func main() { process.Main(run) }

func run(ctx context.Context, env process.Env) error {
	root := newRoot(env)
	root.SetArgs(doubleDashes(env.Args))
	if err := root.ExecuteContext(ctx); err != nil {
		return fmt.Errorf("lars: %w", err)
	}
	return nil
}

// doubleDashes lets long flags be written with one dash too, -config FILE, as the
// servers take them. A number keeps its dash, and so does all behind a "--".
func doubleDashes(args []string) []string {
	out := make([]string, len(args))
	copy(out, args)
	for i, a := range out {
		if a == "--" {
			break
		}
		if len(a) > 2 && a[0] == '-' && 'a' <= a[1] && a[1] <= 'z' {
			out[i] = "-" + a
		}
	}
	return out
}
