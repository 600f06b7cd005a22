package dns_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"lars.internal/larspb"
	"lars.internal/route"
)

// detailed is a service with all that a route can have.
func detailed(weight uint32, zone, policy string) route.Route {
	return route.Route{
		Hosts: []route.Endpoint{
			{Host: h1, Weight: weight, Zone: zone},
			{Host: h2, Weight: route.DefaultWeight},
			{Host: h3}, // drained
		},
		Settings: []route.Setting{{Name: "policy", Value: policy}},
	}
}

// answerOf returns what an agent of this project gets of detailed.
func answerOf(weight uint32, zone, policy string) *larspb.GetRouteResponse {
	return &larspb.GetRouteResponse{
		Modid: k12.Modid, Cmdid: k12.Cmdid, Level: larspb.Level,
		Host: []*larspb.HostInfo{
			{Ip: int32(h1.IP), Port: int32(h1.Port), Weight: &weight, Zone: zone},
			{Ip: int32(h2.IP), Port: int32(h2.Port)},
			{Ip: int32(h3.IP), Port: int32(h3.Port), Weight: proto.Uint32(0)},
		},
		Settings: []*larspb.Setting{{Key: "policy", Value: policy}},
	}
}

// wantRoute reads an answer and compares it, but for its version.
func (p *peer) wantRoute(want *larspb.GetRouteResponse) {
	p.t.Helper()
	got := p.route()
	got.Version = 0
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		p.t.Errorf("answer (-want +got):\n%s", diff)
	}
}

// A changed weight, zone or setting is pushed as a changed host is, whether an
// edit recorded it or a full load found it.
func TestChangedDetailsArePushed(t *testing.T) {
	store := newFakeStore()
	store.edit(services{k12: {h1, h2, h3}})
	edit := func(weight uint32, zone, policy string) {
		store.do(func(f *fakeStore) {
			f.recordLocked([]route.Key{k12})
			f.detail(route.Routes{k12: detailed(weight, zone, policy)})
		})
	}
	p := dial(t, startLoaded(t, store, often))
	p.meet(k12)
	if r := p.route(); len(r.Host) != 3 || r.Host[0].Weight != nil || r.Settings != nil {
		t.Errorf("answer before is %v", r)
	}
	edit(50, "", "classic")
	p.wantRoute(answerOf(50, "", "classic"))
	edit(50, "eu1", "classic")
	p.wantRoute(answerOf(50, "eu1", "classic"))
	edit(50, "eu1", "adaptive")
	p.wantRoute(answerOf(50, "eu1", "adaptive"))
	store.do(func(f *fakeStore) { f.detail(route.Routes{k12: detailed(60, "eu2", "adaptive")}) })
	p.wantRoute(answerOf(60, "eu2", "adaptive")) // without a record
	p.askLevel(k12)
	p.wantRoute(answerOf(60, "eu2", "adaptive"))
}

// A script empties a service and then an edit sets something of it. The edit has
// not removed the hosts: agents keep them.
func TestEditOfASettingRemovesNoHosts(t *testing.T) {
	store := newFakeStore()
	store.edit(services{k12: {h1}, k13: {h2}})
	in := startLoaded(t, store, often)
	p := dial(t, in)
	p.meet(k12)
	p.route()
	store.scribble(services{k12: nil})
	if r := p.route(); r.Removed || len(r.Host) != 0 {
		t.Errorf("push of what changed without a record is %v", r)
	}
	store.edit(services{k12: nil})
	in.awaitMetric(t, "lars_dns_version", "102")
	p.askLevel(k12)
	if r := p.route(); r.Removed || r.Version != 102 {
		t.Errorf("answer after the edit is %v, want one that is not removed", r)
	}
}

// An agent without a level gets the frames of before, and no drained host,
// which it would call.
func TestDetailsAreForAgentsOfALevel(t *testing.T) {
	store := newFakeStore()
	store.do(func(f *fakeStore) { f.detail(route.Routes{k12: detailed(50, "eu1", "adaptive")}) })
	p := dial(t, startLoaded(t, store, nil))
	plain := larspb.RouteAnswer{Key: k12, Hosts: route.Of(h1, h2).Hosts}.Append(nil, larspb.MaxBody)
	p.ask(k12)
	if id, got := p.frame(); id != larspb.IDGetRouteResponse || !slices.Equal(got, plain) {
		t.Errorf("answer is %d %x, want %x", id, got, plain)
	}
	store.do(func(f *fakeStore) {
		f.recordLocked([]route.Key{k12})
		f.detail(route.Routes{k12: detailed(60, "eu2", "classic")})
	})
	if id, got := p.frame(); id != larspb.IDGetRouteResponse || !slices.Equal(got, plain) {
		t.Errorf("push is %d %x, want %x", id, got, plain)
	}
}
