// Package route is the vocabulary of routes: services, hosts, and the table
// from one to the other.
//
// A Table is an immutable snapshot. An edit makes a new one that shares all
// that did not change, so readers never wait and an edit costs in proportion
// to what it touches. Diff returns the services that differ between two tables.
//
//	t := route.NewTable(7, map[route.Key]route.Route{k: {Hosts: hosts}})
//	t = t.With(8, map[route.Key]route.Route{k: {}}) // k is gone
//	hosts := t.Route(k).Hosts
//
// A Builder makes a table of hosts that come one by one, such as rows of a
// database.
//
// Everything here is pure, and safe for concurrent use where it does not say
// otherwise.
package route
