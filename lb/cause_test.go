package lb

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// Each reason for which a policy ejects has a number, and no number is of a reason
// that none has.
func TestEveryEjectionHasACause(t *testing.T) {
	reason := regexp.MustCompile(`lb\.Event\{(Kind: [^,]+, |Host: [^,]+, Kind: [^,]+, )?Reason: "([^"]+)"|event\.Reason,? [^"]*= "([^"]+)"`)
	seen := make(map[string]bool)
	files, err := filepath.Glob("[ac]*/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range reason.FindAllSubmatch(text, -1) {
			if len(m[1]) > 0 || regexp.MustCompile(`_test\.go$`).MatchString(file) {
				continue // of another kind
			}
			e := Event{Kind: Ejected, Reason: string(m[2]) + string(m[3])}
			if seen[e.Reason] = true; e.Cause() <= CauseOther {
				t.Errorf("%s: %q has no cause", file, e.Reason)
			}
		}
	}
	for name := range causes {
		if !seen[name] {
			t.Errorf("no policy ejects for %q", name)
		}
	}
}

func TestCauseOfOtherEvents(t *testing.T) {
	for _, c := range []struct {
		event Event
		want  Cause
	}{
		{Event{Kind: Ejected, Reason: "failures in a row"}, CauseRow},
		{Event{Kind: Ejected, Reason: "any"}, CauseOther},
		{Event{Kind: Reinstated, Reason: "failures in a row"}, CauseNone},
	} {
		if got := c.event.Cause(); got != c.want {
			t.Errorf("%+v: cause %d, want %d", c.event, got, c.want)
		}
	}
}
