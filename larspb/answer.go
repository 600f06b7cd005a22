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
	Settings  []route.Setting

	// Level is that of the sender. Without a level Append leaves out the weights
	// and zones of the hosts, and the settings.
	Level uint32

	// What Parse left out, which Append does not look at: hosts whose address
	// cannot be called, and weights, zones and settings beyond their limits. A
	// weight that is too large becomes route.MaxWeight.
	Refused, Trimmed int
}

// Append writes a as a GetRouteResponse of at most limit bytes: as many hosts
// as fit and, if that is not all, the mark that hosts are left out.
func (a RouteAnswer) Append(b []byte, limit int) []byte {
	if a.Level == 0 {
		a.Settings = nil
	}
	fit := a.Fitting(limit)
	b = appendInt32(b, 1, a.Key.Modid)
	b = appendInt32(b, 2, a.Key.Cmdid)
	for i := range a.Hosts[:fit] {
		b = a.appendHost(b, &a.Hosts[i])
	}
	b = appendField(b, 10, uint64(a.Seq))
	b = appendBool(b, 11, a.Truncated || fit < len(a.Hosts))
	b = appendField(b, 12, a.Version)
	b = appendBool(b, 13, a.Stale)
	b = appendBool(b, 14, a.Removed)
	b = appendField(b, 15, uint64(a.Level))
	for _, s := range a.Settings {
		b = protowire.AppendTag(b, 16, protowire.BytesType)
		b = protowire.AppendVarint(b, uint64(textSize(s.Name)+textSize(s.Value)))
		b = appendText(appendText(b, 1, s.Name), 2, s.Value)
	}
	return b
}

func (a *RouteAnswer) appendHost(b []byte, e *route.Endpoint) []byte {
	b = appendTag(b, 3, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(a.hostSize(e)))
	b = appendInt32(b, 1, int32(e.Host.IP))
	b = appendInt32(b, 2, int32(e.Host.Port))
	if a.Level == 0 {
		return b
	}
	if e.Weight != route.DefaultWeight { // also if it is 0, which the field says
		b = protowire.AppendVarint(appendTag(b, 10, protowire.VarintType), uint64(e.Weight))
	}
	return appendText(b, 11, e.Zone)
}

// hostSize returns the length of a host without its tag and length.
func (a *RouteAnswer) hostSize(e *route.Endpoint) int {
	size := int32Size(int32(e.Host.IP)) + int32Size(int32(e.Host.Port))
	if a.Level == 0 {
		return size
	}
	if e.Weight != route.DefaultWeight {
		size += 1 + protowire.SizeVarint(uint64(e.Weight))
	}
	return size + textSize(e.Zone)
}

// Lengths of the longest host, in bytes: without a level, and what weight and
// zone add to it with one.
const (
	maxHostSize  = 1 + 1 + 11 + 4
	maxHostExtra = 1 + 5 + 2 + route.MaxZone
)

// Fitting returns how many of the hosts find room in limit bytes, which have to
// hold the rest of the answer at least.
func (a RouteAnswer) Fitting(limit int) int {
	room, longest := limit-a.sizeAroundHosts(), maxHostSize
	if a.Level > 0 {
		longest += maxHostExtra
	}
	if len(a.Hosts) <= room/longest {
		return len(a.Hosts)
	}
	for i := range a.Hosts {
		if room -= messageSize(a.hostSize(&a.Hosts[i])); room < 0 {
			return i
		}
	}
	return len(a.Hosts)
}

// sizeAroundHosts returns the length of all but the hosts, with room for the
// mark that hosts are left out.
func (a *RouteAnswer) sizeAroundHosts() int {
	size := int32Size(a.Key.Modid) + int32Size(a.Key.Cmdid) +
		fieldSize(uint64(a.Seq)) + boolSize(true) + fieldSize(a.Version) +
		boolSize(a.Stale) + boolSize(a.Removed) + fieldSize(uint64(a.Level))
	if a.Level == 0 {
		return size
	}
	for _, s := range a.Settings {
		size += 1 + messageSize(textSize(s.Name)+textSize(s.Value)) // a tag of two bytes
	}
	return size
}

// Parse reads a GetRouteResponse and appends its hosts to a.Hosts and its
// settings to a.Settings. Anything that is no message is ErrMessage.
func (a *RouteAnswer) Parse(b []byte) error {
	f := fields{rest: b, bytes: 1<<3 | 1<<16}
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
		case 16:
			if err := a.parseSetting(f.body); err != nil {
				return err
			}
		}
	}
	return f.err
}

func (a *RouteAnswer) parseHost(b []byte) error {
	var ip, port int32
	var zone []byte
	weight := uint64(route.DefaultWeight)
	f := fields{rest: b, bytes: 1 << 11}
	for f.next() {
		switch f.num {
		case 1:
			ip = int32(f.value)
		case 2:
			port = int32(f.value)
		case 10:
			weight = uint64(uint32(f.value))
		case 11:
			zone = f.text()
		}
	}
	if f.err != nil {
		return f.err
	}
	h, err := route.NewHost(uint32(ip), int64(port))
	if err != nil {
		a.Refused++
		return nil
	}
	a.addHost(h, weight, zone)
	return nil
}

// addHost appends a host with what of its weight and zone is within the limits.
func (a *RouteAnswer) addHost(h route.Host, weight uint64, zone []byte) {
	if weight > route.MaxWeight {
		weight = route.MaxWeight
		a.Trimmed++
	}
	e := route.Endpoint{Host: h, Weight: uint32(weight)}
	if n := len(a.Hosts); len(zone) > route.MaxZone {
		a.Trimmed++
	} else if n > 0 && a.Hosts[n-1].Zone == string(zone) {
		e.Zone = a.Hosts[n-1].Zone // mostly the same, and then it is stored once
	} else {
		e.Zone = string(zone)
	}
	a.Hosts = append(a.Hosts, e)
}

// parseSetting reads a setting. One beyond the limits is left out.
func (a *RouteAnswer) parseSetting(b []byte) error {
	var name, value []byte
	f := fields{rest: b, bytes: 1<<1 | 1<<2}
	for f.next() {
		switch f.num {
		case 1:
			name = f.text()
		case 2:
			value = f.text()
		}
	}
	switch {
	case f.err != nil:
		return f.err
	case max(len(name), len(value)) > route.MaxSetting || len(a.Settings) >= route.MaxSettings:
		a.Trimmed++
	default:
		a.Settings = append(a.Settings, route.Setting{Name: string(name), Value: string(value)})
	}
	return nil
}
