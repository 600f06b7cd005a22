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

func newHost(s *settings) *cobra.Command {
	return group("host", "Look after one host in all services: drain it, bring it back, weigh it",
		newDrain(s, route.Drain, "Take hosts out of use in all services",
			"Take hosts out of use in all services that have them, by one edit. Agents call them no more as\n"+
				"soon as they have the push; calls that are under way end as they do. What is known of the\n"+
				"hosts stays, and lars host undrain brings them back. A host that is drained already stays so.\n"+
				"The last host of a service is drained too, with a warning."),
		newDrain(s, route.Undrain, "Bring drained hosts back in all services",
			"Bring drained hosts back in all services that have them, by one edit, each with its weight."),
		newWhere(s),
		newHostSet(s),
	)
}

// drainCommand is `lars host drain` or undrain. It runs once.
type drainCommand struct {
	editing
	action  route.Action
	dryRun  bool
	service string
}

func newDrain(s *settings, action route.Action, short, long string) *cobra.Command {
	d := &drainCommand{editing: editing{settings: s}, action: action}
	c := &cobra.Command{
		Use:     action.String() + " IP[:PORT]...",
		Short:   short,
		Long:    long + "\nWithout a port, every port of the address is meant.",
		Example: fmt.Sprintf("  lars host %[1]s 10.0.0.7 --dry-run\n  lars host %[1]s 10.0.0.7\n  lars host %[1]s 10.0.0.7:8080", action),
		RunE:    d.run,
	}
	c.Flags().BoolVar(&d.dryRun, "dry-run", false, "change nothing, and print where the hosts are")
	c.Flags().StringVar(&d.service, "service", "", "`SERVICE` in which alone to do it; hosts are named with their port then")
	completeFlag(c, "service", s.completeServices)
	return completeAddresses(d.bind(c), s)
}

func (d *drainCommand) run(c *cobra.Command, args []string) error {
	hosts, err := takeAddresses(c, args)
	if err != nil {
		return err
	}
	if d.dryRun {
		return d.settings.withStore(func(db *store.DB) error { return d.settings.where(c.Context(), db, hosts, d.asJSON) })
	}
	change := route.Change{Action: d.action, Hosts: hosts, Everywhere: d.service == ""}
	if d.service != "" {
		if change.Key, err = route.ParseKey(d.service); err != nil {
			return usage(c, "--service: %v", err)
		}
		if slices.ContainsFunc(hosts, func(h route.Host) bool { return h.Port == 0 }) {
			return usage(c, "name the hosts of --service as IP:PORT")
		}
	}
	return d.editing.run(c, change)
}

func newWhere(s *settings) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "where IP[:PORT]...",
		Short: "List the services that have a host",
		Long: "List the services that have a host, drained or not. Without a port, every port of the\n" +
			"address is meant.",
		Example: "  lars host where 10.0.0.7",
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		hosts, err := takeAddresses(c, args)
		if err != nil {
			return err
		}
		return s.withStore(func(db *store.DB) error { return s.where(c.Context(), db, hosts, asJSON) })
	}
	return completeAddresses(jsonFlag(c, &asJSON), s)
}

// where prints the services that have one of the hosts, with these hosts alone.
func (s *settings) where(ctx context.Context, db *store.DB, hosts []route.Host, asJSON bool) error {
	var list []route.Service
	for _, h := range hosts {
		found, err := admin.New(db).Where(ctx, h)
		if err != nil {
			return err
		}
		list = append(list, found...)
	}
	if len(list) == 0 {
		return nowhere(route.Change{Hosts: hosts, Everywhere: true})
	}
	for i := range list {
		list[i].Settings = nil // not asked for
	}
	slices.SortStableFunc(list, func(a, b route.Service) int { return a.Key.Compare(b.Key) })
	return s.printRoutes(list, asJSON)
}

// hostSetCommand is `lars host set`. It runs once.
type hostSetCommand struct {
	editing
	attributes attributeFlags
}

func newHostSet(s *settings) *cobra.Command {
	h := &hostSetCommand{editing: editing{settings: s}}
	c := &cobra.Command{
		Use:   "set SERVICE IP:PORT...",
		Short: "Give hosts of a service a weight, a zone or a note",
		Long: "Give hosts of a service a weight, a zone or a note. What is not given stays as it is. A\n" +
			"drained host stays drained; its new weight is for when it is back.",
		Example: "  lars host set 1/2 10.0.0.7:80 --weight 50\n  lars host set 1/2 10.0.0.7:80 --zone eu1 --note 'new disk on Monday'\n" +
			"  lars host set 1/2 10.0.0.7:80 --note ''",
		RunE: h.run,
	}
	h.attributes.bind(c)
	return complete(h.bind(c), s.completeServices, s.storedHosts)
}

func (h *hostSetCommand) run(c *cobra.Command, args []string) error {
	key, rest, err := takeService(c, args)
	if err != nil {
		return err
	}
	hosts, err := admin.ParseHosts(rest)
	if err != nil {
		return usage(c, "%v", err)
	}
	if len(hosts) == 0 {
		return usage(c, "which hosts? Name them as IP:PORT")
	}
	attributes, err := h.attributes.of(c)
	if err != nil {
		return err
	}
	if attributes == (route.Attributes{}) {
		return usage(c, "name what to set: --weight, --zone or --note")
	}
	return h.editing.run(c, route.Change{Action: route.Alter, Key: key, Hosts: hosts, Attributes: attributes})
}

// takeAddresses takes hosts with or without a port, at least one.
func takeAddresses(c *cobra.Command, args []string) ([]route.Host, error) {
	if len(args) == 0 {
		return nil, usage(c, "which host? Name it as IP or IP:PORT")
	}
	hosts := make([]route.Host, len(args))
	for i, text := range args {
		h, err := admin.ParseAddress(text)
		if err != nil {
			return nil, usage(c, "%v", err)
		}
		hosts[i] = h
	}
	return hosts, nil
}

// completeAddresses gives a command completion for addresses of hosts.
func completeAddresses(c *cobra.Command, s *settings) *cobra.Command {
	c.ValidArgsFunction = func(c *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
		var texts []string
		for _, v := range s.storedRoutes(c, nil) {
			for _, m := range v.Hosts {
				texts = append(texts, m.Host.AddrPort().Addr().String(), m.Host.String())
			}
		}
		return offer(texts, args, prefix)
	}
	return c
}
