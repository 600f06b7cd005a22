package classic

import (
	"fmt"
	"time"
)

// Limits of Config. Counts stay far below what a uint32 holds, and a window
// far below the time in which one could fill it.
const (
	maxCount   = 1_000_000
	maxTimeout = 24 * time.Hour
)

// Config says when the balancer ejects a host and when it takes one back. The
// zero value is not valid: start from DefaultConfig. The name in brackets is
// the key in section loadbalance of the configuration file.
type Config struct {
	// ProbeNum [probe_num] is the number of picks that come before one of the
	// ejected hosts is tried. Default 10, so one pick in eleven is a probe.
	// Higher: fewer calls fail on a dead host, a healed one comes back later.
	// Lower: the reverse.
	ProbeNum int

	// InitSuccCnt [init_succ_cnt] is the number of successes that a host in
	// rotation is credited at the start of each window. Default 180. Higher:
	// ErrRate needs more failures to eject. Lower: a few early failures do.
	InitSuccCnt int

	// InitErrCnt [init_err_cnt] is the number of failures that a host is
	// charged when it is ejected. Default 5. Higher: SuccRate needs more
	// successes to bring it back. Lower: a lucky probe does.
	InitErrCnt int

	// ErrRate [err_rate] is the share of failures, 0 to 1, virtual ones
	// included, above which a host is ejected. Default 0.1. Higher: bad hosts
	// stay longer. Lower: good ones are ejected by chance. 1: never by rate.
	ErrRate float64

	// SuccRate [succ_rate] is the share of successes, 0 to 1, virtual failures
	// included, above which an ejected host comes back. Default 0.5. Higher:
	// more probes are needed. Lower: it comes back before it has healed. 1:
	// never by rate.
	SuccRate float64

	// ContinErrLimit [contin_err_limit] is the number of failures in a row that
	// ejects. Default 15. Higher: more calls fail on a dead host. Lower: a short
	// disturbance ejects.
	ContinErrLimit int

	// ContinSuccLimit [contin_succ_limit] is the number of successes in a row
	// that brings an ejected host back. Default 15. Higher: it comes back
	// later. Lower: sooner, perhaps too soon.
	ContinSuccLimit int

	// WindowErrRate [window_err_rate] is the share of failures, 0 to 1, among
	// the real calls of a whole window from which a host is ejected. Default
	// 0.7. Higher: a host with little traffic stays although it fails. Lower:
	// few calls are enough to judge it.
	WindowErrRate float64

	// IdleTimeout [idle_timeout] is the length of the window of a host in
	// rotation. Default 15 s. Higher: an old good record hides new failures
	// for longer. Lower: fewer calls to judge by.
	IdleTimeout time.Duration

	// OverloadTimeout [overload_timeout] is the longest time that a host stays
	// ejected; the first report after it brings the host back, whatever the
	// result. Default 15 s. Higher: a host that healed waits longer. Lower: a
	// dead host disturbs more often.
	OverloadTimeout time.Duration
}

// DefaultConfig returns the values that Lars is shipped with.
func DefaultConfig() Config {
	return Config{
		ProbeNum:        10,
		InitSuccCnt:     180,
		InitErrCnt:      5,
		ErrRate:         0.1,
		SuccRate:        0.5,
		ContinErrLimit:  15,
		ContinSuccLimit: 15,
		WindowErrRate:   0.7,
		IdleTimeout:     15 * time.Second,
		OverloadTimeout: 15 * time.Second,
	}
}

// Validate returns an error that names the first key whose value makes no
// sense, and the values that do.
func (c Config) Validate() error {
	for _, err := range []error{
		checkCount("probe_num", c.ProbeNum, 1),
		checkCount("init_succ_cnt", c.InitSuccCnt, 0),
		checkCount("init_err_cnt", c.InitErrCnt, 0),
		checkRate("err_rate", c.ErrRate),
		checkRate("succ_rate", c.SuccRate),
		checkCount("contin_err_limit", c.ContinErrLimit, 1),
		checkCount("contin_succ_limit", c.ContinSuccLimit, 1),
		checkRate("window_err_rate", c.WindowErrRate),
		checkTimeout("idle_timeout", c.IdleTimeout),
		checkTimeout("overload_timeout", c.OverloadTimeout),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

func checkCount(key string, v, low int) error {
	if v < low || v > maxCount {
		return fmt.Errorf("classic: %s = %d: want an integer from %d to %d", key, v, low, maxCount)
	}
	return nil
}

// checkRate is written so that it refuses NaN, which compares false.
func checkRate(key string, v float64) error {
	if v >= 0 && v <= 1 {
		return nil
	}
	return fmt.Errorf("classic: %s = %v: want a share from 0 to 1", key, v)
}

func checkTimeout(key string, v time.Duration) error {
	if v <= 0 || v > maxTimeout {
		return fmt.Errorf("classic: %s = %v: want a time above 0s, at most %v", key, v, maxTimeout)
	}
	return nil
}
