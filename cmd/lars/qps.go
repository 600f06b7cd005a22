package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"lars.internal/agent"
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
	Late     uint64  `json:"late"`     // picks without an answer in time, which are no pairs
}

func newQPS(s *settings) *cobra.Command {
	q := &qps{settings: s, pages: pages{settings: s}}
	c := &cobra.Command{
		Use:   "qps THREADS",
		Short: "Measure how many picks with their reports the agent takes",
		Long: `Measure how many picks the agent answers. Each of THREADS goroutines picks a host of
a service of its own and reports a success, as fast as the answers come; the command
prints the number of such pairs per second. The services are --service, and those with
the next cmdids.

The successes are made up: they count in the agent and in the report table as if a
program had made the calls. Therefore the command refuses services that programs have
asked this agent for, which it reads from the agent's pages. --force measures all the
same.`,
		Example: "  lars route add 9999/1 127.0.0.1:9\n  lars qps 1 --service 9999/1 --duration 5s",
	}
	c.Flags().StringVar(&q.first, "service", "1/1", "`SERVICE` of the first goroutine")
	c.Flags().DurationVar(&q.duration, "duration", 3*time.Second, "how long to measure")
	c.Flags().BoolVar(&q.force, "force", false, "measure with services that programs use, too")
	q.pages.bind(c.Flags())
	c.RunE = q.run
	completeFlag(c, "service", s.completeServices)
	return jsonFlag(c, &q.asJSON)
}

// qps is the command with its flags.
type qps struct {
	settings *settings
	pages    pages

	first    string
	duration time.Duration
	force    bool
	asJSON   bool
}

func (q *qps) run(c *cobra.Command, args []string) error {
	threads, err := threadCount(c, args)
	if err != nil {
		return err
	}
	first, err := route.ParseKey(q.first)
	if err != nil {
		return usage(c, "--service: %v", err)
	}
	if q.duration <= 0 {
		return usage(c, "--duration %v: want a time above 0", q.duration)
	}
	keys := servicesFrom(first, threads)
	if !q.force {
		if err := q.unused(c, keys); err != nil {
			return err
		}
	}
	return q.settings.withClient(c, func(cl *client.Client) error {
		r, err := measure(c.Context(), cl, keys, q.duration)
		if err != nil {
			return err
		}
		return q.settings.printRates(r, q.asJSON)
	})
}

// unused returns an error that names the first service that a program has asked for.
func (q *qps) unused(c *cobra.Command, keys []route.Key) error {
	if q.settings.agent != "" && q.pages.addr == "" {
		return usage(c, "whether programs use %s is on the pages of that agent: name them with --pages, or measure all the same with --force", keys[0])
	}
	for _, key := range keys {
		var detail agent.ServiceDetail
		err := q.pages.get(c.Context(), "/agent/hosts?service="+url.QueryEscape(key.String()), &detail)
		switch {
		case isUnknown(err):
		case err != nil:
			return fmt.Errorf("find out whether programs use %s: %w; --force measures all the same", key, err)
		case detail.AskedSeconds >= 0:
			return fmt.Errorf("a program asked for %s %s ago, and made-up successes would count as its own; --service names another, --force measures all the same",
				key, ago(detail.AskedSeconds))
		}
	}
	return nil
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
		r.Late += sum.Late
	}
	r.PerSec = float64(r.Pairs) / r.Seconds
	return r, firstError(errs)
}

// isLate reports whether an agent that may be there did not answer in time.
func isLate(err error) bool {
	return errors.Is(err, client.ErrAgent) && errors.Is(err, context.DeadlineExceeded)
}

func firstError(errs []error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// pairs makes pairs until end. end is not a deadline of ctx, because the last pair
// would then fail. A late answer is counted: a busy machine causes some.
func pairs(ctx context.Context, cl *client.Client, key route.Key, end time.Time) (rates, error) {
	var sum rates
	for time.Now().Before(end) {
		host, err := cl.GetHost(ctx, key.Modid, key.Cmdid)
		switch {
		case ctx.Err() != nil:
			return sum, nil
		case errors.Is(err, client.ErrOverload):
			sum.Overload++
		case isLate(err):
			sum.Late++
			continue
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
	if r.Late > 0 {
		s.printf("%s had no answer within %v\n", plural(int(r.Late), "pick", "picks"), client.DefaultTimeout)
	}
	if r.Overload > 0 {
		s.printf("%s answered %q and had nothing to report\n", plural(int(r.Overload), "pick", "picks"), client.ErrOverload)
	}
	return nil
}
