package engine

import (
	"lars.internal/ledger"
	"testing"
	"time"
)

// The results of services that come and go while nobody takes them are
// bounded, and what is lost is counted.
func TestDepartedResultsAreBounded(t *testing.T) {
	r := testEngine(0)
	sh := r.shardOf(key12)
	for range 3 * ledger.MaxClosed {
		r.pick(key12, time.Hour)
		r.update(key12, hostsN(1), false, time.Hour)
		r.report(key12, hostN(0), true, time.Hour)
		r.update(key12, nil, false, time.Hour)
	}
	if sh.ledger.Kept() != ledger.MaxClosed || r.Counters().LostResults != 2*ledger.MaxClosed {
		t.Errorf("%d results are kept, %d lost", sh.ledger.Kept(), r.Counters().LostResults)
	}
	taken := 0
	for _, _, ok := r.takeReport(key12, 0); ok; _, _, ok = r.takeReport(key12, 0) {
		taken++
	}
	if taken != ledger.MaxClosed || sh.ledger.Kept() != 0 {
		t.Errorf("%d results taken, %d left", taken, sh.ledger.Kept())
	}
}

// What the balancer loses of hosts that left is counted with the rest.
func TestResultsOfHostsThatLeft(t *testing.T) {
	const n = 3000
	r := testEngine(0)
	r.pick(key12, time.Hour)
	r.update(key12, hostsN(n), false, time.Hour)
	for i := range n {
		r.report(key12, hostN(i), true, time.Hour)
	}
	r.update(key12, hostsN(2 * n)[n:], false, time.Hour)
	_, results, _ := r.takeReport(key12, time.Hour)
	reported := 0
	for _, res := range results {
		reported += int(res.Succ)
	}
	if lost := r.Counters().LostResults; reported+int(lost) != n || lost == 0 {
		t.Errorf("%d are reported and %d counted as lost, of %d", reported, lost, n)
	}
}

// A service with very many hosts is forgotten with the few that were called.
func TestDepartedServiceWithManyHosts(t *testing.T) {
	r := testEngine(0)
	r.pick(key12, time.Hour)
	r.update(key12, hostsN(ledger.MaxClosed+1), false, time.Hour)
	r.report(key12, hostN(7), true, time.Hour)
	r.update(key12, nil, false, time.Hour)
	_, results, ok := r.takeReport(key12, time.Hour)
	if !ok || len(results) != 1 || results[0].Host != hostN(7) || r.Counters().LostResults != 0 {
		t.Errorf("reported %v, lost %d; want the one result", results, r.Counters().LostResults)
	}
}
