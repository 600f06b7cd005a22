// Package route is the vocabulary of routes: services with their hosts and
// settings, the table of them, and edits of it.
//
// A Table is an immutable snapshot. An edit makes a new one that shares all
// that did not change, so readers never wait and an edit costs in proportion
// to what it touches. Diff returns the services that differ between two tables.
//
//	t := route.NewTable(7, map[route.Key]route.Route{k: {Hosts: hosts}})
//	t = t.With(8, map[route.Key]route.Route{k: {}}) // k is gone
//	hosts := t.Route(k).Hosts // with weights and zones
//
// An editor sees a Service: its hosts with notes, drained ones too. A Change turns
// one Service into another.
//
// A Builder makes a table of hosts that come one by one, such as rows of a
// database.
//
// Everything here is pure, and safe for concurrent use where it does not say
// otherwise.
package route
