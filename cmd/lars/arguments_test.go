package main

import (
	"io"
	"slices"
	"strings"
	"testing"

	"lars.internal/cmd/internal/process"
)

func TestArrange(t *testing.T) {
	cases := []struct{ name, args, want string }{
		{"nothing", "", ""},
		{"as it is", "gethost 1/2 --json", "gethost 1/2 --json"},
		{"one dash", "gethost 1/2 -agent 1.2.3.4:5", "gethost 1/2 --agent 1.2.3.4:5"},
		{"a short flag", "gethost -h", "gethost -h"},
		{"after two dashes", "gethost -- -agent", "gethost -- -agent"},
		{"a negative service", "gethost -1/2", "gethost -- -1/2"},
		{"two negative ids", "route add -1 -2 1.2.3.4:5", "route add -- -1 -2 1.2.3.4:5"},
		{"only the second", "getroute 1 -2", "getroute -- 1 -2"},
		{"a flag after it", "gethost -1/2 -agent 1.2.3.4:5 --json", "gethost --agent 1.2.3.4:5 --json -- -1/2"},
		{"a flag before it", "gethost --agent=1.2.3.4:5 -1 2", "gethost --agent=1.2.3.4:5 -- -1 2"},
		{"a flag before the command", "-dsn x route add -1 2 1.2.3.4:5", "route add --dsn x -- -1 2 1.2.3.4:5"},
		{"a flag's own value", "simulator 1/2 --error-rate -1", "simulator --error-rate -1 -- 1/2"},
		{"after two dashes already", "gethost --json -- -1/2", "gethost --json -- -1/2"},
		{"no such flag", "gethost -1/2 --frob", "gethost --frob -- -1/2"},
		{"no value", "gethost -1/2 --agent", "gethost --agent -- -1/2"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			root := newRoot(process.Env{Stdout: io.Discard, Stderr: io.Discard})
			got := arrange(root, strings.Fields(c.args))
			if want := strings.Fields(c.want); !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}
