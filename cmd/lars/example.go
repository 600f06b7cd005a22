package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/spf13/cobra"

	"lars.internal/call"
	"lars.internal/client"
	"lars.internal/route"
)

// exampleCalls is how often `lars example` calls the service.
const exampleCalls = 3

func newExample(s *settings) *cobra.Command {
	c := &cobra.Command{
		Use:   "example SERVICE",
		Short: "Do what a program does, and print each step",
		Long: `Do what a program does with the Go client, and print each step: register the
service, then pick a host, call it and report the result. The call is a TCP
connection that is closed at once.`,
		Example: "  lars example 1/2",
		RunE: func(c *cobra.Command, args []string) error {
			key, err := onlyService(c, args)
			if err != nil {
				return err
			}
			return s.withClient(c, func(cl *client.Client) error {
				if err := s.example(c.Context(), cl, key); err != nil {
					return explain(key, err)
				}
				return nil
			})
		},
	}
	return complete(c, s.completeServices, nil)
}

func (s *settings) example(ctx context.Context, cl *client.Client, key route.Key) error {
	if err := cl.Register(ctx, key.Modid, key.Cmdid); err != nil {
		return err
	}
	s.printf("Register(%s)      the agent knows the service\n", key)
	for range exampleCalls {
		if err := s.exampleCall(ctx, cl, key); err != nil {
			return err
		}
	}
	return nil
}

func (s *settings) exampleCall(ctx context.Context, cl *client.Client, key route.Key) error {
	p, err := cl.Pick(ctx, key.Modid, key.Cmdid)
	if err != nil {
		return err
	}
	s.printf("Pick(%s)          call %s\n", key, p.Addr)
	start := time.Now()
	failure := connect(ctx, p.Addr)
	took := time.Since(start)
	err = cl.ReportResult(key.Modid, key.Cmdid, p.Addr, client.Result{Err: failure, Latency: took, Ticket: p.Ticket})
	if err != nil {
		return err
	}
	s.printf("ReportResult(%s)  %s after %v\n", key, resultText(failure), took.Round(10*time.Microsecond))
	return nil
}

// connect is the example's call.
func connect(ctx context.Context, host netip.AddrPort) error {
	d := net.Dialer{Timeout: time.Second}
	conn, err := d.DialContext(ctx, "tcp", host.String())
	if err != nil {
		return err
	}
	return conn.Close()
}

func resultText(failure error) string {
	if failure != nil {
		return fmt.Sprintf("%v: %v", call.Classify(failure), failure)
	}
	return "success"
}
