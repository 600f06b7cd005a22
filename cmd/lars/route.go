package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"lars.internal/admin"
	"lars.internal/route"
	"lars.internal/store"
)

func newRoute(s *settings) *cobra.Command {
	return group("route", "Edit and list the routes",
		newEdit(s, route.Add, "add SERVICE IP:PORT...", "Add hosts to a service",
			"Add hosts to a service. Hosts that it has already stay as they are, but get the weight,\n"+
				"zone and note that are given. Hosts that are drained stay so."),
		newEdit(s, route.Set, "set SERVICE IP:PORT...", "Give a service exactly these hosts",
			"Give a service exactly these hosts. Others are removed, drained ones too, and missing ones\n"+
				"added. What is known of the hosts that stay remains, and those that are drained stay so."),
		newEdit(s, route.Remove, "remove SERVICE [IP:PORT...]", "Remove hosts from a service, or all of it",
			"Remove hosts from a service, with what is known of them; without hosts, all that it has,\n"+
				"drained hosts and settings too."),
		newRouteAccept(s),
		newRouteList(s),
	)
}

// editCommand is `lars route add`, set or remove. It runs once.
type editCommand struct {
	editing
	action     route.Action
	attributes attributeFlags
}

func newEdit(s *settings, action route.Action, use, short, long string) *cobra.Command {
	e := &editCommand{editing: editing{settings: s}, action: action}
	c := &cobra.Command{
		Use:   use,
		Short: short,
		Long:  long + "\nAgents that know the service get the change pushed.",
		Example: fmt.Sprintf("  lars route %[1]s 1/2 10.0.0.1:8080 10.0.0.2:8080\n"+
			"  lars route %[1]s 1/2 10.0.0.1:8080 --if-version 1700000000", action),
		RunE: e.run,
	}
	if action != route.Remove {
		e.attributes.bind(c)
		c.Example += fmt.Sprintf("\n  lars route %s 1/2 10.0.0.7:80 --weight 50 --zone eu1 --note 'new disk on Monday'", action)
	}
	hosts := words(s.storedHosts)
	if action == route.Add {
		hosts = nil // the ones that it has are not the ones to add
	}
	return complete(e.bind(c), s.completeServices, hosts)
}

func (e *editCommand) run(c *cobra.Command, args []string) error {
	key, rest, err := takeService(c, args)
	if err != nil {
		return err
	}
	if len(rest) == 0 && e.action != route.Remove {
		return usage(c, "which hosts? Name them as IP:PORT")
	}
	hosts, err := admin.ParseHosts(rest)
	if err != nil {
		return usage(c, "%v", err)
	}
	attributes, err := e.attributes.of(c)
	if err != nil {
		return err
	}
	return e.editing.run(c, route.Change{Action: e.action, Key: key, Hosts: hosts, Attributes: attributes})
}

// attributeFlags are the flags for what is known of a host.
type attributeFlags struct {
	weight     uint32
	zone, note string
}

func (f *attributeFlags) bind(c *cobra.Command) {
	c.Flags().Uint32Var(&f.weight, "weight", 0,
		fmt.Sprintf("`WEIGHT` of each host, its share of the calls relative to the others, up to %d (a new host: %d); 0 drains it",
			route.MaxWeight, route.DefaultWeight))
	c.Flags().StringVar(&f.zone, "zone", "", fmt.Sprintf("`ZONE` that the hosts are in, up to %d bytes; agents of the same zone prefer them", route.MaxZone))
	c.Flags().StringVar(&f.note, "note", "", fmt.Sprintf("`TEXT` for people, up to %d bytes", route.MaxNote))
}

// of returns what the flags give to hosts: those alone that are on the command
// line.
func (f *attributeFlags) of(c *cobra.Command) (route.Attributes, error) {
	var a route.Attributes
	if c.Flags().Changed("weight") {
		a.Weight = &f.weight
	}
	if c.Flags().Changed("zone") {
		a.Zone = &f.zone
	}
	if c.Flags().Changed("note") {
		a.Note = &f.note
	}
	if err := a.Check(); err != nil {
		return a, usage(c, "%v", err)
	}
	return a, nil
}

func newRouteList(s *settings) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "list [SERVICE]",
		Short: "List the routes that the database holds",
		Long: "List the routes that the database holds, a line for each host, drained ones too, then the\n" +
			"settings of the services. The version of the routes, which an edit may name with\n" +
			"--if-version, is written to standard error. In JSON, hosts are those that may be called.",
		Example: "  lars route list\n  lars route list 1/2",
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		filter, err := maybeService(c, args)
		if err != nil {
			return err
		}
		return s.withStore(func(db *store.DB) error {
			// Read first, so that it is never newer than what is listed.
			version, err := db.Version(c.Context())
			if err != nil {
				return err
			}
			fmt.Fprintf(s.env.Stderr, "lars: routes of version %d\n", version)
			list, err := allRoutes(c.Context(), admin.New(db), filter)
			if err != nil {
				return err
			}
			if !asJSON && len(list) == 0 {
				fmt.Fprintln(s.env.Stderr, "there are no routes; add some: lars route add "+exampleOf(filter)+" IP:PORT")
				return nil
			}
			return s.printRoutes(list, asJSON)
		})
	}
	return complete(jsonFlag(c, &asJSON), s.completeServices, nil)
}

// allRoutes returns the routes in the order of their ids. MySQL stores ids without a
// sign, so that its own order has negative ones at the end.
func allRoutes(ctx context.Context, routes *admin.Routes, filter *route.Key) ([]route.Service, error) {
	var list []route.Service
	err := routes.List(ctx, filter, func(v route.Service) error {
		list = append(list, v)
		return nil
	})
	slices.SortFunc(list, func(a, b route.Service) int { return a.Key.Compare(b.Key) })
	return list, err
}

// exampleOf returns the service that was asked for, or one for an example.
func exampleOf(filter *route.Key) string {
	if filter == nil {
		return "1/2"
	}
	return filter.String()
}
