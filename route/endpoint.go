package route

import (
	"slices"
	"strings"
)

const (
	// DefaultWeight is the weight of a host for which none was set.
	DefaultWeight = 100

	// MaxWeight is the greatest weight that a host may have.
	MaxWeight = 10_000

	// MaxZone is the longest zone, in bytes.
	MaxZone = 32

	// MaxSettings is the most settings that a service may have.
	MaxSettings = 32

	// MaxSetting is the longest name and the longest value of a setting, in bytes.
	MaxSetting = 128
)

// Endpoint is a host of a service with what may change while it stays: a host
// with another weight or zone is the same host.
type Endpoint struct {
	Host   Host
	Weight uint32 // share of the calls relative to other hosts, up to MaxWeight; 0 drains the host
	Zone   string // where the host is, up to MaxZone bytes; empty: not known
}

// Setting is one of the settings of a service: how its calls are balanced.
type Setting struct {
	Name, Value string // up to MaxSetting bytes each
}

// Route is what is known of one service. A service without hosts is not in a
// Table, whatever settings it has.
type Route struct {
	Hosts    []Endpoint
	Settings []Setting // up to MaxSettings
}

// Of returns the route of hosts of the default weight.
func Of(hosts ...Host) Route { return Route{Hosts: AppendEndpoints(nil, hosts)} }

// Equal reports whether two routes are the same, in the same order.
func (r Route) Equal(o Route) bool {
	return slices.Equal(r.Hosts, o.Hosts) && slices.Equal(r.Settings, o.Settings)
}

// HostsOf returns the hosts of endpoints, in the same order.
func HostsOf(endpoints []Endpoint) []Host {
	if len(endpoints) == 0 {
		return nil
	}
	hosts := make([]Host, len(endpoints))
	for i, e := range endpoints {
		hosts[i] = e.Host
	}
	return hosts
}

// AppendEndpoints appends the hosts as endpoints of the default weight.
func AppendEndpoints(dst []Endpoint, hosts []Host) []Endpoint {
	for _, h := range hosts {
		dst = append(dst, Endpoint{Host: h, Weight: DefaultWeight})
	}
	return dst
}

// WithoutDrained returns the endpoints whose weight is not 0: e itself if these
// are all, else a copy.
func WithoutDrained(e []Endpoint) []Endpoint {
	drained := func(e Endpoint) bool { return e.Weight == 0 }
	if !slices.ContainsFunc(e, drained) {
		return e
	}
	return slices.DeleteFunc(slices.Clone(e), drained)
}

// normalize returns a copy whose hosts are sorted by host and whose settings are
// sorted by name, of duplicates the first.
func (r Route) normalize() Route {
	return Route{
		Hosts:    sorted(r.Hosts, func(a, b Endpoint) int { return a.Host.Compare(b.Host) }),
		Settings: sortSettings(r.Settings),
	}
}

// sortSettings returns a copy sorted by name.
func sortSettings(list []Setting) []Setting {
	return sorted(list, func(a, b Setting) int { return strings.Compare(a.Name, b.Name) })
}

// sorted returns a sorted copy without duplicates, of which the first stays; nil
// if empty.
func sorted[E any](list []E, compare func(a, b E) int) []E {
	if len(list) == 0 {
		return nil
	}
	list = slices.Clone(list)
	slices.SortStableFunc(list, compare)
	return slices.Clip(slices.CompactFunc(list, func(a, b E) bool { return compare(a, b) == 0 }))
}

// Sink takes what a store reads.
type Sink struct {
	Host    func(Key, Endpoint)
	Setting func(Key, Setting)
	Row     func() // after each row that was read, whatever it says; nil: nothing
}

// Routes is a collection of the routes of services.
type Routes map[Key]Route

// Sink returns one that adds to the routes.
func (m Routes) Sink() Sink { return Sink{Host: m.AddHost, Setting: m.AddSetting} }

// AddHost appends a host to a service.
func (m Routes) AddHost(key Key, e Endpoint) {
	r := m[key]
	r.Hosts = append(r.Hosts, e)
	m[key] = r
}

// AddSetting appends a setting to a service.
func (m Routes) AddSetting(key Key, s Setting) {
	r := m[key]
	r.Settings = append(r.Settings, s)
	m[key] = r
}
