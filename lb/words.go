package lb

import (
	"fmt"
	"math"
	"strconv"

	"lars.internal/route"
)

// Verdict is the outcome of a Pick.
type Verdict uint8

const (
	Picked     Verdict = iota // the host is the one to call
	Overloaded                // no host may be called at the moment
	NoHosts                   // the balancer has no host at all
)

// String returns the verdict as people read it.
func (v Verdict) String() string {
	return name(uint8(v), "verdict", "picked", "overloaded", "no hosts")
}

// Kind is how a call failed.
type Kind uint8

const (
	KindUnknown    Kind = iota // the caller did not say
	KindRefused                // the host refused the connection
	KindTimeout                // no answer came in time
	KindError                  // the answer was an error
	KindOverloaded             // the host said that it has too much to do
	KindIgnored                // the host is not to be judged by this call
)

// String returns the kind as people read it.
func (k Kind) String() string {
	return name(uint8(k), "kind", "unknown", "refused", "timeout", "error", "overloaded", "ignored")
}

// Answer is what a probe found.
type Answer uint8

const (
	ProbeOK      Answer = iota // the host took the connection
	ProbeRefused               // it refused
	ProbeSilent                // no answer came in time
	ProbeNone                  // it could not be made on this side: nothing is known of the host
)

// String returns the answer as people read it.
func (a Answer) String() string { return name(uint8(a), "answer", "ok", "refused", "silent", "none") }

// EventKind is what happened to a host.
type EventKind uint8

const (
	Ejected    EventKind = iota // the host left the rotation
	Reinstated                  // the host came back because calls succeeded
	OnTrial                     // the host came back although no call has succeeded yet
	Panic                       // no host was in rotation, so one that is not was picked
)

// String returns the kind of event as people read it.
func (k EventKind) String() string {
	return name(uint8(k), "event", "ejected", "reinstated", "back on trial", "panic")
}

// Event is something that happened to a host, and the comparison that decided
// it.
type Event struct {
	Host   route.Host
	Kind   EventKind
	Reason string  // what was compared, as in "failures in a row"
	Value  float64 // what it was
	Sign   string  // how it compares, as in ">="
	Limit  float64 // with what it was compared
}

// Why returns the comparison as people read it: "failures in a row 15 >= 15".
func (e *Event) Why() string {
	return fmt.Sprintf("%s %s %s %s", e.Reason, Number(e.Value), e.Sign, Number(e.Limit))
}

// Number writes a number with three digits, an integer and a large one with all
// before the point.
func Number(v float64) string {
	if v == math.Trunc(v) || math.Abs(v) >= 999.5 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

// name returns the i-th name, or what with the number if there is none.
func name(i uint8, what string, names ...string) string {
	if int(i) < len(names) {
		return names[i]
	}
	return what + " " + strconv.Itoa(int(i))
}

// Seconds writes a time in seconds with three digits and a unit that fits: 150 ms,
// 4.2 s, 12 min.
func Seconds(s float64) string {
	switch {
	case s < 0.9995:
		return fmt.Sprintf("%.3g ms", 1000*s)
	case s < 120:
		return fmt.Sprintf("%.3g s", s)
	}
	return fmt.Sprintf("%.0f min", s/60)
}

// Percent writes a share with three digits: 0.8 %.
func Percent(p float64) string {
	if 0 < p && p < 1e-5 {
		return "< 0.001 %"
	}
	return fmt.Sprintf("%.3g %%", 100*p)
}

// Count writes how many of something there are: 1 call, 2 calls.
func Count(n float64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%.0f %ss", n, what)
}
