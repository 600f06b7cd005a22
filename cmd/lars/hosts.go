package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"lars.internal/agent"
	"lars.internal/lb"
	"lars.internal/lb/policy"
	"lars.internal/route"
)

// hostsFlags are those of the commands that show the hosts of a service.
type hostsFlags struct {
	shadow, asJSON bool
}

func (f *hostsFlags) bind(c *cobra.Command) {
	c.Flags().BoolVar(&f.shadow, "shadow", false, "as the second balancer sees it that looks on, [agent] shadow")
	jsonFlag(c, &f.asJSON)
}

// hosts gets a service with its hosts.
func (p *pages) hosts(ctx context.Context, key route.Key, shadow bool) (d agent.ServiceDetail, err error) {
	path := "/agent/hosts?service=" + url.QueryEscape(key.String())
	if shadow {
		path += "&shadow=1"
	}
	return d, p.get(ctx, path, &d)
}

func newAgentHosts(p *pages) *cobra.Command {
	var f hostsFlags
	c := &cobra.Command{
		Use:   "hosts SERVICE",
		Short: "Show what the agent thinks of the hosts of a service",
		Long: `Show what the agent thinks of the hosts of a service, in the words of its policy.

Policy adaptive: up; on a ramp or on probation after a return; suspect (asked whether it
takes connections); doubtful (failed several calls in a row); drained; out, and why: DEAD
(connections fail) or RATE (calls fail); on trial. Then the mean latency, the share of the
calls that it gets, the calls under way, and how many failed since the first failure that
still counts.

Policy classic: idle (in rotation) or overload (ejected) and since when, the calls of the
present window, the virtual counts by which the host is judged, and how often it was
ejected and brought back.

lars why has the reasons in sentences.`,
		Example: "  lars agent hosts 1/2\n  lars agent hosts 1/2 --shadow",
	}
	f.bind(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		key, err := onlyService(c, args)
		if err != nil {
			return err
		}
		detail, err := p.hosts(c.Context(), key, f.shadow)
		if err != nil {
			return err
		}
		if f.asJSON {
			return p.settings.printJSON(detail)
		}
		return p.settings.printHosts(detail)
	}
	return complete(c, p.settings.agentServices, nil)
}

func (s *settings) printHosts(d agent.ServiceDetail) error {
	t := s.classicTable
	if d.Policy == policy.Adaptive {
		t = s.adaptiveTable
	}
	if err := t(d.List).flush(); err != nil {
		return err
	}
	s.printf("route of %s: %s, %s, %s\n", d.Service, cmp.Or(d.Route, "-"), confirmed(d.AgeSeconds), d.State)
	s.printf("policy: %s\n", policyOf(d.ServiceInfo))
	if d.Cut {
		s.printf("the route has more hosts than lars-dns can send in one message; these are the first\n")
	}
	return nil
}

func (s *settings) classicTable(hosts []agent.HostInfo) *table {
	t := s.newTable("HOST", "STATE", "SINCE", "SUCCESSES", "FAILURES", "VIRTUAL", "IN A ROW", "EJECTED", "BROUGHT BACK")
	for _, h := range hosts {
		t.row(h.Host, h.State, ago(h.SinceSeconds), h.Succ, h.Err,
			fmt.Sprintf("%d/%d", h.VirtualSucc, h.VirtualErr), inARow(h), h.Ejected, h.Reinstated)
	}
	return t
}

func (s *settings) adaptiveTable(hosts []agent.HostInfo) *table {
	t := s.newTable("HOST", "STATE", "SINCE", "LATENCY", "SHARE", "UNDER WAY", "FAILED", "EJECTED", "BROUGHT BACK", "WEIGHT", "ZONE")
	for _, h := range hosts {
		state := h.Status
		if h.Reason != "" {
			state += " " + h.Reason
		}
		t.row(h.Host, state, ago(h.SinceSeconds), lb.Seconds(h.LatencyMS/1000), lb.Percent(h.Share),
			h.InFlight, fmt.Sprintf("%d of %d", h.Err, h.Succ+h.Err), h.Ejected, h.Reinstated, h.Weight, cmp.Or(h.Zone, "-"))
	}
	return t
}

