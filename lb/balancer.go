package lb

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"lars.internal/route"
)

// Verdict is the outcome of a Pick.
type Verdict uint8

const (
	Picked     Verdict = iota // the host is the one to call
	Overloaded                // every host is ejected, and no probe is due
	NoHosts                   // the balancer has no host at all
)

// String returns the verdict as people read it.
func (v Verdict) String() string {
	switch v {
	case Picked:
		return "picked"
	case Overloaded:
		return "overloaded"
	case NoHosts:
		return "no hosts"
	}
	return fmt.Sprintf("verdict %d", uint8(v))
}

// Change is what a Report did to the state of its host.
type Change uint8

const (
	None       Change = iota // the host is where it was
	Ejected                  // the host left the rotation
	Reinstated               // the host came back into the rotation
	Unknown                  // the balancer does not have the host: nothing was counted
)

// String returns the change as people read it.
func (c Change) String() string {
	switch c {
	case None:
		return "none"
	case Ejected:
		return "ejected"
	case Reinstated:
		return "reinstated"
	case Unknown:
		return "unknown"
	}
	return fmt.Sprintf("change %d", uint8(c))
}

// Balancer chooses among the hosts of one service. Not safe for concurrent
// use. Every now is monotonic time since the same arbitrary moment.
type Balancer interface {
	// Pick returns the host of the next call. The host is meaningful only if
	// the verdict is Picked.
	Pick(now time.Duration) (route.Host, Verdict)

	// Report takes the result of one call. The result of a host that the
	// balancer does not have is Unknown: it may have left while the call ran.
	Report(host route.Host, ok bool, now time.Duration) Change

	// Update makes hosts, in which duplicates are ignored, the hosts of the
	// service. The ones that stay keep their state; the new ones join the end
	// of the idle queue in the order given. The slice is not kept.
	Update(hosts []route.Host, now time.Duration)

	// Collect appends one Result for every host, and one for each host that
	// left since the last Collect with calls that nobody collected, then
	// counts all of it as reported. A host appears once.
	Collect(dst []Result) []Result

	// Dropped returns how many results of hosts that left were lost because too
	// many left between two calls of Collect.
	Dropped() uint64

	// Explain appends the state of every host in the order of its queue, the
	// idle queue first. It changes nothing.
	Explain(dst []HostState) []HostState
}

// Result is what the report service is told of one host.
type Result struct {
	Host route.Host

	// Calls of the window that is open, and of all windows that were closed
	// since the last Collect. A number that does not fit stays at the maximum.
	Succ, Err uint32

	// Calls since the host was added. They never go back while it stays.
	TotalSucc, TotalErr uint64

	Overload bool // the host is, or was when it left, ejected
}

// HostState is all that a balancer knows of one host, for people.
type HostState struct {
	Host     route.Host
	Overload bool          // ejected
	Since    time.Duration // when it was added, ejected or reinstated last
	Window   time.Duration // start of the counts below; equals Since while ejected

	VirtualSucc, VirtualErr uint32 // judge the host; start from the configuration
	Succ, Err               uint32 // calls of this window
	ContinSucc, ContinErr   uint32 // results of the same kind in a row

	TotalSucc, TotalErr uint64 // calls since the host was added
	Ejected, Reinstated uint32 // times since the host was added
}

// policies lists the balancers that New makes.
var policies = []struct {
	name string
	make func(Config) Balancer
}{
	{"classic", func(cfg Config) Balancer { return NewClassic(cfg) }},
}

// Policies returns the names that New knows.
func Policies() []string {
	names := make([]string, 0, len(policies))
	for _, p := range policies {
		names = append(names, p.name)
	}
	return names
}

// New returns a balancer of the policy, without hosts. It fails for a policy
// that is not in Policies and for a configuration that is not valid.
func New(policy string, cfg Config) (Balancer, error) {
	names := Policies()
	i := slices.Index(names, policy)
	if i < 0 {
		return nil, fmt.Errorf("lb: policy = %q: want one of: %s", policy, strings.Join(names, ", "))
	}
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return policies[i].make(cfg), nil
}
