package admin

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"lars.internal/route"
)

// ParseHosts reads hosts as people write them, each "IPv4:PORT". It fails for
// the first that cannot serve, and for a host that is named twice, with the
// reason.
func ParseHosts(texts []string) ([]route.Host, error) {
	hosts := make([]route.Host, 0, len(texts))
	for _, text := range texts {
		h, err := ParseHost(text)
		if err != nil {
			return nil, err
		}
		hosts = append(hosts, h)
	}
	return hosts, checkHosts(hosts)
}

// ParseAddress reads a host as ParseHost does, or an address without a port, which
// has port 0 then.
func ParseAddress(text string) (route.Host, error) {
	if _, err := netip.ParseAddr(text); err != nil && strings.Contains(text, ":") {
		return ParseHost(text)
	}
	h, err := parseBare(text)
	if err != nil {
		return route.Host{}, fmt.Errorf("host %q: %w", text, err)
	}
	h.Port = 0
	return h, nil
}

// parseBare returns some host at an address.
func parseBare(text string) (route.Host, error) {
	addr, err := parseAddr(text)
	if err != nil {
		return route.Host{}, err
	}
	h, err := route.HostOf(netip.AddrPortFrom(addr, 1))
	if err != nil {
		return route.Host{}, err
	}
	return h, checkAddr(h)
}

// ParseSettings reads settings as people write them, each "KEY=VALUE". It fails
// for the first that makes no sense, and for a key that comes twice.
func ParseSettings(texts []string) ([]route.Setting, error) {
	settings := make([]route.Setting, 0, len(texts))
	for _, text := range texts {
		name, value, ok := strings.Cut(text, "=")
		if !ok {
			return nil, fmt.Errorf("setting %q: want KEY=VALUE, for example policy=classic", text)
		}
		s := route.Setting{Name: strings.TrimSpace(name), Value: strings.TrimSpace(value)}
		if err := checkSetting(s); err != nil {
			return nil, err
		}
		if slices.ContainsFunc(settings, func(o route.Setting) bool { return o.Name == s.Name }) {
			return nil, fmt.Errorf("setting %s is named twice", s.Name)
		}
		settings = append(settings, s)
	}
	return settings, nil
}

// ParseHost reads one host, "192.168.1.113:7777". It fails, with the reason,
// for what is not IPv4 with a port, and for addresses at which no host can
// serve: 0.0.0.0, multicast and broadcast.
func ParseHost(text string) (route.Host, error) {
	h, err := parseHost(text)
	if err != nil {
		return route.Host{}, fmt.Errorf("host %q: %w", text, err)
	}
	return h, nil
}

func parseHost(text string) (route.Host, error) {
	// The last colon, so that an IPv6 address is recognised as one.
	colon := strings.LastIndexByte(text, ':')
	if colon < 0 {
		return route.Host{}, errors.New("no port; want IPv4:PORT, for example 192.168.1.113:7777")
	}
	addr, err := parseAddr(text[:colon])
	if err != nil {
		return route.Host{}, err
	}
	port, err := strconv.ParseUint(text[colon+1:], 10, 16)
	if err != nil || port == 0 {
		return route.Host{}, fmt.Errorf("port %q is not a number from 1 to 65535", text[colon+1:])
	}
	h, err := route.HostOf(netip.AddrPortFrom(addr, uint16(port)))
	if err != nil {
		return route.Host{}, err
	}
	return h, checkAddr(h)
}

func parseAddr(text string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(strings.Trim(text, "[]"))
	switch {
	case err != nil:
		return netip.Addr{}, fmt.Errorf("%q is not an IPv4 address; want four numbers from 0 to 255, as in 192.168.1.113", text)
	case !addr.Is4():
		return netip.Addr{}, fmt.Errorf("%s is an IPv6 address; routes hold IPv4 alone", addr)
	case addr.IsUnspecified():
		return netip.Addr{}, errors.New("0.0.0.0 is no address to call")
	}
	return addr, nil
}

// checkAddr refuses addresses that no single machine has.
func checkAddr(h route.Host) error {
	addr := h.AddrPort().Addr()
	switch {
	case addr.IsMulticast():
		return fmt.Errorf("%s is a multicast address", addr)
	case addr == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return fmt.Errorf("%s is the broadcast address", addr)
	}
	return nil
}

// checkHosts refuses hosts that cannot serve or that are named twice.
func checkHosts(hosts []route.Host) error {
	seen := make(map[route.Host]bool, len(hosts))
	for _, h := range hosts {
		if _, err := route.NewHost(h.IP, int64(h.Port)); err != nil {
			return err
		}
		if err := checkAddr(h); err != nil {
			return fmt.Errorf("host %v: %w", h, err)
		}
		if seen[h] {
			return fmt.Errorf("host %v is named twice", h)
		}
		seen[h] = true
	}
	return nil
}
