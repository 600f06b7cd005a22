package agent

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"lars.internal/engine"
	"lars.internal/internal/debug"
	"lars.internal/lb/policy"
	"lars.internal/route"
)

// MaxPage is the most services on one page.
const MaxPage = 10_000

// defaultPage is how many services a page has by default.
const defaultPage = 100

// ServiceInfo is what the agent holds of one service, for people.
type ServiceInfo struct {
	Service      string  `json:"service"` // as in 1/2
	Route        string  `json:"route"`   // fresh, asking, no hosts, stale 40s or emptied 12s ago
	State        string  `json:"state"`   // of the protocol: NEW or PULLING
	Hosts        int     `json:"hosts"`
	Version      uint64  `json:"version"`       // of the route; 0: not known
	Cut          bool    `json:"cut"`           // the route has more hosts than dns could send
	Idle         int     `json:"idle"`          // hosts in rotation
	Overload     int     `json:"overload"`      // hosts that are ejected
	AgeSeconds   float64 `json:"age_seconds"`   // since the route was confirmed; -1: never
	AskedSeconds float64 `json:"asked_seconds"` // since a program asked for it; -1: never
	Ejected      uint64  `json:"ejected"`       // times, all hosts of now
	Reinstated   uint64  `json:"reinstated"`

	Policy   string            `json:"policy"`             // of its balancer: classic or adaptive
	Shadow   string            `json:"shadow,omitempty"`   // of the second one that looks on
	Settings map[string]string `json:"settings,omitempty"` // of the service
}

// ServicePage is a part of all services, in order of their keys.
type ServicePage struct {
	Total    int           `json:"total"` // services of the agent
	Services []ServiceInfo `json:"services"`
	Next     string        `json:"next,omitempty"` // the value of after that leads to the next page
}

// HostInfo is what the agent holds of one host of a service, for people.
type HostInfo struct {
	Host         string  `json:"host"`          // as in 192.168.1.113:7777
	State        string  `json:"state"`         // idle or overload
	SinceSeconds float64 `json:"since_seconds"` // in this state
	Succ         uint32  `json:"succ"`          // calls of the window that is open
	Err          uint32  `json:"err"`
	VirtualSucc  uint32  `json:"virtual_succ"` // what the host is judged by
	VirtualErr   uint32  `json:"virtual_err"`
	ContinSucc   uint32  `json:"contin_succ"` // results of the same kind in a row
	ContinErr    uint32  `json:"contin_err"`
	TotalSucc    uint64  `json:"total_succ"` // calls since the agent learned of the host
	TotalErr     uint64  `json:"total_err"`
	Ejected      uint32  `json:"ejected"` // times since then
	Reinstated   uint32  `json:"reinstated"`

	Status    string  `json:"status"`           // policy classic: as state; adaptive: up, ramp, probation, suspect, doubtful, drained, out or trial
	Reason    string  `json:"reason,omitempty"` // why policy adaptive ejected it: DEAD or RATE
	Why       string  `json:"why"`              // since when, what decided, with its numbers, and what comes next
	Weight    uint32  `json:"weight"`
	Zone      string  `json:"zone,omitempty"`
	Share     float64 `json:"share"`                // of the calls, 0 to 1, that it gets now
	LatencyMS float64 `json:"latency_ms,omitempty"` // mean; policy adaptive
	InFlight  uint32  `json:"in_flight,omitempty"`  // calls; policy adaptive
}

// ServiceDetail is a service with its hosts, those in rotation first, each in
// the order of its queue.
type ServiceDetail struct {
	ServiceInfo
	List []HostInfo `json:"list"`
}

// Services returns up to limit services whose keys come after a key; nil: from
// the first one on. A limit outside 1..10,000 is 100.
func (a *Agent) Services(after *route.Key, limit int) ServicePage {
	if limit < 1 || limit > MaxPage {
		limit = defaultPage
	}
	page := ServicePage{Services: []ServiceInfo{}}
	keys := a.engine.Keys()
	page.Total = len(keys)
	if after != nil {
		keys = slices.DeleteFunc(keys, func(key route.Key) bool { return key.Compare(*after) <= 0 })
	}
	slices.SortFunc(keys, route.Key.Compare)
	if len(keys) > limit {
		keys = keys[:limit]
		page.Next = keys[limit-1].String()
	}
	for _, key := range keys {
		if d, ok := a.Hosts(key); ok {
			page.Services = append(page.Services, d.ServiceInfo)
		}
	}
	return page
}

// Hosts returns a service with its hosts; false if no program has asked for it.
func (a *Agent) Hosts(key route.Key) (ServiceDetail, bool) {
	s, ok := a.engine.Explain(key)
	if !ok {
		return ServiceDetail{}, false
	}
	own := a.checks.of(s.Settings)
	return a.detail(&s, &own), true
}

