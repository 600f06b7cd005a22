package reporter

import (
	"time"

	"lars.internal/larspb"
	"lars.internal/route"
)

// maxAhead is how far a report's timestamp may be ahead of this machine's
// clock. The newest timestamp of a row wins, so one from a clock that runs
// ahead would hide every later report until that time has come. Clocks that
// are kept in step differ by far less.
const maxAhead = 5 * time.Minute

// maxResults is how many results a report may have: of hosts that exist, a frame
// holds no more, since each takes nine bytes.
const maxResults = larspb.MaxBody / 9

// decoded is a report as the storing threads take it.
type decoded struct {
	rows    []route.CallStatus
	refused int  // results without a usable host
	restamp bool // the timestamp was too far ahead
}

// decode turns a message into rows. now is in Unix seconds. A report without a
// timestamp gets now, and so does one that is too far ahead.
func decode(m *larspb.StatusReport, now int64) decoded {
	ts := int64(m.Time)
	d := decoded{restamp: ts > now+int64(maxAhead/time.Second)}
	if ts == 0 || d.restamp {
		ts = now
	}
	d.rows = make([]route.CallStatus, 0, len(m.Results))
	for _, r := range m.Results {
		host, err := route.NewHost(uint32(r.IP), int64(r.Port))
		if err != nil {
			d.refused++
			continue
		}
		d.rows = append(d.rows, route.CallStatus{
			Key:      m.Key,
			Host:     host,
			Caller:   uint32(m.Caller),
			Succ:     r.Succ,
			Err:      r.Err,
			Time:     ts,
			Overload: r.Overload,
		})
	}
	return d
}

// threadFor returns which of n storing threads stores the reports of a caller
// about a service. It is always the same one, so they stay in order and no two
// threads ever write the same row.
func threadFor(key route.Key, caller uint32, n int) int {
	const golden = 0x9e3779b97f4a7c15 // 2^64 / golden ratio: spreads callers over the high bits
	h := key.Hash() ^ uint64(caller)*golden
	return int(h >> 32 * uint64(n) >> 32)
}
