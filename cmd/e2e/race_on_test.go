//go:build race

package e2e_test

// buildFlags puts the race detector into the programs when it watches the test.
var buildFlags = []string{"-race"}
