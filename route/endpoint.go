package route

// DefaultWeight is the weight of a host for which none was set.
const DefaultWeight = 100

// Endpoint is a host of a service with what may change while it stays: a host
// with another weight or zone is the same host.
type Endpoint struct {
	Host   Host
	Weight uint32 // share of the calls relative to other hosts; 0 drains the host
	Zone   string // where the host is; empty: not known
}

// AppendEndpoints appends the hosts as endpoints of the default weight.
func AppendEndpoints(dst []Endpoint, hosts []Host) []Endpoint {
	for _, h := range hosts {
		dst = append(dst, Endpoint{Host: h, Weight: DefaultWeight})
	}
	return dst
}
