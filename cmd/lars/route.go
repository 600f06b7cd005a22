package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
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
			"Give a service exactly these hosts. Others are removed, missing ones added."),
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
	Repeated  bool          `json:"repeated,omitempty"` // made before, under the same --id
	Committed time.Time     `json:"committed"`          // no later than this
	Services  []editService `json:"services"`
}

type editService struct {
	Service string   `json:"service"`
	Added   []string `json:"added,omitempty"`
	Removed []string `json:"removed,omitempty"`
}

// editCommand is `lars route add`, set or remove. It runs once.
type editCommand struct {
	settings *settings
	action   route.Action

	// The flags.
	asJSON    bool
	ifVersion uint64
	id        string
}

func newEdit(s *settings, action route.Action, use, short, long string) *cobra.Command {
	e := &editCommand{settings: s, action: action}
	c := &cobra.Command{
		Use:   use,
		Short: short,
		Long:  long + "\nAgents that know the service get the change pushed.",
		Example: fmt.Sprintf("  lars route %[1]s 1/2 10.0.0.1:8080 10.0.0.2:8080\n"+
			"  lars route %[1]s 1/2 10.0.0.1:8080 --if-version 1700000000", action),
		RunE: e.run,
	}
	c.Flags().Uint64Var(&e.ifVersion, "if-version", 0,
		"edit only if the service is as it was at this `VERSION`, which lars route list shows")
	c.Flags().StringVar(&e.id, "id", "", "`ID` of the edit, by which it is made only once, however often it is repeated")
	hosts := words(s.storedHosts)
	if action == route.Add {
		hosts = nil // the ones that it has are not the ones to add
	}
	return complete(jsonFlag(c, &e.asJSON), s.completeServices, hosts)
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
	edit := route.Edit{Who: who(), ID: e.id, Changes: []route.Change{{Action: e.action, Key: key, Hosts: hosts}}}
	if c.Flags().Changed("if-version") {
		edit.IfVersion = &e.ifVersion
	}
	return e.settings.withStore(func(db *store.DB) error { return e.edit(c.Context(), db, edit) })
}

func (e *editCommand) edit(ctx context.Context, db *store.DB, edit route.Edit) error {
	result, err := admin.New(db).Edit(ctx, edit)
	committed := time.Now()
	if err != nil {
		return howToRepeat(err)
	}
	if e.asJSON {
		return e.settings.printJSON(editedJSON(result, committed))
	}
	e.settings.printEdit(edit.Changes[0], result)
	return nil
}

// howToRepeat adds to an error of an edit which may have been made, how to make it
// only once.
func howToRepeat(err error) error {
	if unknown := (*route.UnknownEditError)(nil); errors.As(err, &unknown) {
		return fmt.Errorf("%w: repeat the command with --id %s", err, unknown.ID)
	}
	return err
}

// who returns the name of the person at the terminal, for the audit.
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
	e := edited{Version: r.Version, Changed: r.Changed, Repeated: r.Repeated, Committed: committed, Services: []editService{}}
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

func memberTexts(members []route.Member) []string {
	texts := make([]string, len(members))
	for i, m := range members {
		texts[i] = m.Host.String()
	}
	return texts
}

func (s *settings) printEdit(change route.Change, r route.EditResult) {
	if r.Repeated {
		s.printf("this edit was made before, as version %d; nothing changed now\n", r.Version)
		return
	}
	if !r.Changed {
		s.printf("%s: nothing to change\n", change.Key)
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
		Use:   "list [SERVICE]",
		Short: "List the routes that the database holds",
		Long: "List the routes that the database holds, a line for each host. Their version, which an\n" +
			"edit may name with --if-version, is written to standard error.",
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
			routes := admin.New(db)
			if asJSON {
				return s.listJSON(c.Context(), routes, filter)
			}
			return s.listText(c.Context(), routes, filter)
		})
	}
	return complete(jsonFlag(c, &asJSON), s.completeServices, nil)
}

func (s *settings) listText(ctx context.Context, routes *admin.Routes, filter *route.Key) error {
	list, err := allRoutes(ctx, routes, filter)
	if err != nil {
		return err
	}
	t, rows := s.newTable("SERVICE", "HOST"), 0
	for _, v := range list {
		for _, h := range v.Hosts {
			t.row(v.Key, h.Host)
		}
		rows += len(v.Hosts)
	}
	if rows == 0 {
		fmt.Fprintln(s.env.Stderr, "there are no routes; add some: lars route add "+exampleOf(filter)+" IP:PORT")
		return nil
	}
	return t.flush()
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

func (s *settings) listJSON(ctx context.Context, routes *admin.Routes, filter *route.Key) error {
	list, err := allRoutes(ctx, routes, filter)
	if err != nil {
		return err
	}
	all := make([]listed, len(list))
	for i, v := range list {
		all[i] = listed{v.Key.String(), hostTexts(v.Callable())}
	}
	return s.printJSON(all)
}
