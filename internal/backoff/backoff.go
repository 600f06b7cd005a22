// Package backoff computes the pause after an attempt that failed.
//
//	pauses := backoff.Policy{Min: 100 * time.Millisecond, Max: 5 * time.Second}
//	for failures := 0; try() != nil; failures++ {
//		wait(ctx, pauses.After(failures))
//	}
//
// A Policy is a value without state, safe for concurrent use. Package reactor
// stands alone and has its own for connections.
package backoff

import (
	"math/rand/v2"
	"time"
)

// Policy says how pauses grow. Min and Max must be above zero.
type Policy struct {
	// Min is the first pause. It doubles with each further failure, up to Max.
	Min, Max time.Duration

	// Spread is the largest share of a pause that is taken off at random, 0 to
	// 1, so that attempts that failed together are not repeated together.
	// Default 0: none.
	Spread float64

	// Random returns a number in [0, 1). Default: math/rand/v2.
	Random func() float64
}

// After returns the pause after an attempt that failures others in a row came
// before, at most Max.
func (p Policy) After(failures int) time.Duration {
	wait := p.Max
	if failures < 63 && p.Min <= p.Max>>failures {
		wait = p.Min << failures
	}
	if p.Spread == 0 {
		return wait
	}
	random := p.Random
	if random == nil {
		random = rand.Float64
	}
	return wait - time.Duration(float64(wait)*p.Spread*random())
}
