package agent

import (
	"testing"
	"time"
)

// The results of services that come and go while nobody takes them are
// bounded, and what is lost is counted.
func TestDepartedResultsAreBounded(t *testing.T) {
	r := testRoutes(t, 0)
	sh := r.shardOf(key12)
	for range 3 * maxDeparted {
		r.pick(key12, time.Hour)
		r.update(key12, hostsN(1), false, time.Hour)
		r.report(key12, hostN(0), true, time.Hour)
		r.update(key12, nil, false, time.Hour)
	}
	if len(sh.departed) != maxDeparted || r.totals().lostResults != 2*maxDeparted {
		t.Errorf("%d results are kept, %d lost", len(sh.departed), r.totals().lostResults)
	}
	taken := 0
	for _, _, ok := sh.takeReport(nil, 0); ok; _, _, ok = sh.takeReport(nil, 0) {
		taken++
	}
	if taken != maxDeparted || sh.departedResults != 0 {
		t.Errorf("%d results taken, %d left", taken, sh.departedResults)
	}
}

// What the balancer loses of hosts that left is counted with the rest.
func TestResultsOfHostsThatLeft(t *testing.T) {
	const n = 3000
	r := testRoutes(t, 0)
	r.pick(key12, time.Hour)
	r.update(key12, hostsN(n), false, time.Hour)
	for i := range n {
		r.report(key12, hostN(i), true, time.Hour)
	}
	r.update(key12, hostsN(2 * n)[n:], false, time.Hour)
	_, results, _ := r.shardOf(key12).takeReport(nil, time.Hour)
	reported := 0
	for _, res := range results {
		reported += int(res.Succ)
	}
	if lost := r.totals().lostResults; reported+int(lost) != n || lost == 0 {
		t.Errorf("%d are reported and %d counted as lost, of %d", reported, lost, n)
	}
}

// A service with very many hosts is forgotten with the few that were called.
func TestDepartedServiceWithManyHosts(t *testing.T) {
	r := testRoutes(t, 0)
	r.pick(key12, time.Hour)
	r.update(key12, hostsN(maxDeparted+1), false, time.Hour)
	r.report(key12, hostN(7), true, time.Hour)
	r.update(key12, nil, false, time.Hour)
	_, results, ok := r.shardOf(key12).takeReport(nil, time.Hour)
	if !ok || len(results) != 1 || results[0].Host != hostN(7) || r.totals().lostResults != 0 {
		t.Errorf("reported %v, lost %d; want the one result", results, r.totals().lostResults)
	}
}
