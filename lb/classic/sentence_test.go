package classic

import (
	"testing"
	"time"
)

// Each rule that changes the state of a host is named, with its numbers.
func TestSentence(t *testing.T) {
	noon := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	report := func(c *subject, n int, ok bool, at time.Duration) {
		for range n {
			c.Report(host(0), ok, at)
		}
	}
	for _, tt := range []struct {
		what string
		do   func(c *subject)
		now  time.Duration
		want string
	}{
		{"new", func(*subject) {}, 4200 * time.Millisecond,
			"idle since 11:59:55 (4.2 s). No call in the window of 15 s. Ejected above 10 % failures, now 0 % with 180 virtual calls; " +
				"at 15 failures in a row, now 0; or if 70 % of the window fail, which ends with the first report after 10.8 s more."},
		{"some failures", func(c *subject) { report(c, 10, true, 0); report(c, 2, false, 0) }, 20 * time.Second,
			"idle since 11:59:40 (20 s). 2 of 12 calls failed in the window of 15 s. Ejected above 10 % failures, now 1.04 % with 180 virtual calls; " +
				"at 15 failures in a row, now 2; or if 70 % of the window fail, which ends with the first report from now on."},
		{"a window later", func(c *subject) { report(c, 1, true, 15*time.Second) }, 20 * time.Second,
			"idle since 11:59:40 (20 s). No call in the window of 15 s. Ejected above 10 % failures, now 0 % with 180 virtual calls; " +
				"at 15 failures in a row, now 0; or if 70 % of the window fail, which ends with the first report after 10 s more."},
		{"failures in a row", func(c *subject) { report(c, 15, false, time.Second); report(c, 1, true, time.Second) }, 2 * time.Second,
			"overload since 11:59:59 (1 s): failures in a row 15 >= 15. 0 of 1 call failed since then. Back above 50 % successes, now 16.7 % with 5 virtual calls; " +
				"after 15 successes in a row, now 1; or with the first report after 14 s more. One pick in 11 tries an ejected host."},
		{"share of failures", func(c *subject) {
			for range 10 {
				report(c, 2, false, 0)
				report(c, 1, true, 0)
			}
			report(c, 1, false, 0)
			report(c, 1, true, 0)
			report(c, 1, false, 0)
		}, 0, "overload since 12:00:00 (0 ms): share of failures 10.3 % > 10 %. No call since then. Back above 50 % successes, now 0 % with 5 virtual calls; " +
			"after 15 successes in a row, now 0; or with the first report after 15 s more. One pick in 11 tries an ejected host."},
		{"share of a window", func(c *subject) { report(c, 9, false, 0); report(c, 1, true, 0); report(c, 1, false, 15*time.Second) }, 15 * time.Second,
			"overload since 12:00:00 (0 ms): share of failures in a window 90.9 % >= 70 %. No call since then. Back above 50 % successes, now 0 % with 5 virtual calls; " +
				"after 15 successes in a row, now 0; or with the first report after 15 s more. One pick in 11 tries an ejected host."},
		{"share of successes", func(c *subject) { report(c, 15, false, 0); report(c, 6, true, time.Second) }, time.Second,
			"idle since 12:00:00 (0 ms): share of successes 54.5 % > 50 %. No call in the window of 15 s. Ejected above 10 % failures, now 0 % with 180 virtual calls; " +
				"at 15 failures in a row, now 0; or if 70 % of the window fail, which ends with the first report after 15 s more."},
		{"successes in a row", func(c *subject) { report(c, 15, false, 0); report(c, 40, false, 0); report(c, 15, true, 0) }, 0,
			"idle since 12:00:00 (0 ms): successes in a row 15 >= 15. No call in the window of 15 s. Ejected above 10 % failures, now 0 % with 180 virtual calls; " +
				"at 15 failures in a row, now 0; or if 70 % of the window fail, which ends with the first report after 15 s more."},
		{"out for long", func(c *subject) { report(c, 15, false, 0); report(c, 1, false, 16*time.Second) }, 17 * time.Second,
			"idle since 11:59:59 (1 s): it was out for 16 s >= 15 s. No call in the window of 15 s. Ejected above 10 % failures, now 0 % with 180 virtual calls; " +
				"at 15 failures in a row, now 0; or if 70 % of the window fail, which ends with the first report after 14 s more."},
	} {
		c := newClassic(1, 0)
		tt.do(c)
		s := c.Balancer.Explain(nil)[0]
		if got := c.cfg.Sentence(&s, tt.now, noon); got != tt.want {
			t.Errorf("%s:\ngot  %s\nwant %s", tt.what, got, tt.want)
		}
	}
}

// A host that was credited nothing has no share.
func TestSentenceWithoutVirtualCalls(t *testing.T) {
	cfg := DefaultConfig()
	cfg.InitSuccCnt = 0
	c := newSubject(cfg)
	c.Update(hostsOf(1), 0)
	s := c.Balancer.Explain(nil)[0]
	want := "idle since 00:00:00 (0 ms). No call in the window of 15 s. Ejected above 10 % failures, now 0 % with 0 virtual calls; " +
		"at 15 failures in a row, now 0; or if 70 % of the window fail, which ends with the first report after 15 s more."
	if got := cfg.Sentence(&s, 0, time.Time{}); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
