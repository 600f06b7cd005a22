package agent

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"lars.internal/engine"
	"lars.internal/internal/metrics"
	"lars.internal/lb"
	"lars.internal/reactor"
)

// prober drives the balancers: it ticks those that need it, connects to the hosts
// that they ask about, and gives them the answers. It has a loop of its own, so
// that ticks of many services delay no program.
type prober struct {
	// Immutable after newProber.
	engine  *engine.Engine
	clock   func() time.Duration
	changed func() // the engine has events; must not block
	loop    *reactor.Loop
	queue   *reactor.Queue[struct{}] // of length 1: full means that take is due already

	// Owned by the loop goroutine.
	table probeTable
	asked []engine.Probe // memory of the present turn

	answers [lb.ProbeNone + 1]atomic.Uint64 // connects that ended, by answer
	waiting atomic.Int64                    // probes without an answer
	dropped atomic.Uint64                   // probes that found no room
}

func newProber(cfg *Config, e *engine.Engine, changed func()) *prober {
	p := &prober{
		engine: e, clock: cfg.Clock, changed: changed,
		loop:  reactor.NewLoop(cfg.Log),
		table: newProbeTable(cfg.Adaptive.ProbeTimeout),
	}
	p.queue = reactor.NewQueue(p.loop, 1, func([]struct{}) { p.take() })
	return p
}

// run ticks and probes until ctx is done. Connects under way are given up then.
func (p *prober) run(ctx context.Context) error {
	if err := p.loop.Post(func() { p.loop.Every(lb.TickAfter, p.tick) }); err != nil {
		return err
	}
	return p.loop.Run(ctx)
}

// wake says that balancers want probes. It may be called from any goroutine.
func (p *prober) wake() {
	_ = p.queue.Put(struct{}{}) // fails if one waits already, or after the end
}

func (p *prober) tick() {
	asked, changed := p.engine.TickBalancers(p.asked[:0], p.clock())
	if changed {
		p.changed()
	}
	p.attend(asked)
	p.connectNext()
}

func (p *prober) take() {
	p.attend(p.engine.TakeProbes(p.asked[:0]))
	p.connectNext()
}

// attend puts probes in line. Those whose answer is known are answered; then the
// balancers may ask for more.
func (p *prober) attend(asked []engine.Probe) {
	for i := 0; i < len(asked); i++ {
		if answer, known := p.table.ask(asked[i]); known {
			asked = p.tell(asked[i], answer, asked)
		}
	}
	p.asked = asked
	p.waiting.Store(int64(p.table.waiting))
	p.dropped.Store(p.table.dropped)
}

// tell gives a balancer the answer to its probe, and appends the probes that it
// wants next.
func (p *prober) tell(q engine.Probe, answer lb.Answer, dst []engine.Probe) []engine.Probe {
	dst, changed := p.engine.Probed(q.Key, q.Host, answer, dst, p.clock())
	if changed {
		p.changed()
	}
	return dst
}

// connectNext begins as many connects as may be under way.
func (p *prober) connectNext() {
	for a, wait := p.table.next(p.clock()); a != nil; a, wait = p.table.next(p.clock()) {
		ended := func(err error) { p.ended(a, wait, err) }
		err := p.loop.TryConnect(a.host.AddrPort(), wait, func(err error) {
			ended(err)
			p.connectNext()
		})
		if err != nil {
			ended(err)
		}
	}
}

// ended takes the outcome of a connect.
func (p *prober) ended(a *address, wait time.Duration, err error) {
	answer := answerOf(err)
	left := wait - (p.clock() - a.began)
	if answer == lb.ProbeSilent && err != reactor.ErrConnectTimeout && left > 0 {
		// That nothing gets there is known at once. Three such answers within a
		// moment would say no more than one, so it counts when its time is over.
		p.loop.After(left, func() {
			p.answered(a, answer)
			p.connectNext()
		})
		return
	}
	p.answered(a, answer)
}

func (p *prober) answered(a *address, answer lb.Answer) {
	p.answers[answer].Add(1)
	asked := p.asked[:0]
	for _, q := range p.table.ended(a, answer, p.clock()) {
		asked = p.tell(q, answer, asked)
	}
	p.attend(asked)
}

var (
	refusals = []error{unix.ECONNREFUSED, unix.ECONNRESET, reactor.ErrSelfConnect}

	// silences include what routers and the tables of this machine say of a way
	// that does not exist: it may be the fault of either side, as a time-out may,
	// so the balancer asks another host before it believes it. EINVAL, EACCES and
	// EPERM are those of a blackhole route, a prohibiting one and a packet filter.
	silences = []error{
		reactor.ErrConnectTimeout, unix.ETIMEDOUT, unix.EHOSTUNREACH, unix.ENETUNREACH,
		unix.EHOSTDOWN, unix.ENETDOWN, unix.EINVAL, unix.EACCES, unix.EPERM,
	}
)

// answerOf returns what the outcome of a connect says of the host. Any error that
// is not listed is one of this machine, which has no descriptor, port or memory
// for a connection: it says nothing.
func answerOf(err error) lb.Answer {
	is := func(target error) bool { return errors.Is(err, target) }
	switch {
	case err == nil:
		return lb.ProbeOK
	case slices.ContainsFunc(refusals, is):
		return lb.ProbeRefused
	case slices.ContainsFunc(silences, is):
		return lb.ProbeSilent
	}
	return lb.ProbeNone
}

func probeMetrics(set *metrics.Set, p *prober) {
	for i := range p.answers {
		set.CounterFunc("probe_connects_total", "Connects to hosts that balancers asked about, by answer; none: this machine had no descriptor or port for it.",
			p.answers[i].Load, "answer", lb.Answer(i).String())
	}
	gauge(set, "probes_waiting", "Probes of hosts that wait for an answer; a host counts once for each service that asks.", func() uint64 { return uint64(p.waiting.Load()) })
	set.CounterFunc("probes_dropped_total", "Probes that were not made because too many waited; they are made later.", p.dropped.Load)
}
