// Package admin turns what people type into edits of the routes, refuses what
// makes no sense, and passes on the name of the editor for the audit.
//
//	routes := admin.New(db) // a *store.DB, for example
//	hosts, err := admin.ParseHosts([]string{"10.0.0.1:80", "10.0.0.2:80"})
//	result, err := routes.Add(ctx, "ann", key, hosts)
//	result, err = routes.Move(ctx, "ann", from, to, hosts)
//	result, err = routes.Drain(ctx, "ann", hosts) // in all services
//	err = routes.List(ctx, nil, func(s route.Service) error { ... })
//
// Every method is one transaction of the store, announced under one version.
// A Routes is safe for concurrent use, and its Store has to be.
//
// Left out on purpose: logins and rights. The caller checks them.
package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"lars.internal/lb/adaptive"
	"lars.internal/lb/policy"
	"lars.internal/route"
)

// MaxWho is the longest name of an editor, in bytes.
const MaxWho = 255

// pageSize is how many services List asks the store for at once.
const pageSize = 500

// Store is where routes are kept.
type Store interface {
	// EditRoutes makes all changes of an edit in one transaction, once for
	// each ID. A *route.UnknownEditError means that it may have been made;
	// after any other error it was not.
	EditRoutes(ctx context.Context, edit route.Edit) (route.EditResult, error)

	// AcceptRoutes records that an operator accepts the routes as they are
	// stored, once for each id, "" for none. Its errors are those of EditRoutes.
	AcceptRoutes(ctx context.Context, who, id string) (route.Acceptance, error)

	// Where returns the services that have a host, callable or drained, each with
	// that host alone; port 0 stands for every port of its address.
	Where(ctx context.Context, host route.Host) ([]route.Service, error)

	// Routes returns at most limit services after the service after (nil:
	// from the start), or the one of the filter. Fewer than limit are the last.
	Routes(ctx context.Context, filter, after *route.Key, limit int) ([]route.Service, error)
}

// Routes edits and lists the routes of a store.
type Routes struct {
	store Store // immutable after New
}

// New returns the routes of a store.
func New(store Store) *Routes { return &Routes{store} }

// Add puts hosts into a service. The first host makes the service.
func (r *Routes) Add(ctx context.Context, who string, key route.Key, hosts []route.Host) (route.EditResult, error) {
	return r.one(ctx, who, route.Change{Action: route.Add, Key: key, Hosts: hosts})
}

// Set gives a service exactly these hosts, at least one. An empty list is too
// often a mistake: Remove is for that.
func (r *Routes) Set(ctx context.Context, who string, key route.Key, hosts []route.Host) (route.EditResult, error) {
	return r.one(ctx, who, route.Change{Action: route.Set, Key: key, Hosts: hosts})
}

// Remove takes hosts out of a service; without hosts, all of it.
func (r *Routes) Remove(ctx context.Context, who string, key route.Key, hosts []route.Host) (route.EditResult, error) {
	return r.one(ctx, who, route.Change{Action: route.Remove, Key: key, Hosts: hosts})
}

// Move takes hosts out of one service and puts them into another, in one step.
func (r *Routes) Move(ctx context.Context, who string, from, to route.Key, hosts []route.Host) (route.EditResult, error) {
	if from == to {
		return route.EditResult{}, fmt.Errorf("admin: move hosts of service %v: it goes to itself", from)
	}
	if len(hosts) == 0 {
		return route.EditResult{}, fmt.Errorf("admin: move hosts of service %v: name at least one host", from)
	}
	return r.Edit(ctx, route.Edit{Who: who, Changes: []route.Change{
		{Action: route.Remove, Key: from, Hosts: hosts},
		{Action: route.Add, Key: to, Hosts: hosts},
	}})
}

// Edit makes several changes in one step, each checked as the methods above
// do.
func (r *Routes) Edit(ctx context.Context, edit route.Edit) (route.EditResult, error) {
	if err := checkEdit(edit); err != nil {
		return route.EditResult{}, fmt.Errorf("admin: %w", err)
	}
	if slices.ContainsFunc(edit.Changes, func(c route.Change) bool { return c.Action == route.Configure }) {
		edit.Check = checkTogether
	}
	return r.store.EditRoutes(ctx, edit)
}

// Configure gives a service these settings, beside those that it has.
func (r *Routes) Configure(ctx context.Context, who string, key route.Key, settings []route.Setting) (route.EditResult, error) {
	return r.one(ctx, who, route.Change{Action: route.Configure, Key: key, Settings: settings})
}

// Drain takes hosts out of use in all services that have them; port 0 stands for
// every port of an address.
func (r *Routes) Drain(ctx context.Context, who string, hosts []route.Host) (route.EditResult, error) {
	return r.one(ctx, who, route.Change{Action: route.Drain, Hosts: hosts, Everywhere: true})
}