// inARow returns how many results of one kind came last.
func inARow(h agent.HostInfo) string {
	if h.ContinErr > 0 {
		return plural(int(h.ContinErr), "failure", "failures")
	}
	return plural(int(h.ContinSucc), "success", "successes")
}

// policyOf returns the policy of a service, what its settings say, and whether another
// one looks on.
func policyOf(v agent.ServiceInfo) string {
	text := cmp.Or(v.Policy, policy.Classic) // agents of before do not say it
	if len(v.Settings) > 0 {
		var pairs []string
		for _, name := range slices.Sorted(maps.Keys(v.Settings)) {
			pairs = append(pairs, name+"="+v.Settings[name])
		}
		text += " (" + strings.Join(pairs, " ") + ")"
	}
	if v.Shadow != "" {
		text += ", " + v.Shadow + " looks on"
	}
	return text
}

func newWhy(s *settings) *cobra.Command {
	p := &pages{settings: s}
	var f hostsFlags
	c := &cobra.Command{
		Use:   "why SERVICE [IP:PORT]",
		Short: "Say why a host gets the calls that it gets",
		Long: `Say why a host gets the calls that it gets, or none: what state the agent of this machine
has it in, since when, what decided that, with its numbers, and what happens next. Without
a host: each host of the service in a line. Other machines may see it otherwise, since
each agent judges by the calls of its own programs.`,
		Example: "  lars why 1/2 10.0.0.7:8080\n  lars why 1/2",
	}
	f.bind(c)
	p.bind(c.Flags())
	c.RunE = func(c *cobra.Command, args []string) error {
		key, host, err := whyArguments(c, args)
		if err != nil {
			return err
		}
		detail, err := p.hosts(c.Context(), key, f.shadow)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(detail.List, func(h agent.HostInfo) bool { return h.Why == "" }) {
			return fmt.Errorf("the agent is of a release that gives no reasons; lars agent hosts %s shows what it knows", key)
		}
		if host != "" {
			return s.printWhyOf(detail, host, f.asJSON)
		}
		if f.asJSON {
			return s.printJSON(detail.List)
		}
		return s.printWhy(detail)
	}
	return complete(c, s.agentServices, func(c *cobra.Command, key *route.Key, rest []string) []string {
		if len(rest) > 0 {
			return nil
		}
		return s.knownHosts(c, key, nil)
	})
}

// whyArguments returns a service and a host, which may be empty.
func whyArguments(c *cobra.Command, args []string) (key route.Key, host string, err error) {
	key, rest, err := takeService(c, args)
	if err != nil || len(rest) == 0 {
		return key, "", err
	}
	if len(rest) > 1 {
		return key, "", usage(c, "unexpected argument %q", rest[1])
	}
	h, err := route.ParseHost(rest[0])
	if err != nil {
		return key, "", usage(c, "%v", err)
	}
	return key, h.String(), nil
}

func (s *settings) printWhyOf(d agent.ServiceDetail, host string, asJSON bool) error {
	i := slices.IndexFunc(d.List, func(h agent.HostInfo) bool { return h.Host == host })
	switch {
	case i < 0:
		return fmt.Errorf("host %s is not in the route that the agent has of %s (%s); lars agent hosts %[2]s lists its hosts", host, d.Service, d.Route)
	case asJSON:
		return s.printJSON(d.List[i])
	}
	s.printf("%s\n", d.List[i].Why)
	return nil
}

func (s *settings) printWhy(d agent.ServiceDetail) error {
	t := s.newTable("HOST", "WHY")
	for _, h := range d.List {
		t.row(h.Host, h.Why)
	}
	return t.flush()
}
