package larspb

import (
	"google.golang.org/protobuf/encoding/protowire"

	"lars.internal/route"
)

// CallResult is a HostCallResult.
type CallResult struct {
	IP, Port            int32
	Succ, Err           uint32 // calls of the window
	Overload            bool
	TotalSucc, TotalErr uint64 // calls since the agent knows the host

	// Only for a reporter that has shown a level. Totals likewise.
	Refused, Timeout          uint32 // of TotalErr, by kind
	LatencySum                uint64 // microseconds
	State, Reason             uint32 // a HostState, a HostReason
	Latency                   []byte // a history.Sketch; after Parse a part of the body
	Ejections, Reinstatements uint32
	Since                     uint32 // Unix seconds at which the totals began
}

// MaxLatency is the most bytes that CallResult.Latency may have; Parse leaves out
// what is longer.
const MaxLatency = 256

// StatusReport is a ReportStatusRequest.
type StatusReport struct {
	Key     route.Key
	Caller  int32 // IPv4, as AddrOf reads it
	Results []CallResult
	Time    uint32 // Unix seconds
	Run     uint64 // of the agent; 0: it does not expect an acknowledgement
	Number  uint64 // of the report within the run
	Level   uint32
	SpanMS  uint32 // how long ago the first new call was; 0: not known
}

// Append writes r as a ReportStatusRequest of at most limit bytes, and returns
// the results that found no room. With a limit of MaxBody the first always does.
func (r StatusReport) Append(b []byte, limit int) (body []byte, left []CallResult) {
	end := len(b) + limit - r.tailSize()
	b = appendInt32(b, 1, r.Key.Modid)
	b = appendInt32(b, 2, r.Key.Cmdid)
	b = appendInt32(b, 3, r.Caller)
	left = r.Results
	for len(left) > 0 {
		size := left[0].size()
		if len(b)+messageSize(size) > end {
			break
		}
		b = protowire.AppendVarint(appendTag(b, 4, protowire.BytesType), uint64(size))
		b = left[0].append(b)
		left = left[1:]
	}
	b = appendField(b, 5, uint64(r.Time))
	b = appendField(b, 10, r.Run)
	b = appendField(b, 11, r.Number)
	b = appendField(b, 12, uint64(r.Level))
	return appendField(b, 13, uint64(r.SpanMS)), left
}

// tailSize returns the length of what follows the results.
func (r *StatusReport) tailSize() int {
	return fieldSize(uint64(r.Time)) + fieldSize(r.Run) + fieldSize(r.Number) + fieldSize(uint64(r.Level)) + fieldSize(uint64(r.SpanMS))
}

// Parse reads a ReportStatusRequest and appends its results to r.Results.
// Anything that is no message is ErrMessage.
func (r *StatusReport) Parse(b []byte) error {
	f := fields{rest: b, bytes: 1 << 4}
	for f.next() {
		switch f.num {
		case 1:
			r.Key.Modid = int32(f.value)
		case 2:
			r.Key.Cmdid = int32(f.value)
		case 3:
			r.Caller = int32(f.value)
		case 4:
			var result CallResult
			if err := result.parse(f.body); err != nil {
				return err
			}
			r.Results = append(r.Results, result)
		case 5:
			r.Time = uint32(f.value)
		case 10:
			r.Run = f.value
		case 11:
			r.Number = f.value
		case 12:
			r.Level = uint32(f.value)
		case 13:
			r.SpanMS = uint32(f.value)
		}
	}
	return f.err
}

func (c *CallResult) parse(b []byte) error {
	f := fields{rest: b, bytes: 1 << 17}
	for f.next() {
		switch f.num {
		case 1:
			c.IP = int32(f.value)
		case 2:
			c.Port = int32(f.value)
		case 3:
			c.Succ = uint32(f.value)
		case 4:
			c.Err = uint32(f.value)
		case 5:
			c.Overload = protowire.DecodeBool(f.value)
		case 10:
			c.TotalSucc = f.value
		case 11:
			c.TotalErr = f.value
		case 12:
			c.Refused = uint32(f.value)
		case 13:
			c.Timeout = uint32(f.value)
		case 14:
			c.LatencySum = f.value
		default:
			c.parseHigh(&f)
		}
	}
	return f.err
}

// parseHigh takes a field whose number is above 14.
func (c *CallResult) parseHigh(f *fields) {
	switch f.num {
	case 15:
		c.State = uint32(f.value)
	case 16:
		c.Reason = uint32(f.value)
	case 17:
		if c.Latency = f.body; len(f.body) == 0 || len(f.body) > MaxLatency {
			c.Latency = nil
		}
	case 18:
		c.Ejections = uint32(f.value)
	case 19:
		c.Reinstatements = uint32(f.value)
	case 20:
		c.Since = uint32(f.value)
	}
}

func (c *CallResult) append(b []byte) []byte {
	b = appendInt32(b, 1, c.IP)
	b = appendInt32(b, 2, c.Port)
	b = appendField(b, 3, uint64(c.Succ))
	b = appendField(b, 4, uint64(c.Err))
	b = appendBool(b, 5, c.Overload)
	b = appendField(b, 10, c.TotalSucc)
	b = appendField(b, 11, c.TotalErr)
	b = appendField(b, 12, uint64(c.Refused))
	b = appendField(b, 13, uint64(c.Timeout))
	b = appendField(b, 14, c.LatencySum)
	b = appendField(b, 15, uint64(c.State))
	b = appendHigh(b, 16, uint64(c.Reason))
	if len(c.Latency) > 0 {
		b = protowire.AppendBytes(protowire.AppendTag(b, 17, protowire.BytesType), c.Latency)
	}
	b = appendHigh(b, 18, uint64(c.Ejections))
	b = appendHigh(b, 19, uint64(c.Reinstatements))
	return appendHigh(b, 20, uint64(c.Since))
}

func (c *CallResult) size() int {
	return int32Size(c.IP) + int32Size(c.Port) + fieldSize(uint64(c.Succ)) + fieldSize(uint64(c.Err)) +
		boolSize(c.Overload) + fieldSize(c.TotalSucc) + fieldSize(c.TotalErr) +
		fieldSize(uint64(c.Refused)) + fieldSize(uint64(c.Timeout)) + fieldSize(c.LatencySum) +
		fieldSize(uint64(c.State)) + highSize(uint64(c.Reason)) + c.latencySize() +
		highSize(uint64(c.Ejections)) + highSize(uint64(c.Reinstatements)) + highSize(uint64(c.Since))
}

func (c *CallResult) latencySize() int {
	if len(c.Latency) == 0 {
		return 0
	}
	return 1 + messageSize(len(c.Latency)) // a tag of two bytes
}
