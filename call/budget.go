package call

import (
	"fmt"
	"strconv"
)

const (
	// DefaultShare is how many second tries there may be for each call. A
	// tenth hides the failures of one bad host of many, and adds no more than a
	// tenth to the load of a service whose hosts all fail.
	DefaultShare = 0.1

	// Burst is how many second tries can be saved up.
	Burst = 10

	// ShareSetting is the setting of a service that replaces DefaultShare.
	ShareSetting = "retry_budget"
)

// Budget limits the second tries of a service to a share of its calls. The
// first Burst of them are free. Not safe for concurrent use.
type Budget struct {
	share  float64
	tokens float64 // second tries that are left, 0 to Burst
}

// NewBudget returns a budget of share second tries for each call, 0 to 1; with
// 0 there are none at all.
func NewBudget(share float64) Budget { return Budget{share: share, tokens: Burst} }

// SetShare changes the share and keeps what was saved up.
func (b *Budget) SetShare(share float64) { b.share = share }

// Earn counts a first try.
func (b *Budget) Earn() { b.tokens = min(b.tokens+b.share, Burst) }

// Take reports whether a second try may be made, and counts it.
func (b *Budget) Take() bool {
	if b.share <= 0 || b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// GiveBack undoes a Take: the second try was not made after all.
func (b *Budget) GiveBack() { b.tokens = min(b.tokens+1, Burst) }

// ParseShare reads the value of ShareSetting: a number from 0 to 1.
func ParseShare(value string) (float64, error) {
	v, err := strconv.ParseFloat(value, 64)
	if err != nil || !(v >= 0 && v <= 1) {
		return 0, fmt.Errorf("%s: want the share of calls that may be made twice, a number from 0 to 1", value)
	}
	return v, nil
}
