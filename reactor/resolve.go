package reactor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
)

// ResolveNames returns a function for ClientConfig.Resolve that looks up the
// IPv4 addresses of host names, each written HOST:PORT. A numeric address is
// taken as it is. A name that cannot be looked up is left out as long as there
// is another one.
func ResolveNames(names ...string) func(context.Context) ([]netip.AddrPort, error) {
	return func(ctx context.Context) ([]netip.AddrPort, error) {
		var addrs []netip.AddrPort
		var errs []error
		for _, name := range names {
			found, err := lookUp(ctx, name)
			addrs, errs = append(addrs, found...), append(errs, err)
		}
		if len(addrs) > 0 {
			return addrs, nil
		}
		return nil, errors.Join(errs...)
	}
}

// lookUp returns the addresses of one name.
func lookUp(ctx context.Context, name string) ([]netip.AddrPort, error) {
	host, port, err := net.SplitHostPort(name)
	if err != nil {
		return nil, fmt.Errorf("reactor: server %q: want HOST:PORT: %w", name, err)
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number == 0 {
		return nil, fmt.Errorf("reactor: server %q: want a port in 1..65535", name)
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip4", host)
	if err != nil {
		return nil, fmt.Errorf("reactor: look up server %q: %w", name, err)
	}
	var addrs []netip.AddrPort
	for _, ip := range ips {
		addrs = append(addrs, netip.AddrPortFrom(ip.Unmap(), uint16(number)))
	}
	return addrs, nil
}
