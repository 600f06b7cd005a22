package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lars.internal/internal/config"
)

func TestCheckShippedFindsDifferences(t *testing.T) {
	set := config.NewSet("lars-test")
	set.Int(new(int), "a", "one", 1, config.Between(0, 9), "doc")
	set.Int(new(int), "a", "two", 2, config.Between(0, 9), "doc")
	set.Int(new(int), "a", "three", 3, config.Between(0, 9), "doc")
	path := write(t, "[a]\n; says why\none = 7\ntwo = 2\n; odd\nfour = 4\n")
	want := strings.ReplaceAll(strings.Join([]string{
		`FILE:3: [a] one: got "7", want the default "1"`,
		`FILE:4: [a] two: no comment above it`,
		`FILE:6: [a] four: lars-test does not take it`,
		`FILE: [a] three is missing`,
	}, "\n"), "FILE", path)
	if err := set.CheckShipped(path); err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.conf")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
