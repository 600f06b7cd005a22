package main

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"lars.internal/cmd/internal/process"
)

// TestSimulateStopped: a run that is interrupted prints what there is, without
// an error.
func TestSimulateStopped(t *testing.T) {
	var out, errs bytes.Buffer
	root := newRoot(process.Env{Stdout: &out, Stderr: &errs})
	root.SetArgs([]string{"simulate", "dead-host"})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := root.ExecuteContext(ctx); err != nil {
		t.Fatal(err)
	}
	if want := "The run was stopped after 0 of 75 s."; !strings.Contains(out.String(), want) {
		t.Errorf("%q is not in\n%s", want, out.String())
	}
}
