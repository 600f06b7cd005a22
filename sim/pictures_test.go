package sim

import (
	"math"
	"testing"
	"time"

	"lars.internal/sim/chart"
)

// picture is one of docs/balancing.md: one for each idea.
type picture struct {
	name string
	draw func(*testing.T) chart.Chart
}

func pictures() []picture {
	return []picture{
		{"dead-host", drawDeadHost},
		{"suspicion", drawSuspicion},
		{"evidence", drawEvidence},
		{"ramp", drawRamp},
		{"two-choices", drawTwoChoices},
		{"load-limit", drawLoadLimit},
		{"zones", drawZones},
		{"retry", drawRetry},
	}
}

// drawn runs a scenario with each row and draws a value of each second.
func drawn(t *testing.T, c chart.Chart, s Scenario, rows []row, value func(r *Result, second int) float64) chart.Chart {
	t.Helper()
	c.Slot = 1
	for _, row := range rows {
		own := s
		if row.change != nil {
			row.change(&own)
		}
		r := Run(own, policy(t, row.policy))
		l := chart.Line{Name: row.name}
		for second := range int(s.Length / time.Second) {
			l.Values = append(l.Values, value(r, second))
		}
		c.Lines = append(c.Lines, l)
	}
	for i := range s.Steps {
		if st := s.Steps[i]; st.At > 0 {
			at := st.At.Seconds()
			st.At = 0
			c.Marks = append(c.Marks, chart.Mark{At: at, Text: st.String()})
		}
	}
	return c
}

func failedShareOf(r *Result, second int) float64 {
	return 100 * float64(r.Failed[second]) / max(1, float64(r.Calls[second]))
}

// shippedScenario returns a scenario that comes with the package.
func shippedScenario(t *testing.T, name string) Scenario {
	t.Helper()
	text, err := ShippedText(name)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func drawDeadHost(t *testing.T) chart.Chart {
	return drawn(t, chart.Chart{Title: "One of ten hosts refuses connections: failed calls", Unit: "%"},
		shippedScenario(t, "dead-host"), []row{adaptiveRow, classicRow, roundRobinRow}, failedShareOf)
}

// drawSuspicion shows one machine in steps of 100 ms: calls to a host that
// answers nothing.
func drawSuspicion(t *testing.T) chart.Chart {
	s := oneOf(3, 1000, Dark)
	s.Agents, s.Length = 1, 13*sec
	c := chart.Chart{Title: "One of three hosts goes dark: calls to it in 100 ms", Unit: "one machine, 1,000 calls/s", Slot: 0.1}
	for _, row := range []row{adaptiveRow, unprobedRow, envoyRow} {
		r := Run(s, policy(t, row.policy))
		l := chart.Line{Name: row.name}
		for slot := 80; slot < 130; slot++ {
			l.Values = append(l.Values, float64(r.Load[0][slot]))
		}
		c.Lines = append(c.Lines, l)
	}
	c.Marks = []chart.Mark{{At: 2, Text: "host 0 dark"}, {At: 3, Text: "the first calls time out"}}
	return c
}

// drawEvidence shows how fast the evidence against a host grows, on average, if
// the others fail at most 1 % of their calls.
func drawEvidence(*testing.T) chart.Chart {
	c := chart.Chart{Title: "Evidence against a host that fails a share of its calls", Unit: "nats; 30 eject", Slot: 1, Per: "calls"}
	for _, line := range []struct {
		name  string
		share float64
	}{{"100 % fail", 1}, {"50 %", 0.5}, {"20 %", 0.2}, {"1 %", 0.01}} {
		l := chart.Line{Name: line.name}
		for n := range 120 {
			l.Values = append(l.Values, min(40, float64(n)*divergence(line.share, 0.01)))
		}
		c.Lines = append(c.Lines, l)
	}
	return c
}

// divergence is the evidence that a call brings on average: that of Kullback and
// Leibler between two shares of failures.
func divergence(is, granted float64) float64 {
	d := 0.0
	if is > 0 {
		d += is * math.Log(is/granted)
	}
	if is < 1 {
		d += (1 - is) * math.Log((1-is)/(1-granted))
	}
	return d
}

func drawRamp(t *testing.T) chart.Chart {
	s := shippedScenario(t, "dead-host")
	s.Length = 60 * sec
	return drawn(t, chart.Chart{Title: "A dead host works again: calls to it", Unit: "of its share"}, s, []row{adaptiveRow, classicRow},
		func(r *Result, second int) float64 {
			return float64(r.Host[0][second]) * float64(len(r.Host)) / float64(r.Calls[second])
		})
}

func drawTwoChoices(t *testing.T) chart.Chart {
	s := shippedScenario(t, "slow-host")
	s.Length = 30 * sec
	return drawn(t, chart.Chart{Title: "One of twenty hosts becomes five times slower: 99 % of the calls take at most", Unit: "ms"}, s,
		[]row{adaptiveRow, {name: "two choices, calls in flight only", policy: "least-request"}, roundRobinRow},
		func(r *Result, second int) float64 { return r.P99[second].Seconds() * 1000 })
}

func drawLoadLimit(t *testing.T) chart.Chart {
	return drawn(t, chart.Chart{Title: "Eight of ten hosts go dark, half of the calls are possible: good calls", Unit: "%"},
		shippedScenario(t, "most-hosts-dead"), []row{adaptiveRow, {name: "adaptive, load_limit = 0", policy: "adaptive load_limit=0"}, envoyRow},
		func(r *Result, second int) float64 {
			return 100 * max(0, 1-float64(r.Failed[second]+r.Refused[second])/float64(r.Calls[second]))
		})
}

// drawZones shows where calls go when local hosts die.
func drawZones(t *testing.T) chart.Chart {
	c := chart.Chart{Title: "Hosts of the zone die", Unit: "%", Slot: 1, Per: "hosts of ten are dead"}
	stay, load := chart.Line{Name: "calls that stay in the zone"}, chart.Line{Name: "load of a live host there"}
	table := zoneTable()
	for dead := range 10 {
		s := table.columns[0].scenario
		s.Steps = s.Steps[:len(s.Steps):len(s.Steps)]
		if dead > 0 {
			s.Steps = append(s.Steps, Step{At: 20 * sec, To: dead - 1, Change: Dies})
		}
		f, err := table.run(adaptiveRow, column{"", s})
		if err != nil {
			t.Fatal(err)
		}
		stay.Values, load.Values = append(stay.Values, f["local"]), append(load.Values, 100*f["load"])
	}
	c.Lines = []chart.Line{stay, load}
	return c
}

func drawRetry(t *testing.T) chart.Chart {
	s := shippedScenario(t, "dead-host-with-retry")
	none := func(s *Scenario) { s.Retry, s.RetryTimeouts = 0, false }
	for i := range s.Steps {
		if s.Steps[i].Change == Dies {
			s.Steps[i].Change = Dark
		}
	}
	return drawn(t, chart.Chart{Title: "One of three hosts goes dark: calls that fail for the user", Unit: "%"}, s,
		[]row{{name: "adaptive, second try", policy: "adaptive"}, {name: "classic", policy: "classic", change: none},
			{name: "adaptive", policy: "adaptive", change: none}, {name: "classic, second try", policy: "classic"}}, failedShareOf)
}
