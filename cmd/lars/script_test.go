package main

import (
	"errors"
	"os/exec"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"lars": main})
}

// TestScripts runs the command in testdata/script as a person would type it. No
// server runs there; the programs are driven together in cmd/e2e.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("GORACE", "atexit_sleep_ms=0") // else each command takes a second under the race detector
			env.Setenv("XDG_DATA_HOME", env.WorkDir+"/data")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"usage": wrongUsage},
	})
}

// wrongUsage is the script command `usage ARGS...`: lars with these arguments has to
// exit with 2 after one line on standard error, which stderr then looks at.
func wrongUsage(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("usage takes no !")
	}
	err := ts.Exec("lars", args...)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 2 {
		ts.Fatalf("lars %s ended with %v, want exit code 2", strings.Join(args, " "), err)
	}
	if text := ts.ReadFile("stderr"); strings.Count(text, "\n") != 1 {
		ts.Fatalf("want one line on standard error, got %q", text)
	}
}
