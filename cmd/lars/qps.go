package main

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"lars.internal/client"
	"lars.internal/route"
)

// rates is what `lars qps` has measured.
type rates struct {
	Threads  int     `json:"threads"`
	Seconds  float64 `json:"seconds"`
	Pairs    uint64  `json:"pairs"`
	PerSec   float64 `json:"pairs_per_second"`
	Overload uint64  `json:"overload"` // of the pairs, those without a host to report
}

func newQPS(s *settings) *cobra.Command {
	var asJSON bool
	var first string
	var duration time.Duration
	c := &cobra.Command{
		Use:   "qps THREADS",
		Short: "Measure how many picks with their reports the agent takes",
		Long: `Let each of THREADS goroutines pick a host of a service of its own and report a
success, as fast as answers come, and print how many such pairs there were in a
second. The services are --service, and those with the next cmdids.`,
		Example: "  lars qps 2 --service 1/1 --duration 5s",
	}
	c.Flags().StringVar(&first, "service", "1/1", "`SERVICE` of the first goroutine")
	c.Flags().DurationVar(&duration, "duration", 3*time.Second, "how long to measure")
	c.RunE = func(c *cobra.Command, args []string) error {
		threads, err := threadCount(c, args)
		if err != nil {
			return err
		}
		key, err := route.ParseKey(first)
		if err != nil {
			return usage(c, "--service: %v", err)
		}
		if duration <= 0 {
			return usage(c, "--duration %v: want a time above 0", duration)
		}
		return s.withClient(c, func(cl *client.Client) error {
			r, err := measure(c.Context(), cl, servicesFrom(key, threads), duration)
			if err != nil {
				return err
			}
			return s.printRates(r, asJSON)
		})
	}
	return jsonFlag(c, &asJSON)
}

func threadCount(c *cobra.Command, args []string) (int, error) {
	if len(args) != 1 {
		return 0, usage(c, "want the number of threads, for example qps 2")
	}
	n, err := strconv.Atoi(args[0])
	if err != nil || n < 1 || n > 1000 {
		return 0, usage(c, "threads %q: want a number 1..1000", args[0])
	}
	return n, nil
}

func servicesFrom(first route.Key, n int) []route.Key {
	keys := make([]route.Key, n)
	for i := range keys {
		keys[i] = route.Key{Modid: first.Modid, Cmdid: first.Cmdid + int32(i)}
	}
	return keys
}

// measure lets a goroutine for each service make pairs until the time is over or
// ctx is done, and waits for all of them.
func measure(ctx context.Context, cl *client.Client, keys []route.Key, d time.Duration) (rates, error) {
	for _, key := range keys {
		if err := cl.Register(ctx, key.Modid, key.Cmdid); err != nil {
			return rates{}, explain(key, err)
		}
	}
	var all sync.WaitGroup
	sums, errs := make([]rates, len(keys)), make([]error, len(keys))
	start := time.Now()
	for i, key := range keys {
		all.Go(func() { sums[i], errs[i] = pairs(ctx, cl, key, start.Add(d)) })
	}
	all.Wait()
	r := rates{Threads: len(keys), Seconds: time.Since(start).Seconds()}
	for _, sum := range sums {
		r.Pairs += sum.Pairs
		r.Overload += sum.Overload
	}
	r.PerSec = float64(r.Pairs) / r.Seconds
	return r, firstError(errs)
}

func firstError(errs []error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// pairs makes pairs until end. That is no deadline of ctx, which would make a
// failure of the last pair.
func pairs(ctx context.Context, cl *client.Client, key route.Key, end time.Time) (rates, error) {
	var sum rates
	for time.Now().Before(end) {
		host, err := cl.GetHost(ctx, key.Modid, key.Cmdid)
		switch {
		case ctx.Err() != nil:
			return sum, nil
		case errors.Is(err, client.ErrOverload):
			sum.Overload++
		case err != nil:
			return sum, explain(key, err)
		default:
			if err := cl.Report(key.Modid, key.Cmdid, host, nil); err != nil {
				return sum, explain(key, err)
			}
		}
		sum.Pairs++
	}
	return sum, nil
}

func (s *settings) printRates(r rates, asJSON bool) error {
	if asJSON {
		return s.printJSON(r)
	}
	s.printf("%.0f pairs of GetHost and Report per second (%d pairs, %s, %.1f s)\n",
		r.PerSec, r.Pairs, plural(r.Threads, "thread", "threads"), r.Seconds)
	if r.Overload > 0 {
		s.printf("%s answered %q and had nothing to report\n", plural(int(r.Overload), "pick", "picks"), client.ErrOverload)
	}
	return nil
}
