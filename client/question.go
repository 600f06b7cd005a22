package client

import (
	"sync"
	"time"

	"lars.internal/larspb"
	"lars.internal/route"
)

// maxRequest is above the longest request: a report's header, five varints
// of which three may have ten bytes, and the lengths between them.
const maxRequest = 64

// question is one request to the agent, reused by the next one when it is over.
//
// It belongs to the goroutine that asks. From conn.enter on, the goroutine
// that takes it out of conn.waiting owns the fields of the result. It is
// either the asking one, which gives up, or another one, which sets the
// result and then sends on done, exactly once.
type question struct {
	answer int32 // id of the message that answers it
	key    route.Key
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

func newQuestion(answer int32, modid, cmdid int32) *question {
	k := questions.Get().(*question)
	k.answer, k.key = answer, route.Key{Modid: modid, Cmdid: cmdid}
	return k
}

// release gives the call back. Nothing may wait for it or answer it.
func (k *question) release() {
	k.timer.Stop()
	k.seq, k.frame, k.route, k.err = 0, nil, nil, nil
	k.host = larspb.HostAnswer{}
	questions.Put(k)
}

// encodeQuestion writes the request that k.answer answers.
func (k *question) encodeQuestion() {
	b := k.buf[:larspb.HeaderSize]
	if k.answer == larspb.IDGetHostResponse {
		q := larspb.HostQuery{Seq: k.seq, Modid: k.key.Modid, Cmdid: k.key.Cmdid}
		k.seal(larspb.IDGetHostRequest, q.Append(b))
		return
	}
	q := larspb.RouteQuery{Seq: k.seq, Modid: k.key.Modid, Cmdid: k.key.Cmdid}
	k.seal(larspb.IDAPIGetRouteRequest, q.Append(b))
}

// encodeReport writes the result of a call to host.
func (k *question) encodeReport(host route.Host, callErr error) {
	r := larspb.CallReport{Modid: k.key.Modid, Cmdid: k.key.Cmdid,
		HasHost: true, IP: int32(host.IP), Port: int32(host.Port)}
	if callErr != nil {
		r.Retcode = reportFailed
	}
	k.seal(larspb.IDReportRequest, r.Append(k.buf[:larspb.HeaderSize]))
}

// reportFailed is what C++ programs send; to the agent any number but 0 is a
// failure.
const reportFailed = 1

// seal completes a frame whose body follows the room for the header.
func (k *question) seal(id int32, frame []byte) {
	larspb.PutHeader(frame, id, len(frame)-larspb.HeaderSize)
	k.frame = frame
}
