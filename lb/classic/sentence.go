package classic

import (
	"fmt"
	"time"

	"lars.internal/lb"
)

// Sentence says in words what state a host is in, since when, what decided that,
// with its numbers, and what comes next. s is from Explain at the moment now,
// which is wall on the clock of people; c is the balancer's configuration.
func (c Config) Sentence(s *lb.HostState, now time.Duration, wall time.Time) string {
	t := sentence{s, c, now}
	word, rest := "idle", t.idle()
	if s.Ejected {
		word, rest = "overload", t.overload()
	}
	since := wall.Add(s.Since - now).Format(time.TimeOnly)
	return fmt.Sprintf("%s since %s (%s)%s. %s", word, since, lb.Seconds((now - s.Since).Seconds()), t.cause(), rest)
}

// sentence is a HostState at a moment.
type sentence struct {
	*lb.HostState
	cfg Config
	now time.Duration
}

// cause says which rule made the state.
func (t sentence) cause() string {
	value := t.Fact(factCauseValue)
	switch cause(t.Fact(factCause)) {
	case errRate:
		return fmt.Sprintf(": share of failures %s > %s", lb.Percent(value), lb.Percent(t.cfg.ErrRate))
	case errsInRow:
		return fmt.Sprintf(": failures in a row %.0f >= %d", value, t.cfg.ContinErrLimit)
	case windowRate:
		return fmt.Sprintf(": share of failures in a window %s >= %s", lb.Percent(value), lb.Percent(t.cfg.WindowErrRate))
	case succRate:
		return fmt.Sprintf(": share of successes %s > %s", lb.Percent(value), lb.Percent(t.cfg.SuccRate))
	case succsInRow:
		return fmt.Sprintf(": successes in a row %.0f >= %d", value, t.cfg.ContinSuccLimit)
	case outLongAgo:
		return fmt.Sprintf(": it was out for %s >= %s", lb.Seconds(value), lb.Seconds(t.cfg.OverloadTimeout.Seconds()))
	}
	return ""
}

// idle says how far a host is from its ejection.
func (t sentence) idle() string {
	s := t.calls() + fmt.Sprintf(" in the window of %s", lb.Seconds(t.cfg.IdleTimeout.Seconds()))
	s += fmt.Sprintf(". Ejected above %s failures, now %s with %.0f virtual calls; at %d failures in a row, now %.0f",
		lb.Percent(t.cfg.ErrRate), lb.Percent(t.virtual(factVirtualErr)), t.virtualCalls(), t.cfg.ContinErrLimit, t.Fact(factContinErr))
	s += fmt.Sprintf("; or if %s of the window fail, which ends with the first report %s.",
		lb.Percent(t.cfg.WindowErrRate), t.in(t.cfg.IdleTimeout))
	return s
}

// overload says what brings a host back.
func (t sentence) overload() string {
	s := t.calls() + " since then"
	s += fmt.Sprintf(". Back above %s successes, now %s with %.0f virtual calls; after %d successes in a row, now %.0f",
		lb.Percent(t.cfg.SuccRate), lb.Percent(t.virtual(factVirtualSucc)), t.virtualCalls(), t.cfg.ContinSuccLimit, t.Fact(factContinSucc))
	s += fmt.Sprintf("; or with the first report %s. One pick in %d tries an ejected host.", t.in(t.cfg.OverloadTimeout), t.cfg.ProbeNum+1)
	return s
}

// calls says how many calls failed since the window was opened.
func (t sentence) calls() string {
	failed, all := t.Fact(factErr), t.Fact(factErr)+t.Fact(factSucc)
	if all == 0 {
		return "No call"
	}
	return fmt.Sprintf("%.0f of %s failed", failed, lb.Count(all, "call"))
}

// virtual returns the share of a virtual count, 0 without any call.
func (t sentence) virtual(part string) float64 {
	all := t.Fact(factVirtualErr) + t.Fact(factVirtualSucc)
	if all == 0 {
		return 0
	}
	return t.Fact(part) / all
}

// virtualCalls returns how many calls the host was credited or charged.
func (t sentence) virtualCalls() float64 {
	return t.Fact(factVirtualErr) + t.Fact(factVirtualSucc) - t.Fact(factErr) - t.Fact(factSucc)
}

// in says when the window will have been open for so long.
func (t sentence) in(length time.Duration) string {
	left := length.Seconds() + t.Fact(factWindow) - t.now.Seconds()
	if left <= 0 {
		return "from now on"
	}
	return fmt.Sprintf("after %s more", lb.Seconds(left))
}
