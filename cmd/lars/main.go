// Lars is the operator's command of Lars: it runs all servers in one process,
// asks the agent as a program would, edits the routes, and shows what the report
// table and a running agent hold.
//
//	lars up
//	lars gethost 1/2
//	lars route add 1/2 10.0.0.1:8080
//
// `lars help` lists its commands; docs/commands.md describes them. Each command has a
// file of its own; root.go puts them together, settings.go has the flags that all of
// them take. It exits with 0 on success, with 1 after an error, which it reports in
// one line, and with 2 when the command line was wrong.
package main

import (
	"context"

	"lars.internal/cmd/internal/process"
)

// version is set by the linker.
var version string

func main() { process.Main("lars", run) }

func run(ctx context.Context, env process.Env) error {
	root := newRoot(env)
	root.SetArgs(arrange(root, env.Args))
	return root.ExecuteContext(ctx)
}
