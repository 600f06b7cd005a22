package keys

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"lars.internal/internal/config"
)

// One file of variables serves all programs: each knows the names of all keys of the
// shipped files, and no other.
func TestFinding42EachProgramKnowsAllVariables(t *testing.T) {
	files, err := filepath.Glob("../../../conf/*.conf")
	if err != nil || len(files) != 3 {
		t.Fatalf("shipped files: %q, %v", files, err)
	}
	set := config.NewSet("lars-test")
	Share(set)
	names := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		section := ""
		for _, m := range regexp.MustCompile(`(?m)^(?:\[(\w+)\]|(\w+) *=)`).FindAllStringSubmatch(string(text), -1) {
			if m[1] != "" {
				section = m[1]
				continue
			}
			name := "LARS_" + strings.ToUpper(section+"_"+m[2])
			if err := set.Load(config.Sources{Environ: []string{name + "=x"}}); err != nil {
				t.Errorf("%s of %s: %v", name, filepath.Base(file), err)
			}
			names++
		}
	}
	if names < 50 {
		t.Errorf("only %d keys found in the shipped files", names)
	}
	err = set.Load(config.Sources{Environ: []string{"LARS_AGENT_PROT=5"}})
	if err == nil || !strings.Contains(err.Error(), "did you mean LARS_AGENT_PORT?") {
		t.Errorf("LARS_AGENT_PROT: %v, want an error with a hint", err)
	}
}
