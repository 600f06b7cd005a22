package report

import (
	"fmt"
	"math"

	"lars.internal/sim/chart"
)

// Figure is one thing that was counted or measured, of each run, in words.
type Figure struct {
	Name   string
	Values []string
}

// Figures returns the table of the report: the runs beside each other, with
// their names first. Rows that would say nothing are left out.
func (r *Report) Figures() []Figure {
	rows := []Figure{r.figure("", func(s *Summary) string { return s.Policy })}
	add := func(show bool, name string, value func(*Summary) string) {
		if show {
			rows = append(rows, r.figure(name, value))
		}
	}
	some := func(is func(*Summary) bool) bool {
		for i := range r.Runs {
			if is(&r.Runs[i]) {
				return true
			}
		}
		return false
	}
	changes := some(func(s *Summary) bool { return s.ToEject.Count > 0 })
	add(true, "calls", func(s *Summary) string { return chart.Number(float64(s.Calls)) })
	add(true, "failed within 10 s of the first change, by agent", func(s *Summary) string { return r.perAgent(s.FailedEarly) })
	add(true, "failed later", func(s *Summary) string { return r.counted(s.FailedLater, s.LaterShare) })
	add(some(func(s *Summary) bool { return s.Refused > 0 }), "refused", func(s *Summary) string { return r.share(s.Refused, s.Calls) })
	add(some(func(s *Summary) bool { return s.Retries > 0 }), "second tries", func(s *Summary) string { return r.share(int64(s.Retries), s.Calls) })
	add(changes, "time to eject a bad host: half, all", func(s *Summary) string { return times(s.ToEject) })
	add(changes, "  times it was ejected", func(s *Summary) string { return chart.Number(float64(s.ToEject.Count)) })
	add(changes, "time to return: half, all", func(s *Summary) string { return times(s.ToReturn) })
	add(some(func(s *Summary) bool { return s.StillOut > 0 }), "  times it did not return", func(s *Summary) string { return chart.Number(float64(s.StillOut)) })
	add(true, "hosts ejected that were well", func(s *Summary) string { return chart.Number(float64(s.Unfounded)) })
	add(some(func(s *Summary) bool { return s.Probes > 0 }), "probes", func(s *Summary) string { return chart.Number(float64(s.Probes)) })
	add(true, "p50, p99, p99.9 of a call, ms", func(s *Summary) string {
		if s.P50 == 0 {
			return "-"
		}
		return fmt.Sprintf("%s, %s, %s", chart.Number(s.P50), chart.Number(s.P99), chart.Number(s.P999))
	})
	return append(rows, r.loads()...)
}

func (r *Report) figure(name string, value func(*Summary) string) Figure {
	f := Figure{Name: name}
	for i := range r.Runs {
		f.Values = append(f.Values, value(&r.Runs[i]))
	}
	return f
}

func (r *Report) perAgent(n int64) string { return chart.Number(float64(n) / float64(r.Agents)) }

func (r *Report) share(n, of int64) string {
	if of == 0 {
		return "0"
	}
	return r.counted(n, float64(n)/float64(of))
}

func (r *Report) counted(n int64, share float64) string {
	if n == 0 {
		return "0"
	}
	return fmt.Sprintf("%s (%s %%)", chart.Number(float64(n)), chart.Number(100*share))
}

func times(d Delay) string {
	if d.Count == 0 {
		return "-"
	}
	return seconds(d.Median) + ", " + seconds(d.Worst)
}

func seconds(s float64) string {
	if s < 1 {
		return chart.Number(s*1000) + " ms"
	}
	return chart.Number(s) + " s"
}

// maxLoads is how many hosts get a row of their own.
const maxLoads = 6

// loads returns the calls of the hosts that changed, one by one, and of all.
func (r *Report) loads() []Figure {
	rows := []Figure{r.figure("calls of a host, of an equal share: least, most", func(s *Summary) string {
		least, most := s.Load[0].Share, s.Load[0].Share
		for _, l := range s.Load {
			least, most = min(least, l.Share), max(most, l.Share)
		}
		return chart.Number(round(least)) + ", " + chart.Number(round(most))
	})}
	for _, h := range r.hosts {
		rows = append(rows, r.figure(fmt.Sprintf("  host %d", h), func(s *Summary) string { return chart.Number(round(s.Load[h].Share)) }))
	}
	return rows
}

func round(share float64) float64 { return math.Round(share*1000) / 1000 }
