package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"lars.internal/sim"
	"lars.internal/sim/report"
)

const (
	// progressEvery is the time between two lines about a run that takes long.
	progressEvery = 5 * time.Second

	maxScenario = 1 << 20 // bytes of a scenario file
)

// simulateFlags are the flags of `lars simulate`.
type simulateFlags struct {
	policy, against string
	seed            uint64
	output          string
	list, seconds   bool
}

func newSimulate(s *settings) *cobra.Command {
	var f simulateFlags
	c := &cobra.Command{
		Use:   "simulate SCENARIO|FILE",
		Short: "Simulate hosts that fail, and what a policy does about it",
		Long: `Run the balancers of Lars against simulated hosts in virtual time, a minute in about
a second, and compare two policies. Nothing is asked or changed: it needs no agent
and no database. (lars simulator plays with a running agent instead.)

A scenario says how many agents pick hosts how often, what hosts there are, and what
happens to them. --list lists those that come with Lars; a file of your own is a path
with a dot or a slash in it. docs/balancing.md describes its format, and the JSON.

Policies are adaptive, classic, and models of others: round-robin, least-request,
peak-ewma, envoy and linkerd. Those are the named ones at their defaults, without
what an operator can add. The same seed gives the same run. ^C ends a run early and
prints what there is.`,
		Example: "  lars simulate --list\n  lars simulate dead-host\n" +
			"  lars simulate ./mine.txt --policy 'adaptive evidence=20 ramp=10s' --against envoy\n" +
			"  lars simulate gray-host -o html > gray-host.html",
	}
	c.Flags().StringVar(&f.policy, "policy", "", "`POLICY`, with settings if it is adaptive (default that of the scenario)")
	c.Flags().StringVar(&f.against, "against", "", "`POLICY` to compare with, or none (default that of the scenario)")
	c.Flags().Uint64Var(&f.seed, "seed", 0, "where the random numbers begin, from 1 on (default that of the scenario)")
	c.Flags().StringVarP(&f.output, "output", "o", "text", "text, json or html")
	c.Flags().BoolVar(&f.seconds, "seconds", false, "print the figures of each second too")
	c.Flags().BoolVar(&f.list, "list", false, "list the scenarios that come with Lars")
	c.RunE = func(c *cobra.Command, args []string) error { return s.simulate(c, &f, args) }
	c.ValidArgsFunction = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return sim.Shipped(), cobra.ShellCompDirectiveDefault
	}
	return c
}

func (s *settings) simulate(c *cobra.Command, f *simulateFlags, args []string) error {
	switch {
	case f.list && len(args) > 0:
		return usage(c, "--list takes no scenario")
	case f.list:
		return s.listScenarios()
	case len(args) != 1:
		return usage(c, "want one scenario, one of %s, or a file", strings.Join(sim.Shipped(), ", "))
	case !slices.Contains([]string{"text", "json", "html"}, f.output):
		return usage(c, "--output %s: want text, json or html", f.output)
	}
	scenario, err := readScenario(args[0])
	if err != nil {
		return err
	}
	if f.seed != 0 {
		scenario.Seed = f.seed
	}
	names := policiesOf(&scenario, f)
	r, err := s.compare(c.Context(), &scenario, args[0], names)
	if err != nil {
		return usage(c, "%v", err)
	}
	return s.printReport(r, f)
}

// listScenarios prints the scenarios that come with Lars and what they show.
func (s *settings) listScenarios() error {
	t := s.newTable("SCENARIO", "SHOWS")
	for _, name := range sim.Shipped() {
		scenario, err := readScenario(name)
		if err != nil {
			return err
		}
		t.row(name, scenario.Title)
	}
	return t.flush()
}

// readScenario returns the scenario of that name, or in that file.
func readScenario(name string) (sim.Scenario, error) {
	text, err := scenarioText(name)
	if err != nil {
		return sim.Scenario{}, err
	}
	scenario, err := sim.Parse(text)
	if err != nil {
		return scenario, fmt.Errorf("scenario %s, %w", name, err)
	}
	return scenario, nil
}

func scenarioText(name string) (string, error) {
	if !strings.ContainsAny(name, "./") {
		return sim.ShippedText(name)
	}
	file, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxScenario+1))
	switch {
	case err != nil:
		return "", err
	case len(text) > maxScenario:
		return "", fmt.Errorf("scenario %s: more than %d bytes", name, maxScenario)
	}
	return string(text), nil
}

// policiesOf returns the policies to run, by flags and scenario.
func policiesOf(scenario *sim.Scenario, f *simulateFlags) []string {
	policy, against := scenario.Policy, scenario.Against
	if f.policy != "" {
		policy = f.policy
	}
	if f.against != "" {
		against = f.against
	}
	if policy == "" {
		policy = "adaptive"
	}
	if against == "" || against == "none" || against == policy {
		return []string{policy}
	}
	return []string{policy, against}
}

// compare runs the scenario with each policy, and says on standard error how far
// it is if it takes long. It ends early, without an error, when ctx is done.
func (s *settings) compare(ctx context.Context, scenario *sim.Scenario, name string, names []string) (*report.Report, error) {
	var runs []*sim.Simulation
	for _, n := range names {
		policy, err := sim.PolicyOf(n)
		if err != nil {
			return nil, err
		}
		runs = append(runs, sim.Start(*scenario, policy))
	}
	told := time.Now()
	at := time.Duration(0)
	for at < scenario.Length && ctx.Err() == nil {
		at = min(at+time.Second, scenario.Length)
		var wait sync.WaitGroup
		for _, r := range runs {
			wait.Go(func() { r.Advance(at) })
		}
		wait.Wait()
		if time.Since(told) > progressEvery {
			told = time.Now()
			fmt.Fprintf(s.env.Stderr, "lars: %v of %v simulated\n", at, scenario.Length)
		}
	}
	var results []report.Run
	for i, r := range runs {
		results = append(results, report.Run{Policy: names[i], Result: r.Result()})
	}
	return report.New(scenario, name, at, results), nil
}

func (s *settings) printReport(r *report.Report, f *simulateFlags) error {
	switch f.output {
	case "json":
		return s.printJSON(r)
	case "html":
		return r.HTML(s.env.Stdout)
	}
	err := r.Text(s.env.Stdout, terminalWidth(s.env.Stdout))
	if f.seconds && err == nil {
		s.printf("\n")
		err = r.WriteSeconds(s.env.Stdout)
	}
	return err
}
