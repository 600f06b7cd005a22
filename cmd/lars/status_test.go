package main

import (
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lars.internal/cmd/internal/process"
	"lars.internal/route"
	"lars.internal/store"
)

// reported makes an SQLite file with the rows that report returns, and a route of
// 1/2 with one host. It returns the DSN.
func reported(t *testing.T, statuses ...route.CallStatus) string {
	t.Helper()
	dsn := "sqlite:" + filepath.Join(t.TempDir(), "lars.db")
	db, err := store.Open(dsn, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	edit := route.Edit{Who: "tester", Changes: []route.Change{{Action: route.Add, Key: key12, Hosts: []route.Host{hostOf(1)}}}}
	if _, err := db.EditRoutes(t.Context(), edit); err != nil {
		t.Fatal(err)
	}
	if _, err := db.UpsertStatus(t.Context(), statuses); err != nil {
		t.Fatal(err)
	}
	return dsn
}

var key12 = route.Key{Modid: 1, Cmdid: 2}

func hostOf(n uint32) route.Host { return route.Host{IP: 10<<24 + n, Port: 80} }

func statusOf(n uint32, age time.Duration, ejected bool) route.CallStatus {
	return route.CallStatus{Key: key12, Host: hostOf(n), Caller: 10 << 24, Succ: n, Time: time.Now().Add(-age).Unix(), Overload: ejected}
}

// lars runs the command and returns what it printed.
func lars(t *testing.T, args ...string) (out, errors string) {
	t.Helper()
	var stdout, stderr strings.Builder
	if err := run(context.Background(), process.Env{Args: args, Stdout: &stdout, Stderr: &stderr}); err != nil {
		t.Fatal(err)
	}
	return stdout.String(), stderr.String()
}

// Hosts that had left the route were shown as if they were still called.
func TestFinding29StatusMarksHostsThatAreGone(t *testing.T) {
	dsn := reported(t, statusOf(1, 0, true), statusOf(2, 3*24*time.Hour, true), statusOf(3, 5*time.Minute, false))
	out, _ := lars(t, "status", "1/2", "--dsn", dsn)
	lines := strings.Split(out, "\n")
	for i, want := range []string{"STATE", "ejected  ", "idle, not in the route", "ejected, not in the route"} {
		if !strings.Contains(lines[i], want) {
			t.Errorf("line %d is %q, want one with %q", i+1, lines[i], want)
		}
	}
	var rows []statusRow
	out, _ = lars(t, "status", "--json", "--dsn", dsn)
	if err := json.Unmarshal([]byte(out), &rows); err != nil {
		t.Fatal(err)
	}
	if len(rows) != 3 || !rows[0].InRoute || rows[1].InRoute || rows[2].InRoute {
		t.Errorf("got %+v, want the first alone in the route", rows)
	}
}

func TestStatusMarksDrainedHosts(t *testing.T) {
	dsn := reported(t, statusOf(1, 0, false), statusOf(2, time.Hour, false))
	lars(t, "host", "drain", hostOf(1).String(), "--dsn", dsn)
	out, _ := lars(t, "status", "1/2", "--dsn", dsn)
	lines := strings.Split(out, "\n")
	for i, want := range []string{"STATE", "idle, drained", "idle, not in the route"} {
		if !strings.Contains(lines[i], want) {
			t.Errorf("line %d is %q, want one with %q", i+1, lines[i], want)
		}
	}
	var rows []statusRow
	out, _ = lars(t, "status", "--json", "--dsn", dsn)
	if err := json.Unmarshal([]byte(out), &rows); err != nil {
		t.Fatal(err)
	}
	if rows[0].InRoute || !rows[0].Drained || rows[1].Drained {
		t.Errorf("got %+v, want the first drained", rows)
	}
}

// --limit hid that there was more, no row said how old it was, and when reports
// did not arrive any more nothing showed it.
func TestFinding41StatusSaysWhatItLeavesOut(t *testing.T) {
	dsn := reported(t, statusOf(1, 5*time.Minute+time.Second, false), statusOf(2, 3*24*time.Hour, false))
	out, errors := lars(t, "status", "--limit", "1", "--dsn", dsn)
	if lines := strings.Split(strings.TrimSpace(out), "\n"); len(lines) != 2 || !strings.HasSuffix(lines[0], "AGE") || !strings.HasSuffix(lines[1], " 5m") {
		t.Errorf("got %q, want one row of an age of 5m", out)
	}
	for _, want := range []string{"1 of 2 rows", "the newest report is 5m old"} {
		if !strings.Contains(errors, want) {
			t.Errorf("standard error is %q, want %q in it", errors, want)
		}
	}
	if _, errors := lars(t, "status", "--dsn", reported(t, statusOf(1, 0, false))); strings.Contains(errors, "of 1 rows") || strings.Contains(errors, "newest") {
		t.Errorf("standard error is %q, want nothing of a row of now", errors)
	}
}

func TestAgeText(t *testing.T) {
	for age, want := range map[time.Duration]string{
		-time.Second: "0s", 59 * time.Second: "59s", time.Minute: "1m", 59 * time.Minute: "59m",
		time.Hour: "1h", 47 * time.Hour: "47h", 48 * time.Hour: "2d", 400 * 24 * time.Hour: "400d",
	} {
		if got := ageText(age); got != want {
			t.Errorf("%v is written %q, want %q", age, got, want)
		}
	}
}
