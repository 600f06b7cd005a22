package client

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	"lars.internal/larspb"
	"lars.internal/route"
)

const (
	// maxDatagram is above the longest UDP datagram, so none is cut.
	maxDatagram = 65536

	// receiveBuffer is room for some thousand answers while the reader waits
	// for a processor. Bytes; the kernel may grant less.
	receiveBuffer = 1 << 20

	// readPause is the wait after a read error that is not a refusal, so
	// that an error which stays does not take a whole processor.
	readPause = 10 * time.Millisecond
)

// conn is a socket connected to one port of the agent, and the calls that
// wait for answers on it. The kernel drops datagrams of other senders.
type conn struct {
	// Immutable after startConn.
	udp     *net.UDPConn
	agent   netip.AddrPort
	lastSeq *atomic.Uint32  // the client's, shared by its conns
	counts  *counters       // likewise
	closing <-chan struct{} // closed by Client.Close
	ended   chan struct{}   // closed by readLoop at its end

	mu      sync.Mutex // guards everything below
	waiting map[uint32]*question
	closed  bool
}

// startConn takes over udp. close stops the goroutine and waits for it.
func startConn(udp *net.UDPConn, agent netip.AddrPort, c *Client) *conn {
	n := &conn{
		udp:     udp,
		agent:   agent,
		lastSeq: &c.lastSeq,
		counts:  &c.counts,
		closing: c.closing,
		ended:   make(chan struct{}),
		waiting: make(map[uint32]*question),
	}
	go n.readLoop()
	return n
}

// close fails the waiting calls. No goroutine and no socket is left after it.
func (n *conn) close() error {
	n.mu.Lock()
	n.closed = true
	n.mu.Unlock()
	n.fail(ErrClosed, nil)
	err := n.udp.Close()
	<-n.ended
	return err
}

// enter gives k a sequence number and makes it wait. Number 0 is skipped: in
// the answer of a C++ agent it means that there is none. A number that still
// waits from the round before is skipped too.
func (n *conn) enter(k *question) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return ErrClosed
	}
	for k.seq == 0 || n.waiting[k.seq] != nil {
		k.seq = n.lastSeq.Add(1)
	}
	n.waiting[k.seq] = k
	return nil
}

// withdraw ends the wait of k. False: the result had come first and is in k.
func (n *conn) withdraw(k *question) bool {
	n.mu.Lock()
	mine := n.waiting[k.seq] == k
	if mine {
		delete(n.waiting, k.seq)
	}
	n.mu.Unlock()
	if !mine {
		<-k.done
	}
	return mine
}

// send writes the frame of k. A write that is refused was not done: the
// kernel used it to report an earlier datagram. Therefore all waiting calls
// but k fail with it, and the write is done again.
func (n *conn) send(k *question) error {
	_, err := n.udp.Write(k.frame)
	if isRefused(err) {
		n.fail(unreachable(n.agent, err), k)
		_, err = n.udp.Write(k.frame)
	}
	if err != nil {
		return unreachable(n.agent, err)
	}
	return nil
}

// fail ends all waiting calls with err, but not the spared one.
func (n *conn) fail(err error, spared *question) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for seq, k := range n.waiting {
		if k == spared {
			continue
		}
		delete(n.waiting, seq)
		k.err = err
		k.done <- struct{}{}
	}
}

// readLoop hands answers to calls until the socket is closed.
func (n *conn) readLoop() {
	defer close(n.ended)
	buf := make([]byte, maxDatagram)
	for {
		size, err := n.udp.Read(buf)
		switch {
		case err == nil:
			n.receive(buf[:size])
		case errors.Is(err, net.ErrClosed):
			return
		default:
			n.fail(unreachable(n.agent, err), nil)
			n.pauseAfter(err)
		}
	}
}

func (n *conn) pauseAfter(err error) {
	if isRefused(err) {
		return
	}
	select {
	case <-n.closing:
	case <-time.After(readPause):
	}
}

// receive handles one datagram, whose memory it does not keep.
func (n *conn) receive(datagram []byte) {
	id, body, err := larspb.ParseFrame(datagram)
	switch {
	case err != nil:
	case id == larspb.IDGetHostResponse:
		err = n.receiveHost(body)
	case id == larspb.IDAPIGetRouteResponse:
		err = n.receiveRoute(body)
	default:
		err = fmt.Errorf("message %d is no answer", id)
	}
	if err != nil {
		n.counts.malformed.Add(1)
	}
}

func (n *conn) receiveHost(body []byte) error {
	var a larspb.HostAnswer
	if err := a.Parse(body); err != nil {
		return err
	}
	key := route.Key{Modid: a.Modid, Cmdid: a.Cmdid}
	if k := n.take(a.Seq, larspb.IDGetHostResponse, key); k != nil {
		k.host = a
		k.done <- struct{}{}
	} else if a.Ticket != 0 && a.HasHost {
		n.giveBack(key, a)
	}
	return nil
}

// giveBack tells the agent that nobody will call the host that it picked: its
// answer came too late, or was the second one to a question that was sent
// twice. Else the agent would wait for a result. A report that is lost does no
// more harm than that.
func (n *conn) giveBack(key route.Key, a larspb.HostAnswer) {
	k := newQuestion(larspb.IDReportRequest, key)
	defer k.release()
	k.encodeReport(larspb.CallReport{
		HasHost: true, IP: a.IP, Port: a.Port,
		Ticket: a.Ticket, Kind: larspb.Kind_KIND_IGNORED,
	})
	_ = n.send(k)
}

func (n *conn) receiveRoute(body []byte) error {
	m := new(larspb.GetRouteResponse)
	if err := proto.Unmarshal(body, m); err != nil {
		return err
	}
	key := route.Key{Modid: m.Modid, Cmdid: m.Cmdid}
	if m.Seq == 0 {
		n.finishRoutes(key, m)
	} else if k := n.take(m.Seq, larspb.IDAPIGetRouteResponse, key); k != nil {
		k.route = m
		k.done <- struct{}{}
	}
	return nil
}

// take removes and returns the call with this number, if it waits for this
// kind of answer about this service. Anything else is counted: nil.
func (n *conn) take(seq uint32, answer int32, key route.Key) *question {
	n.mu.Lock()
	defer n.mu.Unlock()
	k := n.waiting[seq]
	if k == nil {
		n.counts.stale.Add(1)
		return nil
	}
	if k.answer != answer || k.key != key {
		n.counts.foreign.Add(1)
		return nil
	}
	delete(n.waiting, seq)
	return k
}

// finishRoutes gives an answer without a sequence number, which a C++ agent
// sends, to all calls that wait for the route of its service.
func (n *conn) finishRoutes(key route.Key, m *larspb.GetRouteResponse) {
	n.mu.Lock()
	defer n.mu.Unlock()
	found := false
	for seq, k := range n.waiting {
		if k.answer != larspb.IDAPIGetRouteResponse || k.key != key {
			continue
		}
		found = true
		delete(n.waiting, seq)
		k.route = m
		k.done <- struct{}{}
	}
	if !found {
		n.counts.stale.Add(1)
	}
}
