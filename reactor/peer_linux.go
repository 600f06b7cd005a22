package reactor

import (
	"time"

	"golang.org/x/sys/unix"
)

const (
	// peerChecks is how often within PeerTimeout a connection with output on its
	// way is looked at.
	peerChecks = 4

	// mostUnanswered is how many repetitions without an answer it takes to call a
	// peer lost: one may be on its way at the moment.
	mostUnanswered = 2
)

// watchPeer makes sure that a timer looks at what becomes of the output.
func (c *Conn) watchPeer() {
	timeout := c.end.cfg.PeerTimeout
	if timeout < 0 {
		return
	}
	if c.peerTimer == nil {
		c.peerTimer = c.loop.After(timeout/peerChecks, c.checkPeer)
		return
	}
	c.peerTimer.Reset(timeout / peerChecks)
}

// checkPeer ends the connection if the peer's machine is gone, and comes back
// while there is output that it has not acknowledged.
func (c *Conn) checkPeer() {
	info := &c.loop.tcpInfo
	if tcpInfo(c.fd, info) != nil || !onItsWay(info) {
		return // the next write watches again
	}
	if peerLost(info, c.end.cfg.PeerTimeout) {
		c.reset(ErrPeerLost)
		return
	}
	c.watchPeer()
}

// onItsWay reports whether some output is not acknowledged yet.
func onItsWay(info *unix.TCPInfo) bool { return info.Unacked > 0 || info.Notsent_bytes > 0 }

// peerLost reports whether the peer's machine has been silent for timeout,
// less what passes until the next look, and leaves what is repeated without an
// answer. A peer that has closed its window answers the kernel's probes, however
// far apart they are.
func peerLost(info *unix.TCPInfo, timeout time.Duration) bool {
	heard := time.Duration(min(info.Last_ack_recv, info.Last_data_recv)) * time.Millisecond
	return heard >= timeout-timeout/peerChecks && (info.Retransmits >= mostUnanswered || info.Probes >= mostUnanswered)
}
