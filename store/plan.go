package store

import (
	"fmt"
	"slices"
	"strings"

	"lars.internal/route"
)

// maxDetails bounds the text of an audit row, in bytes: the column holds 65,535.
const maxDetails = 60_000

// plan is what an edit has to write.
type plan struct {
	remove   []int64     // ids of rows of RouteData
	insert   []placement // of RouteData
	forget   []placement // rows of RouteHost to delete
	describe []member    // rows of RouteHost to write, in the place of what is there
	unset    []setting   // rows of ServiceSetting to delete, by their names
	set      []setting   // rows of ServiceSetting to write, in the place of what is there

	touched  []route.Key // in order
	services []route.ServiceChange
	after    []route.Service // all that the edit names, in order

	unlimited bool // immutable
}

// placement is a host of a service.
type placement struct {
	key  route.Key
	host route.Host
}

// member is what is known of a host of a service.
type member struct {
	key route.Key
	route.Member
}

// setting is a setting of a service.
type setting struct {
	key route.Key
	route.Setting
}

// makePlan works out what an edit has to write, given what is stored of each
// service that it names. No service grows beyond route.MaxHosts unless unlimited.
func makePlan(edit route.Edit, stored storedServices, unlimited bool) (*plan, error) {
	p := &plan{unlimited: unlimited}
	for _, key := range editedKeys(edit) {
		rows := stored[key]
		if rows == nil {
			rows = new(storedService)
		}
		if err := p.add(key, edit, rows); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// editedKeys returns the services that an edit names, in order.
func editedKeys(edit route.Edit) []route.Key {
	keys := make([]route.Key, 0, len(edit.Changes))
	for _, c := range edit.Changes {
		keys = append(keys, c.Key)
	}
	slices.SortFunc(keys, route.Key.Compare)
	return slices.Compact(keys)
}

// add works out one service.
func (p *plan) add(key route.Key, edit route.Edit, stored *storedService) (err error) {
	before := stored.service(key)
	after := before
	// Set, and Remove without hosts, replace all of the service, so they also
	// delete its invalid rows.
	all := false // the changes replace or remove all of the service
	for _, c := range edit.Changes {
		if c.Key != key {
			continue
		}
		if after, err = c.Apply(after); err != nil {
			return err
		}
		all = all || c.Action == route.Set || c.Action == route.Remove && len(c.Hosts) == 0
	}
	if err := p.checkSize(before, after); err != nil {
		return err
	}
	if edit.Check != nil {
		if err := edit.Check(before, after); err != nil {
			return fmt.Errorf("service %v: %w", key, err)
		}
	}
	p.after = append(p.after, after)
	p.compare(stored, before, after, all)
	return nil
}

// checkSize keeps a service from growing beyond what a frame holds. Drained
// hosts count, so that each of them can be undrained.
func (p *plan) checkSize(before, after route.Service) error {
	if n := len(after.Hosts); !p.unlimited && n > route.MaxHosts && n > len(before.Hosts) {
		return fmt.Errorf("service %v would have %d hosts, but %d fit one frame to the agents; spread them over several services",
			after.Key, n, route.MaxHosts)
	}
	if n := len(after.Settings); n > route.MaxSettings && n > len(before.Settings) {
		return fmt.Errorf("service %v would have %d settings, but %d fit; unset some: lars service unset %v KEY",
			after.Key, n, route.MaxSettings, after.Key)
	}
	return nil
}

// compare notes what turns the rows of a service into after. Where nothing
// differs for an editor, rows stay as they are, orphans too.
func (p *plan) compare(stored *storedService, before, after route.Service, all bool) {
	change := route.Compare(before, after)
	invalid := func(r storedRow) bool { return !r.valid }
	if change.Empty() && !(all && slices.ContainsFunc(stored.rows, invalid)) {
		return
	}
	p.compareRoutes(stored, before, after, all)
	p.compareKnown(stored, after)
	for _, s := range change.Configured {
		p.set = append(p.set, setting{after.Key, s})
	}
	for _, name := range change.Unconfigured {
		p.unset = append(p.unset, setting{after.Key, route.Setting{Name: name}})
	}
	p.touched = append(p.touched, after.Key)
	p.services = append(p.services, change)
}

// compareRoutes makes RouteData hold exactly the hosts that may be called.
func (p *plan) compareRoutes(stored *storedService, before, after route.Service, all bool) {
	had, has := before.Callable(), after.Callable()
	for _, r := range stored.rows {
		if !r.valid && all || r.valid && !contains(has, r.host) {
			p.remove = append(p.remove, r.id)
		}
	}
	for _, h := range has {
		if !contains(had, h) {
			p.insert = append(p.insert, placement{after.Key, h})
		}
	}
}

// compareKnown makes RouteHost hold what is known of the hosts. Rows that no
// host needs go, those that were left behind too.
func (p *plan) compareKnown(stored *storedService, after route.Service) {
	needed := make(map[route.Host]bool, len(after.Hosts))
	for _, m := range after.Hosts {
		if m == route.MemberOf(m.Host) {
			continue
		}
		needed[m.Host] = true
		if !slices.Contains(stored.known, m) {
			p.describe = append(p.describe, member{after.Key, m})
		}
	}
	for _, k := range stored.known {
		if !needed[k.Host] {
			p.forget = append(p.forget, placement{after.Key, k.Host})
		}
	}
}

func contains(sorted []route.Host, h route.Host) bool {
	_, found := slices.BinarySearchFunc(sorted, h, route.Host.Compare)
	return found
}

// intersect reports whether two lists have a service in common; b is in order.
func intersect(a, b []route.Key) bool {
	return slices.ContainsFunc(a, func(k route.Key) bool {
		_, found := slices.BinarySearchFunc(b, k, route.Key.Compare)
		return found
	})
}

// actionOn returns the name of the last thing that an edit does to a service.
func actionOn(edit route.Edit, key route.Key) string {
	action := route.Action(0)
	for _, c := range edit.Changes {
		if c.Key == key {
			action = c.Action
		}
	}
	return action.String()
}

// details returns what an edit did to a service, for people:
// "+10.0.0.1:80 -10.0.0.2:80 drained 10.0.0.3:80 10.0.0.4:80 weight=50 set ramp=5s".
func details(c route.ServiceChange) string {
	parts := parts(c)
	var text strings.Builder
	for i, part := range parts {
		if text.Len() > maxDetails {
			return fmt.Sprintf("%sand %d more", text.String(), len(parts)-i)
		}
		text.WriteString(part)
		text.WriteByte(' ')
	}
	return strings.TrimSuffix(text.String(), " ")
}

// parts returns what an edit did to a service, one text for each step of it.
func parts(c route.ServiceChange) []string {
	var parts []string
	for _, kind := range []struct {
		sign  string
		hosts []route.Host
	}{{"+", c.Added}, {"-", c.Removed}, {"drained ", c.Drained}, {"undrained ", c.Undrained}} {
		for _, h := range kind.hosts {
			parts = append(parts, kind.sign+h.String())
		}
	}
	for _, a := range c.Altered {
		parts = append(parts, a.String())
	}
	for _, s := range c.Configured {
		parts = append(parts, "set "+s.String())
	}
	for _, name := range c.Unconfigured {
		parts = append(parts, "unset "+name)
	}
	return parts
}
