package reactor

import "errors"

// Reasons for which a connection ends (OnClose), is refused (OnRefuse) or a
// call fails. A peer that closed its side first gives io.EOF, a fault of the
// network the system call's error.
var (
	// ErrLoopClosed: the loop has stopped; what was handed over is not run.
	ErrLoopClosed = errors.New("reactor: event loop is closed")
	// ErrClosed: the connection, server or client was closed on this side.
	ErrClosed = errors.New("reactor: closed on this side")
	// ErrReturn: the client goes back to the server that it prefers.
	ErrReturn = errors.New("reactor: going back to the preferred server")
	// ErrNotConnected: the client has no connection at the moment.
	ErrNotConnected = errors.New("reactor: not connected")
	// ErrFrame: the peer sent a header whose length is negative or over the limit.
	ErrFrame = errors.New("reactor: frame length out of range")
	// ErrTooLong: a body is over the limit for frames or datagrams.
	ErrTooLong = errors.New("reactor: message is over the size limit")
	// ErrOutputFull: the peer reads too slowly, the output is at its hard cap.
	ErrOutputFull = errors.New("reactor: output is full, the peer reads too slowly")
	// ErrStalled: the peer took no byte of the output for StallTimeout.
	ErrStalled = errors.New("reactor: output stalled")
	// ErrIdle: the peer sent nothing for IdleTimeout.
	ErrIdle = errors.New("reactor: idle for too long")
	// ErrPeerLost: the peer's machine acknowledged no output for PeerTimeout.
	ErrPeerLost = errors.New("reactor: the peer's machine does not answer")
	// ErrSlowFrame: the peer took longer than FrameTimeout for one frame.
	ErrSlowFrame = errors.New("reactor: half a frame for too long")
	// ErrPanic: a handler or hook of this connection panicked.
	ErrPanic = errors.New("reactor: handler panicked")
	// ErrMaxConns: the server holds as many connections as it may.
	ErrMaxConns = errors.New("reactor: connection limit reached")
	// ErrMaxPerAddr: the server holds as many connections of the peer's address
	// as it may.
	ErrMaxPerAddr = errors.New("reactor: connection limit of the address reached")
	// ErrUnproven: the peer did not prove itself in time, or before the pool of
	// unproven connections was full.
	ErrUnproven = errors.New("reactor: not proven in time")
	// ErrNoDescriptors: the process or the machine is out of descriptors.
	ErrNoDescriptors = errors.New("reactor: out of file descriptors")
	// ErrNoBuffers: the buffer pool is at its ceiling.
	ErrNoBuffers = errors.New("reactor: buffer pool is at its ceiling")
	// ErrQueueFull: the thread queue holds as much as it may.
	ErrQueueFull = errors.New("reactor: queue is full")
	// ErrConnectTimeout: the connection was not made within ConnectTimeout.
	ErrConnectTimeout = errors.New("reactor: connect timed out")
	// ErrSelfConnect: the kernel connected the socket to itself.
	ErrSelfConnect = errors.New("reactor: connected to itself")
)
