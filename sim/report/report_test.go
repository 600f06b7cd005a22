package report

import (
	"encoding/json"
	"encoding/xml"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"lars.internal/sim"
)

// compared returns a report of two policies; text is a scenario.
func compared(t *testing.T, text string, stop time.Duration) *Report {
	t.Helper()
	sc, err := sim.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	var runs []Run
	for _, name := range []string{"adaptive", "classic"} {
		policy, err := sim.PolicyOf(name)
		if err != nil {
			t.Fatal(err)
		}
		s := sim.Start(sc, policy)
		s.Advance(stop)
		runs = append(runs, Run{name, s.Result()})
	}
	return New(&sc, "test", stop, runs)
}

const deadHost = "# One <dies> & heals.\nagents 2\nrate 100\nhosts 3\nlength 30s\nat 5s host 0 dies\nat 20s host 0 heals\n"

// TestSummary: what is counted by second adds up to the totals.
func TestSummary(t *testing.T) {
	r := compared(t, deadHost, 30*time.Second)
	for _, s := range r.Runs {
		var calls, failed, refused, load int64
		for _, x := range s.Seconds {
			calls, failed, refused = calls+x.Calls, failed+x.Failed, refused+x.Refused
		}
		for _, l := range s.Load {
			load += l.Calls
		}
		if calls != s.Calls || failed != s.Failed || refused != s.Refused || len(s.Seconds) != 30 {
			t.Errorf("%s: %d seconds with %d calls, %d failed, %d refused, of %d, %d and %d", s.Policy, len(s.Seconds), calls, failed, refused, s.Calls, s.Failed, s.Refused)
		}
		if s.FailedEarly+s.FailedLater != s.Failed {
			t.Errorf("%s: %d early and %d later of %d failed", s.Policy, s.FailedEarly, s.FailedLater, s.Failed)
		}
		if load != s.Calls-s.Refused {
			t.Errorf("%s: hosts got %d calls of %d", s.Policy, load, s.Calls-s.Refused)
		}
		if s.ToEject.Count != 2 || s.ToReturn.Count != 2 || s.ToEject.Worst < s.ToEject.Median || s.ToReturn.Worst < s.ToReturn.Median {
			t.Errorf("%s: ejected %+v, returned %+v, want both agents", s.Policy, s.ToEject, s.ToReturn)
		}
		if s.P50 <= 0 || s.P99 < s.P50 || s.P999 < s.P99 {
			t.Errorf("%s: quantiles %v, %v, %v", s.Policy, s.P50, s.P99, s.P999)
		}
	}
	if a, c := r.Runs[0], r.Runs[1]; a.Failed >= c.Failed || a.Failed == 0 {
		t.Errorf("adaptive has %d failed calls, classic %d", a.Failed, c.Failed)
	}
}

func TestText(t *testing.T) {
	var b strings.Builder
	if err := compared(t, deadHost, 30*time.Second).Text(&b, 60); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"test: One <dies> & heals.\n", "2 agents, 100 calls/s each, 3 hosts, 30 s, seed 1\n", "\n  at 5 s: host 0 dies\n",
		"\nFailed calls, a second\n", "\nfailed within 10 s of the first change, by agent", "\n  host 0 ", "\nhosts ejected that were well",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in\n%s", want, b.String())
		}
	}
	for _, unwanted := range []string{"Refused calls", "second tries", "stopped", "NaN"} {
		if strings.Contains(b.String(), unwanted) {
			t.Errorf("%q is in\n%s", unwanted, b.String())
		}
	}
}

// TestStoppedRun: what a run has shown until it was stopped is told as such.
func TestStoppedRun(t *testing.T) {
	r := compared(t, deadHost, 7*time.Second)
	var b strings.Builder
	if err := r.Text(&b, 80); err != nil {
		t.Fatal(err)
	}
	if want := "The run was stopped after 7 of 30 s."; !strings.Contains(b.String(), want) {
		t.Errorf("%q is not in\n%s", want, b.String())
	}
	if n := len(r.Runs[0].Seconds); n != 7 {
		t.Errorf("%d seconds, want 7", n)
	}
	if n := strings.Count(b.String(), "^"); n != len(r.Charts()) {
		t.Errorf("%d marks, want one in each of %d charts", n, len(r.Charts()))
	}
}

// TestSeconds: one line each, after a heading.
func TestSeconds(t *testing.T) {
	var b strings.Builder
	if err := compared(t, deadHost, 7*time.Second).WriteSeconds(&b); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(b.String(), "\n"); n != 8 {
		t.Errorf("%d lines, want 8:\n%s", n, b.String())
	}
}

// TestPageStandsAlone: it is well formed, names nothing on the network, escapes
// what a scenario says, and each chart has its numbers as a table.
func TestPageStandsAlone(t *testing.T) {
	r := compared(t, deadHost, 30*time.Second)
	var b strings.Builder
	if err := r.HTML(&b); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	d := xml.NewDecoder(strings.NewReader(page))
	d.Strict, d.Entity, d.AutoClose = false, xml.HTMLEntity, xml.HTMLAutoClose
	count := map[string]int{}
	for {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := token.(xml.StartElement); ok {
			count[e.Name.Local]++
		}
	}
	charts := len(r.Charts())
	if count["svg"] != charts || count["table"] != charts+2 || count["script"] != 0 || count["link"] != 0 || count["img"] != 0 {
		t.Errorf("elements %v, want %d charts with a table each, and two tables more", count, charts)
	}
	page = strings.ReplaceAll(page, `xmlns="http://www.w3.org/2000/svg"`, "")
	for _, unwanted := range []string{"http:", "https:", "url(", "@import", "<dies>"} {
		if strings.Contains(page, unwanted) {
			t.Errorf("the page has %q", unwanted)
		}
	}
	for _, want := range []string{"One &lt;dies&gt; &amp; heals.", "at 20 s: host 0 heals", "color-scheme:light dark", `lang="en"`} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

// TestNothingHappens: a scenario without a call has figures too, all of them
// numbers.
func TestNothingHappens(t *testing.T) {
	r := compared(t, "agents 1\nrate 0.000001\nlength 2s", 2*time.Second)
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var back Report
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if len(back.Runs) != 2 || math.IsNaN(back.Runs[0].LaterShare) || len(r.Charts()) != 0 {
		t.Errorf("%+v", back)
	}
	var b strings.Builder
	if err := r.Text(&b, 80); err != nil || strings.Contains(b.String(), "NaN") {
		t.Errorf("%v:\n%s", err, b.String())
	}
	if err := r.HTML(io.Discard); err != nil {
		t.Error(err)
	}
}
