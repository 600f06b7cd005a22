package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/spf13/cobra"

	"lars.internal/client"
	"lars.internal/route"
)

// asked is what `lars gethost` and `lars getroute` print as JSON.
type asked struct {
	Service string           `json:"service"`
	Host    *netip.AddrPort  `json:"host,omitempty"`
	Hosts   []netip.AddrPort `json:"hosts,omitempty"`
	Cut     bool             `json:"cut,omitempty"` // there are more hosts
}

func newGetHost(s *settings) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "gethost SERVICE",
		Short: "Ask the agent which host to call now",
		Long: `Ask the agent which host of a service to call now, as a program does. It counts as
a pick, but no call follows and nothing is reported.`,
		Example: "  lars gethost 1/2",
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		key, err := onlyService(c, args)
		if err != nil {
			return err
		}
		return s.withClient(c, func(cl *client.Client) error {
			host, err := getHost(c.Context(), cl, key)
			if err != nil {
				return explain(key, err)
			}
			if asJSON {
				return s.printJSON(asked{Service: key.String(), Host: &host})
			}
			s.printf("%s\n", host)
			return nil
		})
	}
	return complete(jsonFlag(c, &asJSON), s.completeServices, nil)
}

// getHost registers the service and picks a host, as a program does at its
// start.
func getHost(ctx context.Context, cl *client.Client, key route.Key) (netip.AddrPort, error) {
	if err := cl.Register(ctx, key.Modid, key.Cmdid); err != nil {
		return netip.AddrPort{}, err
	}
	return cl.GetHost(ctx, key.Modid, key.Cmdid)
}

func newGetRoute(s *settings) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:     "getroute SERVICE",
		Short:   "Ask the agent for all hosts of a service",
		Long:    "Ask the agent for all hosts of a service, ejected ones among them.",
		Example: "  lars getroute 1/2",
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		key, err := onlyService(c, args)
		if err != nil {
			return err
		}
		return s.withClient(c, func(cl *client.Client) error {
			hosts, cut, err := getRoute(c.Context(), cl, key)
			if err != nil {
				return explain(key, err)
			}
			if asJSON {
				return s.printJSON(asked{Service: key.String(), Hosts: hosts, Cut: cut})
			}
			for _, h := range hosts {
				s.printf("%s\n", h)
			}
			if cut {
				fmt.Fprintln(s.env.Stderr, "there are more hosts than fit one datagram; lars route list shows all")
			}
			return nil
		})
	}
	return complete(jsonFlag(c, &asJSON), s.completeServices, nil)
}

// getRoute returns the hosts in order, and whether there are more.
func getRoute(ctx context.Context, cl *client.Client, key route.Key) ([]netip.AddrPort, bool, error) {
	if err := cl.Register(ctx, key.Modid, key.Cmdid); err != nil {
		return nil, false, err
	}
	hosts, err := cl.GetRoute(ctx, key.Modid, key.Cmdid)
	cut := errors.Is(err, client.ErrTruncated)
	if cut {
		err = nil
	}
	slices.SortFunc(hosts, netip.AddrPort.Compare)
	return hosts, cut, err
}

func newReport(s *settings) *cobra.Command {
	c := &cobra.Command{
		Use:   "report SERVICE IP:PORT 0|1",
		Short: "Tell the agent the result of a call: 0 success, 1 failure",
		Long: `Tell the agent how a call to a host went, as a program does: 0 is a success, 1 a
failure. Agents do not answer reports, so the host is first looked up in the route.`,
		Example: "  lars report 1/2 10.0.0.1:8080 0",
		RunE: func(c *cobra.Command, args []string) error {
			key, host, result, err := reportArguments(c, args)
			if err != nil {
				return err
			}
			return s.withClient(c, func(cl *client.Client) error {
				if err := sendReport(c.Context(), cl, key, host, result); err != nil {
					return explain(key, err)
				}
				return nil
			})
		},
	}
	return complete(c, s.completeServices, s.reportWords)
}

var errCallFailed = errors.New("the call failed")

// reportArguments returns the result as a program's error: nil or errCallFailed.
func reportArguments(c *cobra.Command, args []string) (key route.Key, host netip.AddrPort, result, err error) {
	key, rest, err := takeService(c, args)
	if err != nil {
		return key, host, nil, err
	}
	if len(rest) != 2 {
		return key, host, nil, usage(c, "want the host and the result, for example %s 10.0.0.1:8080 0", key)
	}
	h, err := route.ParseHost(rest[0])
	if err != nil {
		return key, host, nil, usage(c, "%v", err)
	}
	switch rest[1] {
	case "0":
	case "1":
		result = errCallFailed
	default:
		return key, host, nil, usage(c, "result %q: want 0 for a success or 1 for a failure", rest[1])
	}
	return key, h.AddrPort(), result, nil
}

func sendReport(ctx context.Context, cl *client.Client, key route.Key, host netip.AddrPort, result error) error {
	hosts, cut, err := getRoute(ctx, cl, key)
	if err != nil {
		return err
	}
	if !cut && !slices.Contains(hosts, host) {
		return fmt.Errorf("report %s: %s is no host of it; lars getroute %s lists them", key, host, key)
	}
	return cl.Report(key.Modid, key.Cmdid, host, result)
}

// withClient calls f with a client of the agent.
func (s *settings) withClient(c *cobra.Command, f func(*client.Client) error) error {
	cl, err := s.openClient(c)
	if err != nil {
		return err
	}
	defer cl.Close()
	return f(cl)
}

// explain adds to an error of the client the command or flag that helps.
func explain(key route.Key, err error) error {
	err = because(err, client.ErrNoService, "lars route list %s shows what the database holds", key)
	err = because(err, client.ErrOverload, "lars agent hosts %s shows why", key)
	return because(err, client.ErrAgent, "--agent names another address")
}
