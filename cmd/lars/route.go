package main

import (
	"context"
	"fmt"
	"os"
	"os/user"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lars.internal/admin"
	"lars.internal/route"
	"lars.internal/store"
)

func newRoute(s *settings) *cobra.Command {
	return group("route", "Edit and list the routes",
		newEdit(s, route.Add, "add SERVICE IP:PORT...", "Add hosts to a service",
			"Add hosts to a service. Hosts that it has already stay as they are."),
		newEdit(s, route.Set, "set SERVICE IP:PORT...", "Give a service exactly these hosts",
			"Give a service exactly these hosts: others go, missing ones come."),
		newEdit(s, route.Remove, "remove SERVICE [IP:PORT...]", "Remove hosts from a service, or all of it",
			"Remove hosts from a service; without hosts, all that it has."),
		newRouteAccept(s),
		newRouteList(s),
	)
}

// edited is what an edit prints as JSON.
type edited struct {
	Version   uint64        `json:"version"`
	Changed   bool          `json:"changed"`
	Committed time.Time     `json:"committed"` // no later than this
	Services  []editService `json:"services"`
}

type editService struct {
	Service string   `json:"service"`
	Added   []string `json:"added,omitempty"`
	Removed []string `json:"removed,omitempty"`
}

func newEdit(s *settings, action route.Action, use, short, long string) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:     use,
		Short:   short,
		Long:    long + "\nAgents that know the service get the change pushed.",
		Example: fmt.Sprintf("  lars route %s 1/2 10.0.0.1:8080 10.0.0.2:8080", action),
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		key, rest, err := takeService(c, args)
		if err != nil {
			return err
		}
		if len(rest) == 0 && action != route.Remove {
			return usage(c, "which hosts? Name them as IP:PORT")
		}
		hosts, err := admin.ParseHosts(rest)
		if err != nil {
			return usage(c, "%v", err)
		}
		return s.edit(c.Context(), route.Change{Action: action, Key: key, Hosts: hosts}, asJSON)
	}
	return jsonFlag(c, &asJSON)
}

func (s *settings) edit(ctx context.Context, change route.Change, asJSON bool) error {
	return s.withStore(func(db *store.DB) error {
		result, err := admin.New(db).Edit(ctx, route.Edit{Who: who(), Changes: []route.Change{change}})
		committed := time.Now()
		if err != nil {
			return err
		}
		if asJSON {
			return s.printJSON(editedJSON(result, committed))
		}
		s.printEdit(change, result)
		return nil
	})
}

// who names the person at the terminal, for the audit.
func who() string {
	name := "uid " + fmt.Sprint(os.Getuid())
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if host, err := os.Hostname(); err == nil {
		name += "@" + host
	}
	return name[:min(len(name), admin.MaxWho)]
}

func editedJSON(r route.EditResult, committed time.Time) edited {
	e := edited{Version: r.Version, Changed: r.Changed, Committed: committed, Services: []editService{}}
	for _, sc := range r.Services {
		e.Services = append(e.Services, editService{sc.Key.String(), hostTexts(sc.Added), hostTexts(sc.Removed)})
	}
	return e
}

func hostTexts(hosts []route.Host) []string {
	texts := make([]string, len(hosts))
	for i, h := range hosts {
		texts[i] = h.String()
	}
	return texts
}

func (s *settings) printEdit(change route.Change, r route.EditResult) {
	if !r.Changed {
		s.printf("%s is so already, nothing changed\n", change.Key)
		return
	}
	for _, sc := range r.Services {
		if len(sc.Added) > 0 {
			s.printf("%s: added %s\n", sc.Key, strings.Join(hostTexts(sc.Added), " "))
		}
		if len(sc.Removed) > 0 {
			s.printf("%s: removed %s\n", sc.Key, strings.Join(hostTexts(sc.Removed), " "))
		}
	}
	s.printf("version %d\n", r.Version)
}

// listed is a service with its hosts as JSON.
type listed struct {
	Service string   `json:"service"`
	Hosts   []string `json:"hosts"`
}

func newRouteList(s *settings) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:     "list [SERVICE]",
		Short:   "List the routes that the database holds",
		Long:    "List the routes that the database holds, a line for each host.",
		Example: "  lars route list\n  lars route list 1/2",
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		filter, err := maybeService(c, args)
		if err != nil {
			return err
		}
		return s.withStore(func(db *store.DB) error {
			routes := admin.New(db)
			if asJSON {
				return s.listJSON(c.Context(), routes, filter)
			}
			return s.listText(c.Context(), routes, filter)
		})
	}
	return jsonFlag(c, &asJSON)
}

func (s *settings) listText(ctx context.Context, routes *admin.Routes, filter *route.Key) error {
	t, rows := s.newTable("SERVICE", "HOST"), 0
	err := routes.List(ctx, filter, func(v route.Service) error {
		for _, h := range v.Hosts {
			t.row(v.Key, h)
		}
		rows += len(v.Hosts)
		return nil
	})
	if err != nil {
		return err
	}
	if rows == 0 {
		fmt.Fprintln(s.env.Stderr, "there are no routes; add some: lars route add "+exampleOf(filter)+" IP:PORT")
		return nil
	}
	return t.flush()
}

// exampleOf returns the service that was asked for, or one to show the form.
func exampleOf(filter *route.Key) string {
	if filter == nil {
		return "1/2"
	}
	return filter.String()
}

func (s *settings) listJSON(ctx context.Context, routes *admin.Routes, filter *route.Key) error {
	all := []listed{}
	err := routes.List(ctx, filter, func(v route.Service) error {
		all = append(all, listed{v.Key.String(), hostTexts(v.Hosts)})
		return nil
	})
	if err != nil {
		return err
	}
	return s.printJSON(all)
}
