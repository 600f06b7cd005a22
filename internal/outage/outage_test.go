package outage_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"lars.internal/internal/outage"
)

func TestOneLineForTheBeginAndOneForTheEnd(t *testing.T) {
	var text bytes.Buffer
	o := outage.New(slog.New(slog.NewTextHandler(&text, nil)), "store")
	first, second := o.User(), o.User()
	refused, other := errors.New("refused"), errors.New("other")

	first.Worked()
	if text.Len() > 0 || o.Err() != nil {
		t.Errorf("an outage without a failure: %v, log %q", o.Err(), text.String())
	}
	first.Failed(refused)
	first.Failed(other)
	second.Failed(other)
	first.Worked()
	if since, err := o.Since(); err != refused || since.IsZero() {
		t.Errorf("one user still fails: %v since %v, want %v", err, since, refused)
	}
	second.Worked()
	if o.Err() != nil {
		t.Errorf("all works again, got %v", o.Err())
	}
	lines := strings.Split(strings.TrimSpace(text.String()), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], "store failed") || !strings.Contains(lines[1], "store works again") {
		t.Errorf("log:\n%s", text.String())
	}
}
