package engine

import (
	"testing"
	"time"

	"lars.internal/lb"
)

// A report of which one message arrived in part is reported again, whichever of
// its messages that was, and one that arrived is not.
func TestReportThatArrivedInPart(t *testing.T) {
	for name, c := range map[string]struct {
		first, second func(*Engine, uint64) bool
		again         bool
	}{
		"all arrived":    {(*Engine).Acked, (*Engine).Acked, false},
		"first in part":  {(*Engine).AckedInPart, (*Engine).Acked, true},
		"second in part": {(*Engine).Acked, (*Engine).AckedInPart, true},
	} {
		t.Run(name, func(t *testing.T) {
			e := testEngine(0)
			e.pick(key12, time.Hour)
			e.update(key12, hostsN(1), false, time.Hour)
			e.report(key12, hostN(0), true, time.Hour)
			part := int(key12.Hash() % Parts)
			r, _, _ := e.TakeReport(part, nil, time.Hour+3*time.Second)
			if r.Span != 3*time.Second {
				t.Errorf("span %v, want 3s", r.Span)
			}
			one, two := e.Number(r), e.Number(r)
			e.Sent(r)
			if !c.first(e, one) || c.first(e, one) || !c.second(e, two) || e.InFlight() != 0 {
				t.Error("what was in flight is wrong")
			}
			again, results, ok := e.TakeReport(part, nil, time.Hour+5*time.Second)
			if ok != c.again {
				t.Fatalf("reported again: %v, want %v", ok, c.again)
			}
			if ok && (results[0].TotalSucc != 1 || again.Span != 5*time.Second) {
				t.Errorf("%+v, span %v", results[0], again.Span)
			}
		})
	}
}

// What a program tells of a call, what became of the host and since when it is
// known is part of the report.
func TestReportHasKindsAndLatencies(t *testing.T) {
	e := testEngine(0)
	for i := range e.shards {
		e.shards[i].ledger.Epoch = 1_790_000_000
	}
	e.pick(key12, time.Hour)
	e.update(key12, hostsN(2), false, time.Hour)
	for range 15 {
		e.Observe(key12, hostN(0), lb.Outcome{Failed: 1, Kind: lb.KindTimeout, Latency: time.Second}, time.Hour)
	}
	_, results, _ := e.takeReport(key12, time.Hour)
	r := results[0]
	if r.Timeout != 15 || r.LatencySum != 15_000_000 || len(r.Latency) == 0 || r.Ejections != 1 || !r.Overload || r.Reason < lb.CauseRefused {
		t.Errorf("%+v", r)
	}
	if want := uint32(1_790_000_000 + 3600); r.Since != want {
		t.Errorf("since %d, want %d", r.Since, want)
	}
}
