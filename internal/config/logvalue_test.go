package config_test

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lars.internal/internal/config"
	"lars.internal/route"
)

// In the log in JSON a service was once an object and a time a number of nanoseconds,
// so no query of a log store could find a service.
func TestFinding37LogValuesAreReadable(t *testing.T) {
	var out strings.Builder
	log := (&config.LogConfig{Level: "info", Format: "json"}).Logger(&out)
	service, host := route.Key{Modid: 1, Cmdid: 2}, route.Host{IP: 127<<24 | 1, Port: 80}
	log.Info("m", "service", service, "host", host, "hosts", []route.Host{host}, "services", []route.Key{service},
		"took", 50*time.Millisecond, "error", errors.New("broken"), "addr", netip.MustParseAddrPort("1.2.3.4:5"),
		"n", 7, "none", nil, slog.Group("g", "took", time.Minute))
	var got map[string]any
	if err := json.Unmarshal([]byte(out.String()), &got); err != nil {
		t.Fatal(err)
	}
	delete(got, "time")
	want := map[string]any{
		"level": "INFO", "msg": "m", "service": "1/2", "host": "127.0.0.1:80", "hosts": []any{"127.0.0.1:80"},
		"services": []any{"1/2"}, "took": "50ms", "error": "broken", "addr": "1.2.3.4:5", "n": 7.0, "none": nil,
		"g": map[string]any{"took": "1m0s"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	out.Reset()
	(&config.LogConfig{Level: "info", Format: "text"}).Logger(&out).Info("m", "service", service, "hosts", []route.Host{host}, "took", time.Second)
	if want := "service=1/2 hosts=[127.0.0.1:80] took=1s\n"; !strings.HasSuffix(out.String(), want) {
		t.Errorf("got %q, want the end %q", out.String(), want)
	}
}
