package client

import (
	"fmt"
	"math"
	"net/netip"
	"time"

	"lars.internal/call"
	"lars.internal/larspb"
	"lars.internal/lb"
	"lars.internal/route"
)

// Result is how a call to a host ended.
type Result struct {
	// Err is what the call returned; nil is a success. Kind is how it failed;
	// lb.KindUnknown, the zero value, lets call.Classify say so from Err. With
	// another Kind the call failed, also without an Err.
	//
	// lb.KindIgnored means that the call does not judge its host. It is told
	// to the agent only with a ticket, so that the agent no longer counts the
	// call as one that is running.
	Err  error
	Kind lb.Kind

	// Latency is the time from the start of the call to its end, of a failure
	// too; 0 if it was not measured. Microseconds are told, at most 71 minutes.
	Latency time.Duration

	// Ticket is that of the Pick; 0 if there is none.
	Ticket uint64
}

// Report tells the agent the result of a call to a host: success if callErr
// is nil, else failure. It takes no context because it waits for nothing: the
// agent does not answer, so nil means sent, not received.
//
// It returns ErrClosed, ErrAgent if the report could not be sent, or an error
// for an address that is not an IPv4 address with a port.
func (c *Client) Report(modid, cmdid int32, addr netip.AddrPort, callErr error) error {
	r := larspb.CallReport{}
	if callErr != nil {
		r.Retcode = reportFailed
	}
	return c.report(route.Key{Modid: modid, Cmdid: cmdid}, addr, r)
}

// ReportResult tells the agent as Report does how a call to a host ended, and
// also how long it took, how it failed and which pick it was. An agent of
// before takes what it knows. A call is reported once; an ignored one without
// a ticket is not sent.
//
// It returns the errors of Report.
func (c *Client) ReportResult(modid, cmdid int32, addr netip.AddrPort, result Result) error {
	r := result.message()
	if r.Kind == larspb.Kind_KIND_IGNORED && r.Ticket == 0 {
		return nil
	}
	return c.report(route.Key{Modid: modid, Cmdid: cmdid}, addr, r)
}

// message returns the part of the report that r makes. The retcode is for
// policies that go by it alone: a call that is ignored has 0, since it does not
// count against its host.
func (r *Result) message() larspb.CallReport {
	kind := r.Kind
	if kind == lb.KindUnknown {
		kind = call.Classify(r.Err)
	}
	m := larspb.CallReport{Ticket: r.Ticket, LatencyUS: microseconds(r.Latency), Kind: larspb.Kind(kind)}
	if (r.Err != nil || kind != lb.KindUnknown) && kind != lb.KindIgnored {
		m.Retcode = reportFailed
	}
	return m
}

// reportFailed is what C++ programs send; to the agent any number but 0 is a
// failure.
const reportFailed = 1

// microseconds returns d for a report, where 0 means that nothing was measured.
func microseconds(d time.Duration) uint32 {
	if d <= 0 {
		return 0
	}
	return uint32(min(max(d.Microseconds(), 1), math.MaxUint32))
}

// report sends r as the report of a call to addr.
func (c *Client) report(key route.Key, addr netip.AddrPort, r larspb.CallReport) error {
	if err := c.sendReport(key, addr, r); err != nil {
		return fmt.Errorf("client: report to %v: %w", key, err)
	}
	return nil
}

func (c *Client) sendReport(key route.Key, addr netip.AddrPort, r larspb.CallReport) error {
	host, err := route.HostOf(addr)
	if err != nil {
		return err
	}
	r.HasHost, r.IP, r.Port = true, int32(host.IP), int32(host.Port)
	k := newQuestion(larspb.IDReportRequest, key)
	defer k.release()
	k.encodeReport(r)
	return c.conns[portOf(key.Modid, key.Cmdid)].send(k)
}
