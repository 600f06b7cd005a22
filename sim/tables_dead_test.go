package sim

import (
	"fmt"
	"time"
)

// oneOf returns a run in which one of n hosts changes at 10 s and heals at 40 s.
func oneOf(n int, rate float64, c Change) Scenario {
	s := DefaultScenario()
	s.Hosts, s.Rate, s.Agents, s.Length = n, rate, 40, 75*sec
	if rate > 100 {
		s.Agents = 6
	}
	s.Steps = []Step{{At: 10 * sec, Change: c}, {At: 40 * sec, Change: Heals}}
	return s
}

// oneOfFigures are what a bad host costs, and how soon it is back.
func oneOfFigures(s *Scenario, r *Result) figures {
	return figures{
		"first":     r.Failed.Sum(10*sec, 20*sec) / float64(s.Agents), // failed calls of a machine in 10 s
		"late":      100 * r.failedShare(20*sec, 40*sec),              // then, in percent
		"median":    r.ToReturn.Quantile(0.5).Seconds(),               // back in rotation
		"worst":     r.ToReturn.Quantile(1).Seconds(),
		"still out": float64(r.StillOut),
	}
}

// fullAfter returns how long after since the host had 90 % of an equal share
// over two seconds.
func fullAfter(r *Result, host int, since, end time.Duration) time.Duration {
	for at := since; at+2*sec <= end; at += sec {
		if r.hostShare(host, at, at+2*sec) >= 0.9 {
			return at + sec - since
		}
	}
	return end - since
}

func showCost(f figures) string { return count(f["first"]) + " / " + percent(f["late"]) }

// deadTables are what one bad host of N costs: refused, dark and hung, and what
// a user sees of it with second tries.
func deadTables() []table {
	columns := func(c Change) []column {
		return perRate([]float64{20, 1000}, []int{3, 10, 20, 100}, func(n int, rate float64) Scenario { return oneOf(n, rate, c) })
	}
	corner := "calls failed within 10 s by machine / share of the calls after that"
	rows := []row{roundRobinRow, classicRow, envoyRow, linkerdRow, unprobedRow, adaptiveRow}
	back := func(first float64) []bound {
		return []bound{atMost("first", first), atMost("late", 0), atMost("median", 1.3), atMost("worst", 1.5), atMost("still out", 0)}
	}
	hung := func(first float64) []bound {
		return []bound{atMost("first", first), atMost("late", 0.1), atMost("worst", 3)}
	}
	return []table{
		{
			name: "refused", corner: corner, rows: rows, columns: columns(Dies), measure: oneOfFigures, show: showCost,
			bounds: []cell{
				in("adaptive", "N=3, 20/s", back(1.2)...),
				in("adaptive", "N=10, 20/s", back(1.2)...),
				wholly(in("adaptive", "N=20, 20/s", atMost("first", 1.1), atMost("late", 0.02), atMost("worst", 1.5))),
				in("adaptive", "N=100, 20/s", atMost("first", 1), atMost("late", 0.1), atMost("worst", 1.5)),
				in("adaptive", "N=3, 1000/s", back(2)...),
				in("adaptive", "N=10, 1000/s", back(1.5)...),
				wholly(in("adaptive", "N=20, 1000/s", back(1.5)...)),
				wholly(in("adaptive", "N=100, 1000/s", back(1.2)...)),
				in("adaptive, probe = off", "N=10, 1000/s", within("first", 3, 12), atMost("late", 0.05)),
				in("classic", "N=10, 1000/s", within("first", 850, 960), within("late", 8.5, 9.5)),
				wholly(in("round robin", "N=10, 1000/s", within("late", 9.9, 10.1))),
				in("Envoy-like", "N=10, 1000/s", within("first", 3, 7), atMost("late", 0)),
				wholly(in("linkerd-like", "N=10, 1000/s", within("first", 8, 12), atMost("late", 0.02))),
			},
		},
		{
			name: "dark", corner: corner, rows: rows, columns: columns(Dark), measure: oneOfFigures, show: showCost,
			bounds: []cell{
				in("adaptive", "N=3, 20/s", back(1.5)...),
				wholly(in("adaptive", "N=10, 20/s", back(1.2)...)),
				in("adaptive", "N=3, 1000/s", back(8)...),
				in("adaptive", "N=10, 1000/s", back(3.5)...),
				wholly(in("adaptive", "N=20, 1000/s", back(3)...)),
				in("Envoy-like", "N=10, 1000/s", within("first", 80, 130)),
			},
		},
		{
			name: "hung", corner: corner, rows: rows, columns: columns(Hangs), measure: oneOfFigures, show: showCost,
			bounds: []cell{
				in("adaptive", "N=3, 20/s", atMost("first", 4), atMost("late", 0.4)),
				in("adaptive", "N=3, 1000/s", hung(15)...),
				wholly(in("adaptive", "N=10, 1000/s", hung(10)...)),
				in("adaptive", "N=20, 1000/s", hung(9)...),
				wholly(in("adaptive", "N=100, 1000/s", hung(4)...)),
			},
		},
		retryTable(),
	}
}

