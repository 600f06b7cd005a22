package reactor

// denseIDs is how many small ids are looked up in an array.
const denseIDs = 256

// Router maps message ids to handlers. P is what a handler gets beside the
// body: *Conn on a TCP server or client, *Packet on a UDP server.
//
// Fill it before Serve or Run; it is only read from then on, so several
// servers may share one.
type Router[P any] struct {
	dense  [denseIDs]func(P, []byte)
	sparse map[int32]func(P, []byte)
	other  func(P, int32, []byte)
}

// NewRouter returns a router without handlers.
func NewRouter[P any]() *Router[P] {
	return &Router[P]{sparse: make(map[int32]func(P, []byte))}
}

// Handle sets the handler of messages with this id. The body is valid until
// the handler returns. Handlers run on the loop that owns the peer: they must
// not block.
func (r *Router[P]) Handle(id int32, handler func(peer P, body []byte)) {
	if id >= 0 && id < denseIDs {
		r.dense[id] = handler
		return
	}
	r.sparse[id] = handler
}

// HandleOther sets the handler of messages whose id has none. Without it they
// are dropped and counted.
func (r *Router[P]) HandleOther(handler func(peer P, id int32, body []byte)) {
	r.other = handler
}

// dispatch runs the handler of a message and reports whether there was one.
func (r *Router[P]) dispatch(peer P, id int32, body []byte) bool {
	if uint32(id) < denseIDs {
		if h := r.dense[id]; h != nil {
			h(peer, body)
			return true
		}
	} else if h := r.sparse[id]; h != nil {
		h(peer, body)
		return true
	}
	if r.other != nil {
		r.other(peer, id, body)
		return true
	}
	return false
}
