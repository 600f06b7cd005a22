package route

import "errors"

// Errors of a store about single rows of call statistics. Any other error is
// about the store.
var (
	// ErrRowRefused: the database takes all but at least one row, which it will
	// never take as it is.
	ErrRowRefused = errors.New("the database refuses a row")
	// ErrRowLocked: another transaction holds at least one row for too long.
	ErrRowLocked = errors.New("another transaction holds a row")
)

// CallStatus is what one caller knows of one host of a service: a row of the
// table ServerCallStatus.
type CallStatus struct {
	Key      Key
	Host     Host
	Caller   uint32 // IPv4 of the calling machine, host-order integer
	Succ     uint32 // successful calls in the window that was reported
	Err      uint32 // failed calls in that window
	Time     int64  // Unix seconds of the report; the newest wins
	Overload bool   // the caller has ejected the host
}