// Undrain brings hosts back, as Drain takes them out.
func (r *Routes) Undrain(ctx context.Context, who string, hosts []route.Host) (route.EditResult, error) {
	return r.one(ctx, who, route.Change{Action: route.Undrain, Hosts: hosts, Everywhere: true})
}

// Accept makes dns services take the routes as they are stored, once, where
// they hold them back because too many hosts are gone without an edit. It is
// recorded once for each id, "" for none.
func (r *Routes) Accept(ctx context.Context, who, id string) (route.Acceptance, error) {
	if err := checkWho(who); err != nil {
		return route.Acceptance{}, fmt.Errorf("admin: %w", err)
	}
	return r.store.AcceptRoutes(ctx, who, id)
}

func (r *Routes) one(ctx context.Context, who string, change route.Change) (route.EditResult, error) {
	return r.Edit(ctx, route.Edit{Who: who, Changes: []route.Change{change}})
}

// List calls yield for each service in the store's order, or for the one of
// the filter, with its hosts in order, until yield fails; it returns that
// error. The services are read in pages, each of its own moment.
func (r *Routes) List(ctx context.Context, filter *route.Key, yield func(route.Service) error) error {
	var after *route.Key
	for {
		page, err := r.store.Routes(ctx, filter, after, pageSize)
		if err != nil {
			return err
		}
		for _, s := range page {
			if err := yield(s); err != nil {
				return err
			}
		}
		if filter != nil || len(page) < pageSize {
			return nil
		}
		after = &page[len(page)-1].Key
	}
}

// Where returns the services that have a host, as Store.Where does.
func (r *Routes) Where(ctx context.Context, host route.Host) ([]route.Service, error) {
	return r.store.Where(ctx, host)
}

// checkEdit refuses an edit that makes no sense.
func checkEdit(edit route.Edit) error {
	if err := checkWho(edit.Who); err != nil {
		return err
	}
	if len(edit.Changes) == 0 {
		return errors.New("edit routes: it has no changes")
	}
	for _, c := range edit.Changes {
		if err := checkChange(c); err != nil {
			return fmt.Errorf("%s: %w", subject(c), err)
		}
	}
	return nil
}

// subject says what a change does to what.
func subject(c route.Change) string {
	if c.Everywhere {
		return c.Action.String() + " everywhere"
	}
	return fmt.Sprintf("%v service %v", c.Action, c.Key)
}

func checkWho(who string) error {
	switch {
	case strings.TrimSpace(who) == "":
		return errors.New("edit routes: want the name of the editor, for the audit")
	case len(who) > MaxWho:
		return fmt.Errorf("edit routes: the name of the editor has %d bytes, want at most %d", len(who), MaxWho)
	case !utf8.ValidString(who) || strings.ContainsFunc(who, unicode.IsControl):
		return errors.New("edit routes: the name of the editor has characters that cannot be shown")
	}
	return nil
}

func checkChange(c route.Change) error {
	switch c.Action {
	case route.Add, route.Set, route.Drain, route.Undrain, route.Alter:
		if len(c.Hosts) == 0 {
			return errors.New("name at least one host")
		}
	case route.Configure:
		return checkSettings(c.Settings)
	case route.Remove, route.Unconfigure:
	default:
		return errors.New("want add, set or remove, or one of the actions on hosts and settings")
	}
	// A host that must not be in a route may still be stored, and has to be
	// removable.
	if c.Action != route.Add && c.Action != route.Set {
		return checkAttributes(c.Attributes)
	}
	if len(c.Hosts) > route.MaxHosts {
		return fmt.Errorf("%d hosts, but %d fit one frame to the agents; spread them over several services", len(c.Hosts), route.MaxHosts)
	}
	if err := checkHosts(c.Hosts); err != nil {
		return err
	}
	return checkAttributes(c.Attributes)
}

// checkAttributes also refuses a zone that no agent can be in: all of them would
// take its hosts for remote ones.
func checkAttributes(a route.Attributes) error {
	if err := a.Check(); err != nil || a.Zone == nil {
		return err
	}
	agent := adaptive.DefaultConfig()
	if err := agent.Set("zone", *a.Zone); err != nil {
		return fmt.Errorf("no agent can be in this zone: %w", err)
	}
	return nil
}

func checkSettings(settings []route.Setting) error {
	if len(settings) == 0 {
		return errors.New("name at least one setting")
	}
	for _, s := range settings {
		if err := checkSetting(s); err != nil {
			return err
		}
	}
	return nil
}

// checkSetting refuses a setting that makes no sense, whatever the others are.
func checkSetting(s route.Setting) error {
	if err := s.Check(); err != nil {
		return err
	}
	return policy.Check(s.Name, s.Value)
}

// checkTogether refuses settings that make no sense together. Settings that made
// none before do not stand in the way of others.
func checkTogether(before, after route.Service) error {
	if policy.CheckAll(before.Settings) != nil {
		return nil
	}
	return policy.CheckAll(after.Settings)
}
