package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"lars.internal/bench/measure"
	"lars.internal/client"
)

// pushHosts is what the database holds for pushes, picks and bursts.
const pushHosts = 10_000

// spread is what the figures of a histogram are, in milliseconds.
type spread struct {
	P50 float64 `json:"p50_ms"`
	P90 float64 `json:"p90_ms"`
	P99 float64 `json:"p99_ms"`
	Max float64 `json:"max_ms"`
}

func spreadOf(h *hdrhistogram.Histogram) spread {
	ms := func(percentile float64) float64 { return measure.Micros(h, percentile) / 1e3 }
	return spread{ms(50), ms(90), ms(99), ms(100)}
}

// binMillis is the width of the bins of a raw histogram.
const binMillis = 5

// pushRun is the latency of pushes to so many subscribers, from the commit of an
// edit to the arrival of the route.
type pushRun struct {
	Subscribers int    `json:"subscribers"`
	Edits       int    `json:"edits"`
	Done        spread `json:"since_commit_returned"`
	Asked       spread `json:"since_commit_was_sent"`
	Last        spread `json:"until_the_last_has_it"` // one value per edit, since COMMIT returned
	Bins        []int  `json:"arrivals_per_5_ms"`     // since COMMIT returned
}

// pushes measures all audiences against one lars-dns.
func (s *stage) pushes(ctx context.Context, audiences []audienceCase) ([]pushRun, error) {
	d, db, stop, err := s.start(ctx, pushHosts, hostsPerService)
	if err != nil {
		return nil, err
	}
	defer stop()
	var runs []pushRun
	for _, c := range audiences {
		r := pushRun{Subscribers: c.subscribers, Edits: c.edits}
		if err := r.measure(ctx, d, db); err != nil {
			return nil, fmt.Errorf("%d subscribers: %w", c.subscribers, err)
		}
		runs = append(runs, r)
		progress("pushes: %5d subscribers: p50 %4.0f ms, p99 %4.0f ms, the last within %4.0f ms", r.Subscribers, r.Done.P50, r.Done.P99, r.Last.Max)
	}
	return runs, nil
}

func (r *pushRun) measure(ctx context.Context, d *dnsServer, db *database) error {
	a, err := newAudience(ctx, d.addr, r.Subscribers, 1)
	if err != nil {
		return err
	}
	defer a.stop()
	done, asked, last := measure.NewHistogram(), measure.NewHistogram(), measure.NewHistogram()
	for range r.Edits {
		c, arrivals, err := editSeen(ctx, db, a)
		if err != nil {
			return err
		}
		var latest time.Duration
		for _, at := range arrivals {
			// A push may overtake the answer to COMMIT.
			since := max(0, at.Sub(c.done))
			latest = max(latest, since)
			done.RecordValue(int64(since))
			asked.RecordValue(int64(at.Sub(c.asked)))
			r.bin(since)
		}
		last.RecordValue(int64(latest))
	}
	r.Done, r.Asked, r.Last = spreadOf(done), spreadOf(asked), spreadOf(last)
	return nil
}

func (r *pushRun) bin(since time.Duration) {
	i := int(since.Milliseconds()) / binMillis
	for len(r.Bins) <= i {
		r.Bins = append(r.Bins, 0)
	}
	r.Bins[i]++
}

// editSeen edits the services of an audience, at a random moment between two looks
// of the service at the version, and returns when all of it has seen the edit.
func editSeen(ctx context.Context, db *database, a *audience) (commit, []time.Time, error) {
	if err := pause(ctx, rand.N(100*time.Millisecond)); err != nil {
		return commit{}, nil, err
	}
	a.expect(db.mark + 1)
	c, err := db.edit(ctx, a.services)
	if err != nil {
		return commit{}, nil, err
	}
	if err := a.await(ctx); err != nil {
		return commit{}, nil, err
	}
	return c, a.arrivals(), nil
}

// pickRun is the time from the commit of an edit to the first pick of the new
// host by an agent whose program asks once a millisecond.
type pickRun struct {
	Edits int    `json:"edits"`
	Done  spread `json:"since_commit_returned"`
	Asked spread `json:"since_commit_was_sent"`
}

// picks measures with a real agent. The service has one host, which the edit
// replaces, so the first answer after the push differs.
func (s *stage) picks(ctx context.Context, edits int) ([]pickRun, error) {
	d, db, stop, err := s.start(ctx, pushHosts/hostsPerService, 1)
	if err != nil {
		return nil, err
	}
	defer stop()
	first, err := measure.ThreePorts()
	if err != nil {
		return nil, err
	}
	agent, err := measure.Start([]string{
		"LARS_AGENT_PORT=" + strconv.Itoa(int(first.Port())), "LARS_DNSSERVER_PORT=" + strconv.Itoa(int(d.addr.Port())),
		"LARS_DEBUG_ADDR=off", "LARS_LOG_LEVEL=error",
	}, s.program("lars-agent"))
	if err != nil {
		return nil, err
	}
	defer agent.Stop()
	c, err := client.New(client.Config{Agent: first.String(), Timeout: time.Second})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	r := pickRun{Edits: edits}
	if err := r.measure(ctx, db, c); err != nil {
		return nil, err
	}
	progress("picks: p50 %.0f ms, p99 %.0f ms", r.Done.P50, r.Done.P99)
	return []pickRun{r}, nil
}

func (r *pickRun) measure(ctx context.Context, db *database, c *client.Client) error {
	if _, err := picked(ctx, c, db.mark); err != nil {
		return err
	}
	done, asked := measure.NewHistogram(), measure.NewHistogram()
	for range r.Edits {
		if err := pause(ctx, rand.N(100*time.Millisecond)); err != nil {
			return err
		}
		edit, err := db.edit(ctx, 1)
		if err != nil {
			return err
		}
		at, err := picked(ctx, c, db.mark)
		if err != nil {
			return err
		}
		done.RecordValue(int64(max(0, at.Sub(edit.done))))
		asked.RecordValue(int64(at.Sub(edit.asked)))
	}
	r.Done, r.Asked = spreadOf(done), spreadOf(asked)
	return nil
}

// picked returns when the agent first picks the host with this mark.
func picked(ctx context.Context, c *client.Client, mark int) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, maxWait)
	defer cancel()
	for {
		host, err := c.GetHost(ctx, 1, 1)
		if err == nil && int(host.Port()) == mark {
			return time.Now(), nil
		}
		if pause(ctx, time.Millisecond) != nil {
			return time.Time{}, fmt.Errorf("the agent does not pick the host with mark %d: it says %v, %w", mark, host, err)
		}
	}
}
