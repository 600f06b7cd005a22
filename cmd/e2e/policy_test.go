package e2e_test

import (
	"strings"
	"testing"
)

// testSettings: a setting goes from the command through the database and dns into the
// balancer of a running agent, and out of it again.
func testSettings(w *world) {
	w.start()
	w.report(hostA, nil, "idle")
	where := []string{"1/1", "--pages", w.pages()}
	hosts := func(flags ...string) string {
		return w.lars(append(append([]string{"agent", "hosts"}, where...), flags...)...)
	}
	shows := func(policy string) {
		w.t.Helper()
		eventually(w.t, "the agent has "+policy, func() bool { return strings.Contains(hosts(), policy) })
	}
	shows("policy: classic\n")
	w.lars("service", "set", "1/1", "policy=adaptive", "evidence=20", "update_timeout=30")
	shows("policy: adaptive (evidence=20 policy=adaptive update_timeout=30)\n")
	w.report(hostB, errFailed, "overload")
	if why := w.lars(append([]string{"why"}, append(where, hostB.String())...)...); !strings.Contains(why, "evidence") || !strings.HasSuffix(why, ".\n") {
		w.t.Errorf("lars why says %q", why)
	}
	if why := w.lars(append([]string{"why"}, where...)...); !strings.Contains(why, hostA.String()+"  up") || !strings.Contains(why, hostB.String()+"  out since") {
		w.t.Errorf("lars why says %q", why)
	}
	w.lars("service", "unset", "1/1", "policy", "evidence", "update_timeout")
	shows("policy: classic\n")
	if state := w.state(hostB); state != "idle" {
		w.t.Errorf("classic begins with %v %s", hostB, state)
	}
}

// testShadow: beside classic, a second balancer shows which hosts it would have
// ejected.
func testShadow(t *testing.T, bin string) {
	w := newWorld(t, bin, sqlite(t))
	w.extra = append(w.extra, "LARS_AGENT_SHADOW=adaptive")
	w.start()
	for range 12 {
		if err := w.client.Report(1, 1, hostB, errFailed); err != nil {
			t.Fatal(err)
		}
	}
	shadow := ""
	eventually(t, "the shadow has ejected the host", func() bool {
		shadow = w.lars("agent", "hosts", "1/1", "--shadow", "--pages", w.pages())
		return strings.Contains(shadow, hostB.String()+"  out ")
	})
	if !strings.Contains(shadow, "policy: adaptive\n") || w.state(hostB) != "idle" {
		t.Errorf("the shadow is\n%sand the host is %s", shadow, w.state(hostB))
	}
}
