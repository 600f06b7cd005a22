package larspb

import (
	"google.golang.org/protobuf/encoding/protowire"

	"lars.internal/route"
)

// RouteAnswer is a GetRouteResponse.
type RouteAnswer struct {
	Key       route.Key
	Hosts     []route.Endpoint
	Seq       uint32
	Truncated bool   // hosts are left out
	Version   uint64 // of the table; 0: not known
	Stale     bool   // the table could not be confirmed lately
	Removed   bool   // there are no hosts because an edit removed them
	Level     uint32 // of the dns service

	// Refused is how many hosts Parse left out because their address cannot be
	// called; Append does not look at it.
	Refused int
}

// Append writes a as a GetRouteResponse of at most limit bytes: as many hosts
// as fit and, if that is not all, the mark that hosts are left out.
func (a RouteAnswer) Append(b []byte, limit int) []byte {
	fit := a.Fitting(limit)
	b = appendInt32(b, 1, a.Key.Modid)
	b = appendInt32(b, 2, a.Key.Cmdid)
	for _, e := range a.Hosts[:fit] {
		b = appendHost(b, 3, int32(e.Host.IP), int32(e.Host.Port))
	}
	b = appendField(b, 10, uint64(a.Seq))
	b = appendBool(b, 11, a.Truncated || fit < len(a.Hosts))
	b = appendField(b, 12, a.Version)
	b = appendBool(b, 13, a.Stale)
	b = appendBool(b, 14, a.Removed)
	return appendField(b, 15, uint64(a.Level))
}

// maxHostSize is the length of the longest host, in bytes.
const maxHostSize = 1 + 1 + 11 + 4

// Fitting returns how many of the hosts find room in limit bytes.
func (a RouteAnswer) Fitting(limit int) int {
	room := limit - a.sizeAroundHosts()
	if len(a.Hosts) <= room/maxHostSize {
		return len(a.Hosts)
	}
	for i, e := range a.Hosts {
		if room -= messageSize(int32Size(int32(e.Host.IP)) + int32Size(int32(e.Host.Port))); room < 0 {
			return i
		}
	}
	return len(a.Hosts)
}

// sizeAroundHosts returns the length of all but the hosts, with room for the
// mark that hosts are left out.
func (a *RouteAnswer) sizeAroundHosts() int {
	return int32Size(a.Key.Modid) + int32Size(a.Key.Cmdid) +
		fieldSize(uint64(a.Seq)) + boolSize(true) + fieldSize(a.Version) +
		boolSize(a.Stale) + boolSize(a.Removed) + fieldSize(uint64(a.Level))
}

// Parse reads a GetRouteResponse and appends its hosts to a.Hosts. Anything
// that is no message is ErrMessage.
func (a *RouteAnswer) Parse(b []byte) error {
	f := fields{rest: b, message: 3}
	for f.next() {
		switch f.num {
		case 1:
			a.Key.Modid = int32(f.value)
		case 2:
			a.Key.Cmdid = int32(f.value)
		case 3:
			if err := a.parseHost(f.body); err != nil {
				return err
			}
		case 10:
			a.Seq = uint32(f.value)
		case 11:
			a.Truncated = protowire.DecodeBool(f.value)
		case 12:
			a.Version = f.value
		case 13:
			a.Stale = protowire.DecodeBool(f.value)
		case 14:
			a.Removed = protowire.DecodeBool(f.value)
		case 15:
			a.Level = uint32(f.value)
		}
	}
	return f.err
}

func (a *RouteAnswer) parseHost(b []byte) error {
	var ip, port int32
	if err := parseHost(b, &ip, &port); err != nil {
		return err
	}
	h, err := route.NewHost(uint32(ip), int64(port))
	if err != nil {
		a.Refused++
		return nil
	}
	a.Hosts = append(a.Hosts, route.Endpoint{Host: h, Weight: route.DefaultWeight})
	return nil
}
