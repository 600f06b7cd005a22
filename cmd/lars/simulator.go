package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"

	"github.com/spf13/cobra"

	"lars.internal/client"
	"lars.internal/route"
)

// simulation is what `lars simulator` has found out.
type simulation struct {
	Service  string     `json:"service"`
	Calls    int        `json:"calls"`
	Overload int        `json:"overload"` // picks that were answered "all hosts are ejected"
	Hosts    []*hostSum `json:"hosts"`

	index map[netip.AddrPort]*hostSum
}

// hostSum counts the calls to one host.
type hostSum struct {
	Host netip.AddrPort `json:"host"`
	Succ int            `json:"succ"`
	Err  int            `json:"err"`
}

func newSimulator(s *settings) *cobra.Command {
	var asJSON bool
	var rate float64
	var count int
	c := &cobra.Command{
		Use:   "simulator SERVICE",
		Short: "Pick hosts and report random failures",
		Long: `Pick a host, pretend to call it, and report a success or, by chance, a failure; again
and again. Then print the successes and failures of each host. It changes what the
agent thinks of the hosts, so leave services alone that programs use.`,
		Example: "  lars simulator 1/2 --error-rate 0.2 --count 1000",
	}
	c.Flags().Float64Var(&rate, "error-rate", 0.1, "share of calls that fail, 0 to 1")
	c.Flags().IntVar(&count, "count", 10_000, "number of picks")
	c.RunE = func(c *cobra.Command, args []string) error {
		key, err := onlyService(c, args)
		switch {
		case err != nil:
			return err
		case !(rate >= 0 && rate <= 1):
			return usage(c, "--error-rate %v: want a share from 0 to 1", rate)
		case count < 1:
			return usage(c, "--count %d: want at least 1", count)
		}
		return s.withClient(c, func(cl *client.Client) error {
			sim, err := simulate(c.Context(), cl, key, rate, count)
			if err != nil {
				return explain(key, err)
			}
			return s.printSimulation(sim, asJSON)
		})
	}
	return complete(jsonFlag(c, &asJSON), s.completeServices, nil)
}

// simulate ends early, without an error, when ctx is done.
func simulate(ctx context.Context, cl *client.Client, key route.Key, rate float64, count int) (*simulation, error) {
	sim := &simulation{Service: key.String(), index: map[netip.AddrPort]*hostSum{}}
	if err := cl.Register(ctx, key.Modid, key.Cmdid); err != nil {
		return nil, err
	}
	for range count {
		host, err := cl.GetHost(ctx, key.Modid, key.Cmdid)
		switch {
		case ctx.Err() != nil:
			return sim, nil
		case errors.Is(err, client.ErrOverload):
			sim.Overload++
			continue
		case err != nil:
			return nil, err
		}
		if err := cl.Report(key.Modid, key.Cmdid, host, sim.call(host, rate)); err != nil {
			return nil, err
		}
	}
	return sim, nil
}

// call pretends to call a host and returns how it went.
func (sim *simulation) call(host netip.AddrPort, rate float64) error {
	h := sim.index[host]
	if h == nil {
		h = &hostSum{Host: host}
		sim.index[host] = h
		sim.Hosts = append(sim.Hosts, h)
	}
	sim.Calls++
	if rand.Float64() < rate {
		h.Err++
		return errCallFailed
	}
	h.Succ++
	return nil
}

func (s *settings) printSimulation(sim *simulation, asJSON bool) error {
	slices.SortFunc(sim.Hosts, func(a, b *hostSum) int { return a.Host.Compare(b.Host) })
	if asJSON {
		return s.printJSON(sim)
	}
	t := s.newTable("HOST", "CALLS", "SUCCESSES", "FAILURES")
	for _, h := range sim.Hosts {
		t.row(h.Host, h.Succ+h.Err, h.Succ, h.Err)
	}
	if err := t.flush(); err != nil {
		return err
	}
	if sim.Overload > 0 {
		s.printf("%s answered %q\n", plural(sim.Overload, "pick", "picks"), client.ErrOverload)
	}
	return nil
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
