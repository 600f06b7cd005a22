package client

import (
	"sync"
	"time"

	"lars.internal/larspb"
	"lars.internal/route"
)

// maxRequest is above the longest request, a report: 8 bytes of header, two
// numbers of a service and a host of 11 and 17, a retcode of 2, and 11, 6 and 2
// for ticket, latency and kind.
const maxRequest = 128

// question is one request to the agent, reused by the next one when it is over.
//
// It belongs to the goroutine that asks. From conn.enter on, the goroutine
// that takes it out of conn.waiting owns the fields of the result. It is
// either the asking one, which gives up, or another one, which sets the
// result and then sends on done, exactly once.
type question struct {
	answer int32 // id of the message that answers it
	key    route.Key
	avoid  route.Host // of a question for a host; the zero Host avoids nothing
	level  uint32     // 0 asks as C++ programs do
	seq    uint32
	buf    [maxRequest]byte
	frame  []byte // the request, in buf

	host  larspb.HostAnswer        // the result, one of the three
	route *larspb.GetRouteResponse // may be shared with other calls: read only
	err   error

	done  chan struct{} // capacity 1: the sender never waits
	timer *time.Timer   // stopped between two uses
}

var questions = sync.Pool{New: func() any {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return &question{done: make(chan struct{}, 1), timer: t}
}}

func newQuestion(answer int32, key route.Key) *question {
	k := questions.Get().(*question)
	k.answer, k.key = answer, key
	return k
}

// release gives the call back. Nothing may wait for it or answer it.
func (k *question) release() {
	k.timer.Stop()
	k.seq, k.frame, k.route, k.err = 0, nil, nil, nil
	k.avoid, k.level = route.Host{}, 0
	k.host = larspb.HostAnswer{}
	questions.Put(k)
}

// encodeQuestion writes the request that k.answer answers.
func (k *question) encodeQuestion() {
	b := k.buf[:larspb.HeaderSize]
	if k.answer == larspb.IDGetHostResponse {
		q := larspb.HostQuery{Seq: k.seq, Modid: k.key.Modid, Cmdid: k.key.Cmdid, Level: k.level}
		if k.avoid != (route.Host{}) {
			q.HasAvoid, q.AvoidIP, q.AvoidPort = true, int32(k.avoid.IP), int32(k.avoid.Port)
		}
		k.seal(larspb.IDGetHostRequest, q.Append(b))
		return
	}
	q := larspb.RouteQuery{Seq: k.seq, Modid: k.key.Modid, Cmdid: k.key.Cmdid, Level: k.level}
	k.seal(larspb.IDAPIGetRouteRequest, q.Append(b))
}

// encodeReport writes r as a report about the service of k.
func (k *question) encodeReport(r larspb.CallReport) {
	r.Modid, r.Cmdid = k.key.Modid, k.key.Cmdid
	k.seal(larspb.IDReportRequest, r.Append(k.buf[:larspb.HeaderSize]))
}

// seal completes a frame whose body follows the room for the header.
func (k *question) seal(id int32, frame []byte) {
	larspb.PutHeader(frame, id, len(frame)-larspb.HeaderSize)
	k.frame = frame
}