// ShadowHosts returns a service with its hosts as the balancer sees them that looks
// on. The error says that no program has asked for the service, or that no
// balancer looks on.
func (a *Agent) ShadowHosts(key route.Key) (ServiceDetail, error) {
	s, ok := a.engine.ExplainShadow(key)
	if !ok {
		return ServiceDetail{}, unknown(key)
	}
	own := a.checks.of(s.Settings)
	second, ok := own.OfShadow()
	if !ok {
		return ServiceDetail{}, fmt.Errorf("agent: service %v has policy %s and no second balancer beside it: set [agent] shadow to the other policy", key, own.Policy)
	}
	return a.detail(&s, &second), nil
}

func unknown(key route.Key) error {
	return fmt.Errorf("agent: service %v: no program has asked for it here", key)
}

// detail describes a service whose hosts are explained by a balancer of a policy.
func (a *Agent) detail(s *engine.ServiceState, own *policy.Config) ServiceDetail {
	now := a.cfg.Clock()
	d := ServiceDetail{List: []HostInfo{}, ServiceInfo: ServiceInfo{
		Service:      s.Key.String(),
		Route:        a.routeWord(s, now),
		State:        s.State.String(),
		Version:      s.Version,
		Hosts:        len(s.Hosts),
		Cut:          s.Truncated,
		AgeSeconds:   seconds(s.Updated, now),
		AskedSeconds: seconds(s.Asked, now),
		Policy:       own.Policy,
	}}
	if second, ok := own.OfShadow(); ok {
		d.Shadow = second.Policy
	}
	for _, v := range s.Settings {
		if d.Settings == nil {
			d.Settings = make(map[string]string)
		}
		d.Settings[v.Name] = v.Value
	}
	wall := time.Now()
	for i := range s.Hosts {
		d.add(&s.Hosts[i], own.Words(&s.Hosts[i].HostState, now, wall), now)
	}
	return d
}

func (d *ServiceDetail) add(h *engine.HostState, words policy.Words, now time.Duration) {
	state := "idle"
	if h.Ejected {
		state = "overload"
		d.Overload++
	} else {
		d.Idle++
	}
	d.Ejected += uint64(h.Ejections)
	d.Reinstated += uint64(h.Reinstatements)
	d.List = append(d.List, HostInfo{
		Host: h.Host.String(), State: state, SinceSeconds: seconds(h.Since, now),
		// A policy has one name of each pair.
		Succ: count(h, "succ") + count(h, "calls") - count(h, "failures"), Err: count(h, "err") + count(h, "failures"),
		VirtualSucc: count(h, "virtual_succ"), VirtualErr: count(h, "virtual_err"),
		ContinSucc: count(h, "contin_succ"), ContinErr: count(h, "contin_err") + count(h, "row"),
		TotalSucc: h.TotalSucc, TotalErr: h.TotalErr,
		Ejected: h.Ejections, Reinstated: h.Reinstatements,
		Status: words.State, Reason: words.Reason, Why: words.Why, Weight: h.Weight, Zone: h.Zone,
		Share: h.Share, LatencyMS: h.Fact("latency") * 1000, InFlight: count(h, "in_flight"),
	})
}

// count returns a count that is a fact of the policy.
func count(h *engine.HostState, name string) uint32 { return uint32(h.Fact(name)) }

// seconds returns how long ago a moment was; -1 for one that never was.
func seconds(at, now time.Duration) float64 {
	if at == engine.LongAgo {
		return -1
	}
	return max(now-at, 0).Seconds()
}

// Mount hands the pages that show the agent's state, in JSON, to handle, which
// may be the Handle of an http.ServeMux:
//
//	/agent/services?limit=100&after=1/2   a ServicePage
//	/agent/hosts?service=1/2              a ServiceDetail, 404 if no program has asked for it
//	/agent/hosts?service=1/2&shadow=1     the same as the balancer sees it that looks on
func (a *Agent) Mount(handle func(pattern string, h http.Handler)) {
	handle("/agent/services", debug.JSON(a.servicesPage))
	handle("/agent/hosts", debug.JSON(a.hostsPage))
}

func (a *Agent) servicesPage(r *http.Request) (any, error) {
	limit, after := defaultPage, (*route.Key)(nil)
	if text := r.FormValue("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > MaxPage {
			return nil, debug.Status(http.StatusBadRequest, fmt.Errorf("agent: limit %q: want 1..%d", text, MaxPage))
		}
		limit = n
	}
	if text := r.FormValue("after"); text != "" {
		key, err := route.ParseKey(text)
		if err != nil {
			return nil, debug.Status(http.StatusBadRequest, fmt.Errorf("agent: after: %w", err))
		}
		after = &key
	}
	return a.Services(after, limit), nil
}

func (a *Agent) hostsPage(r *http.Request) (any, error) {
	key, err := route.ParseKey(r.FormValue("service"))
	if err != nil {
		return nil, debug.Status(http.StatusBadRequest, fmt.Errorf("agent: %w", err))
	}
	if r.FormValue("shadow") != "" {
		d, err := a.ShadowHosts(key)
		if err != nil {
			return nil, debug.Status(http.StatusNotFound, err)
		}
		return d, nil
	}
	d, ok := a.Hosts(key)
	if !ok {
		return nil, debug.Status(http.StatusNotFound, unknown(key))
	}
	return d, nil
}
