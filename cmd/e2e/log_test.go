package e2e_test

import (
	"encoding/json"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// testFinding37JSONLog walks the log of a life of all servers: no value is an object,
// and no time a bare number.
func testFinding37JSONLog(t *testing.T, bin string) {
	w := newWorld(t, bin, sqlite(t))
	w.extra = []string{"LARS_LOG_FORMAT=json", "LARS_LOG_LEVEL=debug"}
	w.startDNS("-dns.snapshot", t.TempDir()+"/dns.snapshot")
	w.startReporter()
	w.startAgent("-agent.snapshot", t.TempDir()+"/agent.snapshot")
	w.served(1, 1)
	w.report(hostB, errFailed, "overload")
	w.report(hostB, nil, "idle")
	w.lars("route", "add", "1/1", hostC.String())
	w.hasRoute(hostA, hostB, hostC)
	w.reporter.kill()
	w.startReporter()
	eventually(t, "the second reporter serves", func() bool { return strings.Contains(w.reporter.output(), "listening") })
	services := 0
	for _, p := range []*program{w.agent, w.reporter, w.dns} {
		p.stop(syscall.SIGTERM)
		for line := range strings.Lines(p.output()) {
			services += checkLogLine(t, p.name, line)
		}
	}
	if services < 2 {
		t.Errorf("%d lines name a service, want some of ejections and of the edit", services)
	}
}

// checkLogLine returns 1 if the line names a service.
func checkLogLine(t *testing.T, name, line string) int {
	t.Helper()
	var values map[string]any
	if err := json.Unmarshal([]byte(line), &values); err != nil {
		t.Errorf("%s: %v in %s", name, err, line)
	}
	times := []string{"took", "after", "age", "for", "waited"}
	for key, v := range values {
		_, number := v.(float64)
		if _, object := v.(map[string]any); object || number && slices.Contains(times, key) {
			t.Errorf("%s: the value of %q is %v in %s", name, key, v, line)
		}
	}
	switch service := values["service"].(type) {
	case nil:
		return 0
	case string:
		if strings.Contains(service, "/") {
			return 1
		}
	}
	t.Errorf("%s: the service is %v in %s", name, values["service"], line)
	return 0
}