// retryTable is what users see where failed calls are tried once more.
func retryTable() table {
	with := func(r row) row {
		r.name += ", second try"
		r.change = func(s *Scenario) { s.Retry, s.RetryTimeouts = 0.1, true }
		return r
	}
	t := table{
		name: "retry", corner: "calls that failed for the user within 10 s by machine / share after that",
		rows: []row{classicRow, with(classicRow), adaptiveRow, with(adaptiveRow)}, measure: oneOfFigures, show: showCost,
	}
	for _, c := range []Change{Dies, Dark} {
		for _, n := range []int{3, 10} {
			t.columns = append(t.columns, column{fmt.Sprintf("%v, N=%d, 1000/s", c, n), oneOf(n, 1000, c)})
		}
	}
	half := oneOf(3, 1000, Errors)
	half.Steps[0].Value = 0.5
	t.columns = append(t.columns, column{"fails half, N=3, 1000/s", half})
	for i, c := range t.columns {
		cell := in("adaptive, second try", c.name, atMost("first", 0), atMost("late", 0))
		cell.whole = i%2 != 0
		t.bounds = append(t.bounds, cell)
	}
	t.bounds = append(t.bounds, wholly(in("classic, second try", "dark, N=3, 1000/s", atLeast("late", 0.1))))
	return t
}

// returnTables are how soon a host is back that works again.
func returnTables() []table {
	var columns []column
	for _, c := range []Change{Dies, Dark, Hangs} {
		for _, rate := range []float64{20, 1000} {
			s := oneOf(10, rate, c)
			s.Steps[1].At, s.Length = 30*sec, 180*sec
			if rate > 100 {
				s.Length = 80 * sec
			}
			columns = append(columns, column{fmt.Sprintf("%v, %g/s", c, rate), s})
		}
	}
	return []table{{
		name: "return", corner: "seconds until all machines have it in rotation / until half have a good call / until it gets 90 % of its share",
		rows: []row{classicRow, envoyRow, linkerdRow, adaptiveRow}, columns: columns,
		measure: func(s *Scenario, r *Result) figures {
			return figures{
				"median": r.ToReturn.Quantile(0.5).Seconds(), "worst": r.ToReturn.Quantile(1).Seconds(),
				"works": r.ToWork.Quantile(0.5).Seconds(), "full": fullAfter(r, 0, 30*sec, s.Length).Seconds(),
			}
		},
		show: func(f figures) string {
			worst := count(f["worst"])
			if f["worst"] == 0 { // not ejected
				worst = "-"
			}
			return worst + " / " + count(f["works"]) + " / " + fmt.Sprintf("%.0f", f["full"])
		},
		bounds: []cell{
			in("adaptive", "dies, 1000/s", within("median", 0.1, 1.2), atMost("worst", 1.5), within("full", 3, 9)),
			wholly(in("adaptive", "dies, 20/s", within("median", 0.1, 1.2), atMost("worst", 1.5), atMost("full", 10))),
			wholly(in("adaptive", "dark, 1000/s", within("median", 0.1, 1.3), atMost("worst", 1.5))),
			wholly(in("adaptive", "hangs, 20/s", atMost("works", 35))),
			wholly(in("adaptive", "hangs, 1000/s", within("median", 0.1, 3), atMost("worst", 4), atMost("full", 12))),
			wholly(in("Envoy-like", "dies, 1000/s", atLeast("median", 5))),
		},
	}}
}
