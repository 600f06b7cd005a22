package classic

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"lars.internal/lb"
	"lars.internal/route"
)

// history drives a Classic and the model through the same calls.
type history struct {
	classic *subject
	model   *model
	now     time.Duration
	last    route.Host // the host picked last
	totals  map[route.Host][2]uint64
}

// drawConfig draws the shipped configuration, or one so tight that every rule
// fires within a few calls.
func drawConfig(t *rapid.T) Config {
	if rapid.Bool().Draw(t, "shipped") {
		return DefaultConfig()
	}
	rate := rapid.SampledFrom([]float64{0, 0.1, 0.25, 0.5, 0.7, 1})
	count := rapid.IntRange(1, 6)
	timeout := rapid.SampledFrom([]time.Duration{time.Second, 15 * time.Second})
	return Config{
		ProbeNum:        count.Draw(t, "probe_num"),
		InitSuccCnt:     rapid.IntRange(0, 12).Draw(t, "init_succ_cnt"),
		InitErrCnt:      rapid.IntRange(0, 5).Draw(t, "init_err_cnt"),
		ErrRate:         rate.Draw(t, "err_rate"),
		SuccRate:        rate.Draw(t, "succ_rate"),
		ContinErrLimit:  count.Draw(t, "contin_err_limit"),
		ContinSuccLimit: count.Draw(t, "contin_succ_limit"),
		WindowErrRate:   rate.Draw(t, "window_err_rate"),
		IdleTimeout:     timeout.Draw(t, "idle_timeout"),
		OverloadTimeout: timeout.Draw(t, "overload_timeout"),
	}
}

// drawHost draws from so few hosts that they meet again.
func drawHost(t *rapid.T) route.Host {
	return host(rapid.IntRange(0, 9).Draw(t, "host"))
}

func host(i int) route.Host { return route.Host{IP: 0x0a000001 + uint32(i), Port: 7777} }

func (h *history) pick(t *rapid.T) {
	got, verdict := h.classic.Pick(h.now)
	want, wantVerdict := h.model.Pick(h.now)
	if got != want || verdict != wantVerdict {
		t.Fatalf("Pick = %v, %v; the model says %v, %v", got, verdict, want, wantVerdict)
	}
	if verdict == lb.Picked {
		h.last = got
	}
}

func (h *history) report(t *rapid.T, to route.Host, ok bool) {
	got, want := h.classic.Report(to, ok, h.now), h.model.Report(to, ok, h.now)
	if got != want {
		t.Fatalf("Report(%v, %v) = %v; the model says %v", to, ok, got, want)
	}
}

// burst reports one result many times over, so that the limits are reached.
func (h *history) burst(t *rapid.T) {
	to, ok := drawHost(t), rapid.Bool().Draw(t, "ok")
	for range rapid.IntRange(1, 25).Draw(t, "times") {
		h.report(t, to, ok)
		h.check(t)
	}
}

func (h *history) update(t *rapid.T) {
	hosts := rapid.SliceOfN(rapid.Custom(drawHost), 0, 14).Draw(t, "hosts")
	h.classic.Update(hosts, h.now)
	h.model.Update(hosts, h.now)
}

func (h *history) wait(t *rapid.T) {
	steps := []time.Duration{0, 1, time.Second - 1, time.Second, 14 * time.Second, 15 * time.Second, time.Hour}
	h.now += rapid.SampledFrom(steps).Draw(t, "wait")
}

func (h *history) collect(t *rapid.T) {
	byHost := func(a, b Result) int { return a.Host.Compare(b.Host) }
	got, want := h.classic.Collect(nil), h.model.Collect(nil)
	slices.SortFunc(got, byHost)
	slices.SortFunc(want, byHost)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("Collect (-model +classic):\n%s", diff)
	}
}

func (h *history) check(t *rapid.T) {
	got := h.classic.Explain(nil)
	if want := h.model.Explain(nil); !slices.Equal(got, want) {
		t.Fatalf("state (-model +classic):\n%s", cmp.Diff(want, got))
	}
	if h.classic.accessCnt != h.model.accessCnt {
		t.Fatalf("access_cnt = %d; the model says %d", h.classic.accessCnt, h.model.accessCnt)
	}
	checkInvariants(t, h.classic)
	h.checkTotals(t, got)
}

// checkTotals sees that the totals of a host that stays never go back.
func (h *history) checkTotals(t *rapid.T, states []HostState) {
	totals := make(map[route.Host][2]uint64, len(states))
	for _, s := range states {
		before, now := h.totals[s.Host], [2]uint64{s.TotalSucc, s.TotalErr}
		rejoined := s.Since == h.now && now == [2]uint64{} && s.Ejected == 0
		if !rejoined && (now[0] < before[0] || now[1] < before[1]) {
			t.Fatalf("totals of %v went from %v back to %v", s.Host, before, now)
		}
		totals[s.Host] = now
	}
	h.totals = totals
}

// checkInvariants sees that every node is in one ring, the ring of its state,
// linked both ways, and found by the index; and that nothing else is.
func checkInvariants(t rapid.TB, c *subject) {
	t.Helper()
	seen := make(map[route.Host]int)
	for _, r := range []ring{c.idle, c.overload} {
		for i := r.head; i != none; {
			n, h := &c.nodes[i], c.hosts[i]
			seen[h]++
			if seen[h] > 1 || n.overload != (r == c.overload) || n.keep {
				t.Fatalf("node %+v of %v: twice, in the wrong ring, or marked", *n, h)
			}
			if c.nodes[n.next].prev != i || c.nodes[n.prev].next != i {
				t.Fatalf("node %+v of %v: its neighbours do not lead back", *n, h)
			}
			if i = n.next; i == r.head {
				break
			}
		}
	}
	for i, h := range c.hosts {
		if seen[h] != 1 || c.index.Find(c.hosts, h) != i {
			t.Fatalf("node %d, %v: in %d rings, index says %d", i, h, seen[h], c.index.Find(c.hosts, h))
		}
	}
	if len(seen) != len(c.nodes) || len(c.hosts) != len(c.nodes) {
		t.Fatalf("%d hosts in rings, %d nodes, %d hosts", len(seen), len(c.nodes), len(c.hosts))
	}
}

func TestClassicEqualsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := drawConfig(t)
		if err := cfg.Validate(); err != nil {
			t.Fatal(err)
		}
		h := &history{classic: newSubject(cfg), model: &model{cfg: cfg}}
		h.update(t)
		t.Repeat(map[string]func(*rapid.T){
			"pick":    h.pick,
			"answer":  func(t *rapid.T) { h.pick(t); h.report(t, h.last, rapid.Bool().Draw(t, "ok")) },
			"report":  func(t *rapid.T) { h.report(t, drawHost(t), rapid.Bool().Draw(t, "ok")) },
			"burst":   h.burst,
			"update":  h.update,
			"wait":    h.wait,
			"collect": h.collect,
			"":        h.check,
		})
		h.collect(t)
	})
}
