package sim

import "time"

// failedShare returns the share of the operations of a time that failed.
func (r *Result) failedShare(from, to time.Duration) float64 {
	return r.Failed.Sum(from, to) / r.Calls.Sum(from, to)
}

// goodShare returns the share of the operations of a time that neither failed
// nor were refused.
func (r *Result) goodShare(from, to time.Duration) float64 {
	return 1 - (r.Failed.Sum(from, to)+r.Refused.Sum(from, to))/r.Calls.Sum(from, to)
}

// hostShare returns the calls of a host in a time, relative to an equal share.
func (r *Result) hostShare(host int, from, to time.Duration) float64 {
	return r.Host[host].Sum(from, to) * float64(len(r.Host)) / r.Calls.Sum(from, to)
}
