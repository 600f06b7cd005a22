package admin

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"lars.internal/route"
	"lars.internal/store"
)

var _ Store = (*store.DB)(nil)

// recorder is a store that remembers the edits it was asked to make.
type recorder struct {
	edits    []route.Edit
	accepted []string // by whom
}

func (r *recorder) AcceptRoutes(_ context.Context, who, _ string) (route.Acceptance, error) {
	r.accepted = append(r.accepted, who)
	return route.Acceptance{Version: 7}, nil
}

func (r *recorder) EditRoutes(_ context.Context, e route.Edit) (route.EditResult, error) {
	r.edits = append(r.edits, e)
	return route.EditResult{Version: 1, Changed: true}, nil
}

func (r *recorder) Routes(context.Context, *route.Key, *route.Key, int) ([]route.Service, error) {
	return nil, errors.New("not asked for")
}

func (r *recorder) Where(context.Context, route.Host) ([]route.Service, error) {
	return nil, errors.New("not asked for")
}

var (
	a, b = route.Key{Modid: 1, Cmdid: 1}, route.Key{Modid: 1, Cmdid: 2}
	h1   = route.Host{IP: 0x0A000001, Port: 80}
	h2   = route.Host{IP: 0x0A000002, Port: 80}
)

func TestEditsReachTheStore(t *testing.T) {
	ctx := t.Context()
	hosts := []route.Host{h1, h2}
	ramp := []route.Setting{{Name: "ramp", Value: "5s"}}
	anyPort := []route.Host{{IP: h1.IP}}
	tests := []struct {
		name string
		do   func(r *Routes) error
		want []route.Change
	}{
		{"add", func(r *Routes) error { return second(r.Add(ctx, "ann", a, hosts)) }, []route.Change{{Action: route.Add, Key: a, Hosts: hosts}}},
		{"set", func(r *Routes) error { return second(r.Set(ctx, "ann", a, hosts)) }, []route.Change{{Action: route.Set, Key: a, Hosts: hosts}}},
		{"remove", func(r *Routes) error { return second(r.Remove(ctx, "ann", a, hosts)) }, []route.Change{{Action: route.Remove, Key: a, Hosts: hosts}}},
		{"remove all", func(r *Routes) error { return second(r.Remove(ctx, "ann", a, nil)) }, []route.Change{{Action: route.Remove, Key: a}}},
		{"configure", func(r *Routes) error { return second(r.Configure(ctx, "ann", a, ramp)) },
			[]route.Change{{Action: route.Configure, Key: a, Settings: ramp}}},
		{"drain", func(r *Routes) error { return second(r.Drain(ctx, "ann", anyPort)) },
			[]route.Change{{Action: route.Drain, Hosts: anyPort, Everywhere: true}}},
		{"undrain", func(r *Routes) error { return second(r.Undrain(ctx, "ann", anyPort)) },
			[]route.Change{{Action: route.Undrain, Hosts: anyPort, Everywhere: true}}},
		{"move", func(r *Routes) error { return second(r.Move(ctx, "ann", a, b, hosts)) }, []route.Change{
			{Action: route.Remove, Key: a, Hosts: hosts}, {Action: route.Add, Key: b, Hosts: hosts},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := new(recorder)
			if err := tt.do(New(s)); err != nil {
				t.Fatal(err)
			}
			for i := range s.edits {
				s.edits[i].Check = nil
			}
			if diff := cmp.Diff([]route.Edit{{Who: "ann", Changes: tt.want}}, s.edits); diff != "" {
				t.Errorf("edits (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEditsThatAreRefused(t *testing.T) {
	ctx := t.Context()
	many := make([]route.Host, route.MaxHosts+1)
	for i := range many {
		many[i] = route.Host{IP: 0x0A000001 + uint32(i), Port: 80}
	}
	tests := []struct {
		name string
		do   func(r *Routes) error
		want string
	}{
		{"nobody", func(r *Routes) error { return second(r.Add(ctx, " ", a, many[:1])) }, "want the name"},
		{"long name", func(r *Routes) error { return second(r.Add(ctx, strings.Repeat("x", 256), a, many[:1])) }, "256 bytes"},
		{"name with a new line", func(r *Routes) error { return second(r.Add(ctx, "a\nb", a, many[:1])) }, "cannot be shown"},
		{"name that is not UTF-8", func(r *Routes) error { return second(r.Add(ctx, "a\xff", a, many[:1])) }, "cannot be shown"},
		{"add nothing", func(r *Routes) error { return second(r.Add(ctx, "ann", a, nil)) }, "at least one host"},
		{"set to nothing", func(r *Routes) error { return second(r.Set(ctx, "ann", a, nil)) }, "at least one host"},
		{"too many", func(r *Routes) error { return second(r.Set(ctx, "ann", a, many)) }, "1000 hosts, but 999 fit one frame"},
		{"twice", func(r *Routes) error { return second(r.Add(ctx, "ann", a, []route.Host{h1, h1})) }, "named twice"},
		{"zero host", func(r *Routes) error { return second(r.Add(ctx, "ann", a, []route.Host{{}})) }, "the address is zero"},
		{"multicast", func(r *Routes) error { return second(r.Add(ctx, "ann", a, []route.Host{{IP: 0xE0000001, Port: 1}})) }, "multicast"},
		{"weight", func(r *Routes) error { return second(r.Edit(ctx, weigh(route.Add, 10_001))) }, "weight 10001: want 0 to 10000"},
		{"weight later", func(r *Routes) error { return second(r.Edit(ctx, weigh(route.Alter, 10_001))) }, "weight 10001: want 0 to 10000"},
		{"a zone of no agent", func(r *Routes) error {
			zone := "Köln"
			change := route.Change{Action: route.Alter, Key: a, Hosts: []route.Host{h1}, Attributes: route.Attributes{Zone: &zone}}
			return second(r.Edit(ctx, route.Edit{Who: "ann", Changes: []route.Change{change}}))
		}, "no agent can be in this zone: adaptive: zone = Köln: want at most 32 characters of ASCII"},
		{"drain nothing", func(r *Routes) error { return second(r.Drain(ctx, "ann", nil)) }, "drain everywhere: name at least one host"},
		{"configure nothing", func(r *Routes) error { return second(r.Configure(ctx, "ann", a, nil)) }, "at least one setting"},
		{"unknown setting", func(r *Routes) error {
			return second(r.Configure(ctx, "ann", a, []route.Setting{{Name: "colour", Value: "red"}}))
		}, `configure service 1/1: policy: unknown setting "colour"`},
		{"move to itself", func(r *Routes) error { return second(r.Move(ctx, "ann", a, a, many[:1])) }, "itself"},
		{"move nothing", func(r *Routes) error { return second(r.Move(ctx, "ann", a, b, nil)) }, "at least one host"},
		{"no changes", func(r *Routes) error { return second(r.Edit(ctx, route.Edit{Who: "ann"})) }, "no changes"},
		{"no action", func(r *Routes) error {
			return second(r.Edit(ctx, route.Edit{Who: "ann", Changes: []route.Change{{Key: a}}}))
		}, "want add, set or remove"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := new(recorder)
			err := tt.do(New(s))
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "admin: ") {
				t.Errorf("got error %v, want one of admin with %q", err, tt.want)
			}
			if len(s.edits) > 0 {
				t.Errorf("the store was asked: %v", s.edits)
			}
		})
	}
}

func weigh(action route.Action, weight uint32) route.Edit {
	return route.Edit{Who: "ann", Changes: []route.Change{
		{Action: action, Key: a, Hosts: []route.Host{h1}, Attributes: route.Attributes{Weight: &weight}},
	}}
}

// Settings that make sense alone may make none beside others. Those that made
// none before are no reason to refuse another.
func TestSettingsAreCheckedTogether(t *testing.T) {
	s := new(recorder)
	if _, err := New(s).Configure(t.Context(), "ann", a, []route.Setting{{Name: "bad_error_rate", Value: "0.05"}}); err != nil {
		t.Fatal(err)
	}
	service := func(settings ...route.Setting) route.Service { return route.Service{Key: a, Settings: settings} }
	granted, bad := route.Setting{Name: "granted_error_rate", Value: "0.1"}, route.Setting{Name: "bad_error_rate", Value: "0.05"}
	check := s.edits[0].Check
	if err := check(service(granted), service(bad, granted)); err == nil {
		t.Error("a bad rate below the granted one was taken")
	}
	if err := check(service(), service(bad)); err != nil {
		t.Error(err)
	}
	if err := check(service(bad, granted), service(bad, granted, route.Setting{Name: "ramp", Value: "5s"})); err != nil {
		t.Errorf("beside settings that make no sense: %v", err)
	}
}

func TestParseSettings(t *testing.T) {
	got, err := ParseSettings([]string{"policy=classic", " ramp = 5s"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]route.Setting{{Name: "policy", Value: "classic"}, {Name: "ramp", Value: "5s"}}, got); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
	for text, want := range map[string]string{"ramp": "want KEY=VALUE", "=5s": "want a name", "ramp=x": "ramp", "colour=red": "unknown setting"} {
		if _, err := ParseSettings([]string{text}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got error %v, want one with %q", text, err, want)
		}
	}
}

func TestParseAddress(t *testing.T) {
	for text, want := range map[string]route.Host{"10.0.0.1": {IP: h1.IP}, "10.0.0.1:80": h1} {
		if got, err := ParseAddress(text); err != nil || got != want {
			t.Errorf("%q: got %v, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{"": "not an IPv4", "10.0.0": "not an IPv4", "10.0.0.1:0": "from 1 to 65535", "0.0.0.0": "no address", "224.0.0.1": "multicast", "::1": "IPv6"} {
		if _, err := ParseAddress(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got error %v, want one with %q", text, err, want)
		}
	}
}

// The original stores an address that it cannot read as 0.0.0.0.
func TestParseHostRejectsWithTheReason(t *testing.T) {
	tests := []struct{ text, want string }{
		{"", "no port"},
		{"10.0.0.1", "no port"},
		{"10.0.0.1:", `port "" is not a number`},
		{"10.0.0.1:0", `port "0" is not a number from 1 to 65535`},
		{"10.0.0.1:65536", `port "65536"`},
		{"10.0.0.1:-1", `port "-1"`},
		{"10.0.0.1:http", `port "http"`},
		{"10.0.0.256:80", "not an IPv4 address"},
		{"10.0.1:80", "not an IPv4 address"},
		{"010.0.0.1:80", "not an IPv4 address"},
		{"db.example:80", "not an IPv4 address"},
		{":80", "not an IPv4 address"},
		{" 10.0.0.1:80", "not an IPv4 address"},
		{"[::1]:80", "IPv6"},
		{"::1:80", "IPv6"},
		{"[::ffff:10.0.0.1]:80", "IPv6"},
		{"0.0.0.0:80", "0.0.0.0 is no address"},
		{"224.0.0.1:80", "multicast"},
		{"255.255.255.255:80", "broadcast"},
	}
	for _, tt := range tests {
		_, err := ParseHost(tt.text)
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: got error %v, want one with %q", tt.text, err, tt.want)
		}
	}
}

func TestParseHosts(t *testing.T) {
	got, err := ParseHosts([]string{"10.0.0.1:80", "127.0.0.1:65535"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]route.Host{h1, {IP: 0x7F000001, Port: 65535}}, got); diff != "" {
		t.Errorf("hosts (-want +got):\n%s", diff)
	}
	if _, err := ParseHosts([]string{"10.0.0.1:80", "10.0.0.1:80"}); err == nil {
		t.Error("a host that is named twice was accepted")
	}
}

func FuzzParseHost(f *testing.F) {
	for _, seed := range []string{"10.0.0.1:80", "[::1]:80", "0.0.0.0:0", "x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		h, err := ParseHost(text)
		if err != nil {
			return
		}
		if again, err := ParseHost(h.String()); err != nil || again != h {
			t.Errorf("%q is %v, which is read as %v, %v", text, h, again, err)
		}
	})
}

func TestListGoesThroughAllPages(t *testing.T) {
	defer goleak.VerifyNone(t)
	ctx := t.Context()
	db, err := store.Open("sqlite:"+filepath.Join(t.TempDir(), "lars.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Migrate(ctx); err != nil {
		t.Fatal(err)
	}
	routes := New(db)
	edit := route.Edit{Who: "ann"}
	for i := range int32(2*pageSize + 1) {
		edit.Changes = append(edit.Changes, route.Change{Action: route.Add, Key: route.Key{Modid: i}, Hosts: []route.Host{h1}})
	}
	if _, err := routes.Edit(ctx, edit); err != nil {
		t.Fatal(err)
	}
	next := int32(0)
	err = routes.List(ctx, nil, func(s route.Service) error {
		if s.Key.Modid != next || len(s.Hosts) != 1 {
			t.Errorf("got %v, want service %d/0", s, next)
		}
		next++
		return nil
	})
	if err != nil || next != 2*pageSize+1 {
		t.Errorf("%d services, error %v", next, err)
	}
	stop := errors.New("enough")
	if err := routes.List(ctx, &route.Key{Modid: 7}, func(route.Service) error { return stop }); err != stop {
		t.Errorf("got error %v, want that of yield", err)
	}
}

func second[T any](_ T, err error) error { return err }

func TestAcceptNeedsAName(t *testing.T) {
	r := new(recorder)
	if _, err := New(r).Accept(t.Context(), " ", ""); err == nil {
		t.Error("nobody was taken for a name")
	}
	a, err := New(r).Accept(t.Context(), "ann", "")
	if err != nil || a.Version != 7 || len(r.accepted) != 1 || r.accepted[0] != "ann" {
		t.Errorf("accepted %v by %q, %v", a, r.accepted, err)
	}
}
