package report

import (
	"os"
	"reflect"
	"strings"
	"testing"
)

// TestFieldsDocumented: docs/balancing.md names each field of the JSON.
func TestFieldsDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/balancing.md")
	if err != nil {
		t.Fatal(err)
	}
	_, page, ok := strings.Cut(string(text), "### The fields of the JSON")
	if !ok {
		t.Fatal("docs/balancing.md has no section about the JSON")
	}
	seen := 0
	for _, v := range []any{Report{}, Change{}, Summary{}, Delay{}, Load{}, Second{}} {
		for _, f := range reflect.VisibleFields(reflect.TypeOf(v)) {
			name := f.Tag.Get("json")
			if name == "" {
				continue
			}
			seen++
			if !strings.Contains(page, "`"+name+"`") {
				t.Errorf("docs/balancing.md does not name %s", name)
			}
		}
	}
	if seen < 30 {
		t.Errorf("only %d fields found", seen)
	}
}
