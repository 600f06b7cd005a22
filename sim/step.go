package sim

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// Step is a change at a moment. At 0 it applies from the start.
type Step struct {
	At     time.Duration
	From   int // the first host
	To     int // the last host
	Change Change
	Value  float64 // share, factor, number or seconds, by the change
	Zone   string  // of the change Zone
}

// Change is what a Step does.
type Change uint8

const (
	Dies        Change = iota // the port refuses connections
	Dark                      // the machine answers nothing
	Hangs                     // connections are taken, calls not answered
	Heals                     // the host works again, at its old speed
	Errors                    // a share of the calls fails
	Slow                      // calls take so many times as long
	Pauses                    // the host stands still for some time
	Weight                    // the host gets another weight; 0: it is called no more
	Workers                   // the host serves so many calls at a time; 0: any number
	Service                   // a call takes so long
	Zone                      // the host is in that zone
	ProbesLost                // a share of all probes gets no answer
	ReportsLost               // a share of all outcomes is not told
)

// valueKind is how a scenario file writes the value of a change.
type valueKind uint8

const (
	noValue valueKind = iota
	number
	whole
	period
	word
)

// changes are the names and values of the changes, with the bounds of the
// values.
var changes = [...]struct {
	name      string
	value     valueKind
	low, high float64
}{
	Dies:        {name: "dies"},
	Dark:        {name: "dark"},
	Hangs:       {name: "hangs"},
	Heals:       {name: "heals"},
	Errors:      {"errors", number, 0, 1},
	Slow:        {"slow", number, 0.001, 1000},
	Pauses:      {"pauses", period, 0, 3600},
	Weight:      {"weight", whole, 0, 1_000_000},
	Workers:     {"workers", whole, 0, maxWorkers},
	Service:     {"service", period, 1e-6, 3600},
	Zone:        {"zone", word, 0, 0},
	ProbesLost:  {"probes-lost", number, 0, 1},
	ReportsLost: {"reports-lost", number, 0, 1},
}

// String returns the change as scenario files name it.
func (c Change) String() string {
	if int(c) < len(changes) {
		return changes[c].name
	}
	return fmt.Sprintf("change %d", uint8(c))
}

// changeNames returns the names of all changes, for messages.
func changeNames() string {
	names := make([]string, len(changes))
	for i := range changes {
		names[i] = changes[i].name
	}
	return strings.Join(names, ", ")
}

// ofHosts reports whether the change concerns certain hosts.
func (c Change) ofHosts() bool { return c < ProbesLost }

// String returns the step as scenario files write it.
func (st *Step) String() string {
	var b strings.Builder
	if st.At > 0 || !st.Change.ofHosts() {
		fmt.Fprintf(&b, "at %v ", st.At)
	}
	switch {
	case !st.Change.ofHosts():
	case st.From == st.To:
		fmt.Fprintf(&b, "host %d ", st.From)
	default:
		fmt.Fprintf(&b, "hosts %d-%d ", st.From, st.To)
	}
	b.WriteString(st.Change.String())
	if int(st.Change) >= len(changes) {
		return b.String()
	}
	switch changes[st.Change].value {
	case number, whole:
		fmt.Fprintf(&b, " %v", st.Value)
	case period:
		fmt.Fprintf(&b, " %v", seconds(st.Value))
	case word:
		b.WriteString(" " + st.Zone)
	}
	return b.String()
}

func seconds(v float64) time.Duration { return time.Duration(math.Round(v * float64(time.Second))) }

// wrong returns what is expected of the first value that makes no sense.
func (st *Step) wrong(s *Scenario) error {
	if int(st.Change) >= len(changes) {
		return fmt.Errorf("no such change: want one of: %s", changeNames())
	}
	c := &changes[st.Change]
	switch {
	case st.At < 0 || st.At > s.Length:
		return fmt.Errorf("want a time within the run, up to %v", s.Length)
	case st.Change.ofHosts() && (st.From < 0 || st.From > st.To || st.To >= s.Hosts):
		return fmt.Errorf("want hosts from 0 to %d, the first one first", s.Hosts-1)
	case c.value == word && (st.Zone == "" || len(st.Zone) > maxZone):
		return fmt.Errorf("want the name of a zone, of at most %d bytes", maxZone)
	case c.value == whole && st.Value != math.Trunc(st.Value):
		return fmt.Errorf("%v: want an integer", st.Value)
	case c.value == period:
		return check("seconds", st.Value, c.low, c.high)
	case c.value == noValue || c.value == word:
		return nil
	}
	return check("", st.Value, c.low, c.high)
}

// step changes hosts, or what is lost, as the scenario says.
func (s *Simulation) step(st *Step) {
	switch st.Change {
	case ProbesLost:
		s.ProbesLost = st.Value
		return
	case ReportsLost:
		s.ReportsLost = st.Value
		return
	}
	for i := st.From; i <= st.To; i++ {
		s.change(i, st)
	}
	if st.Change == Weight || st.Change == Zone {
		s.choose()
		s.route()
	}
}

// change changes one host.
func (s *Simulation) change(i int, st *Step) {
	h := &s.servers[i]
	switch st.Change {
	case Dies:
		h.life = closed
	case Dark:
		h.life = dark
	case Hangs:
		h.life = hung
	case Heals:
		h.life, h.errors, h.slow = well, 0, 1
	case Errors:
		h.errors = st.Value
	case Slow:
		h.slow = st.Value
	case Pauses:
		h.paused = s.now + seconds(st.Value)
	case Weight:
		s.endpoints[i].Weight = uint32(st.Value)
	case Workers:
		h.workers = int(st.Value)
	case Service:
		h.service = seconds(st.Value)
	case Zone:
		s.endpoints[i].Zone = st.Zone
	}
	if st.Change <= Pauses {
		h.changed = s.now
		s.result.turned(i, h.bad(), s.now)
	}
}

// bad reports whether the host should be ejected: it fails more calls than a
// host that is well may.
func (h *server) bad() bool { return h.life != well || h.errors > wellErrors }
