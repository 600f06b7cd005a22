package route

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestChangeApply(t *testing.T) {
	a, b, c := Host{1, 1}, Host{2, 1}, Host{3, 1}
	tests := []struct {
		name  string
		do    Action
		have  []Host
		hosts []Host
		want  []Host
	}{
		{"add to none", Add, nil, []Host{b, a, b}, []Host{a, b}},
		{"add a known one", Add, []Host{b, a}, []Host{a}, []Host{a, b}},
		{"set", Set, []Host{a, b}, []Host{c, b}, []Host{b, c}},
		{"set to none", Set, []Host{a}, nil, nil},
		{"remove one", Remove, []Host{c, a, b}, []Host{b}, []Host{a, c}},
		{"remove a stranger", Remove, []Host{a}, []Host{b}, []Host{a}},
		{"remove all", Remove, []Host{a, b}, nil, nil},
		{"no action", 0, []Host{b, a}, []Host{c}, []Host{a, b}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			have := Service{Key: Key{1, 2}, Hosts: members(tt.have)}
			got, err := Change{Action: tt.do, Hosts: tt.hosts}.Apply(have)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got.Callable()); diff != "" {
				t.Errorf("hosts (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(members(tt.have), have.Hosts); diff != "" {
				t.Errorf("Apply changed its argument:\n%s", diff)
			}
		})
	}
}

func members(hosts []Host) []Member {
	var members []Member
	for _, h := range hosts {
		members = append(members, MemberOf(h))
	}
	return members
}

func TestActionString(t *testing.T) {
	for action, want := range map[Action]string{Add: "add", Set: "set", Remove: "remove", 9: "action 9"} {
		if got := action.String(); got != want {
			t.Errorf("Action(%d) = %q, want %q", uint8(action), got, want)
		}
	}
}
