package dns

import (
	"google.golang.org/protobuf/proto"

	"lars.internal/larspb"
	"lars.internal/reactor"
	"lars.internal/route"
)

// subscriber is the property of a connection.
type subscriber struct {
	conn  *reactor.Conn
	level uint32                 // of the agent; 0: it knows no message of ours above 101
	at    map[route.Key]int      // services that it subscribed to: index in the audience
	late  map[route.Key]struct{} // services whose newest route is still to be sent; nil: none
}

// meet notes the level of an agent, and greets it the first time that it has
// one.
func (s *shard) meet(sub *subscriber, level uint32) {
	if level > 0 && sub.level == 0 {
		_ = sub.conn.Send(larspb.IDHello, s.greeting) // an agent that is gone needs none
	}
	sub.level = max(sub.level, level)
}

// hello handles an agent's Hello.
func (s *shard) hello(c *reactor.Conn, body []byte) {
	var m larspb.Hello
	if proto.Unmarshal(body, &m) != nil {
		s.refuse(c)
		return
	}
	s.meet(c.Property().(*subscriber), m.Level)
}

// ping handles an agent's Ping.
func (s *shard) ping(c *reactor.Conn, body []byte) {
	var m larspb.Echo
	if m.Parse(body) != nil {
		s.refuse(c)
		return
	}
	s.meet(c.Property().(*subscriber), 1)    // only a peer of level 1 sends it
	_ = c.Send(larspb.IDPong, m.Append(nil)) // as above
}

// unsubscribe handles an Unsubscribe: the service is no longer pushed on this
// connection, until the agent asks for it again.
func (s *shard) unsubscribe(c *reactor.Conn, body []byte) {
	var m larspb.Unsubscription
	if m.Parse(body) != nil {
		s.refuse(c)
		return
	}
	sub := c.Property().(*subscriber)
	s.meet(sub, 1)
	if i, ok := sub.at[m.Key]; ok {
		s.leave(m.Key, i)
		delete(sub.at, m.Key)
		delete(sub.late, m.Key)
	}
}

// refuse ends a connection that sent what is no message.
func (s *shard) refuse(c *reactor.Conn) {
	s.count.badMessages.add(1)
	c.Close()
}
