package store

import (
	"fmt"
	"slices"
	"strings"

	"lars.internal/route"
)

// maxDetails bounds the text of an audit row, in bytes: the column holds 65,535.
const maxDetails = 60_000

// storedRow is a row of RouteData that belongs to a service. valid is false
// for a row that names no host.
type storedRow struct {
	id    int64
	host  route.Host
	valid bool
}

// plan is what an edit has to write.
type plan struct {
	remove   []int64 // ids of rows of RouteData
	insert   []placement
	touched  []route.Key // in order
	services []route.ServiceChange

	unlimited bool // immutable
}

// placement is a host of a service.
type placement struct {
	key  route.Key
	host route.Host
}

// makePlan works out what an edit has to write, given what is stored of each
// service that it names. No service grows beyond route.MaxHosts unless unlimited.
func makePlan(edit route.Edit, stored map[route.Key][]storedRow, unlimited bool) (*plan, error) {
	p := &plan{unlimited: unlimited}
	for _, key := range editedKeys(edit) {
		if err := p.add(key, edit.Changes, stored[key]); err != nil {
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
func (p *plan) add(key route.Key, changes []route.Change, rows []storedRow) error {
	before := validHosts(rows)
	after := before
	// Set, and Remove without hosts, replace all of the service, so they also
	// delete its invalid rows.
	all := false // the changes replace or remove all of the service
	for _, c := range changes {
		if c.Key == key {
			after = c.Apply(after)
			all = all || c.Action == route.Set || c.Action == route.Remove && len(c.Hosts) == 0
		}
	}
	if !p.unlimited && len(after) > route.MaxHosts && len(after) > len(before) {
		return fmt.Errorf("service %v would have %d hosts, but %d fit one frame to the agents; spread them over several services",
			key, len(after), route.MaxHosts)
	}
	p.compare(key, rows, before, after, all)
	return nil
}

// validHosts returns the hosts of the rows that name one, in order.
func validHosts(rows []storedRow) []route.Host {
	var hosts []route.Host
	for _, r := range rows {
		if r.valid {
			hosts = append(hosts, r.host)
		}
	}
	slices.SortFunc(hosts, route.Host.Compare)
	return hosts
}

func (p *plan) compare(key route.Key, rows []storedRow, before, after []route.Host, all bool) {
	change := route.ServiceChange{Key: key, Added: without(after, before), Removed: without(before, after)}
	removed := len(p.remove)
	for _, r := range rows {
		if !r.valid && all || r.valid && contains(change.Removed, r.host) {
			p.remove = append(p.remove, r.id)
		}
	}
	for _, h := range change.Added {
		p.insert = append(p.insert, placement{key, h})
	}
	if len(change.Added) > 0 || len(p.remove) > removed {
		p.touched = append(p.touched, key)
		p.services = append(p.services, change)
	}
}

// without returns the hosts of a that are not in b; both are in order.
func without(a, b []route.Host) []route.Host {
	var rest []route.Host
	for _, h := range a {
		if !contains(b, h) {
			rest = append(rest, h)
		}
	}
	return rest
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
// "+10.0.0.1:80 -10.0.0.2:80".
func details(c route.ServiceChange) string {
	var text strings.Builder
	written := 0
	for _, part := range []struct {
		sign  byte
		hosts []route.Host
	}{{'+', c.Added}, {'-', c.Removed}} {
		for _, h := range part.hosts {
			if text.Len() > maxDetails {
				return fmt.Sprintf("%sand %d more", text.String(), len(c.Added)+len(c.Removed)-written)
			}
			text.WriteByte(part.sign)
			text.WriteString(h.String())
			text.WriteByte(' ')
			written++
		}
	}
	return strings.TrimSuffix(text.String(), " ")
}
