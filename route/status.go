package route

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
