package reactor

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// dialFrom connects from an address of the loopback network, as a machine of
// its own.
func dialFrom(t testing.TB, from string, addr netip.AddrPort) *peer {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	nc, err := d.Dial("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return newPeer(t, nc)
}

// logins answers message 1 like echoes and takes message 9 as a login, which is
// answered with message 10.
func logins() *Router[*Conn] {
	r := echoes()
	r.Handle(9, func(c *Conn, _ []byte) { c.Proven(); c.Reply(10, nil) })
	return r
}

// Peers that proved nothing held the places of the server until their deadline:
// 100 to 200 connections a second kept everybody out. They have a pool of their
// own, and those that prove themselves get in through any number of others.
func TestFinding12UnprovenPeersTakeNoPlaces(t *testing.T) {
	const places, pool = 4, 8
	var pushedOut atomic.Int64
	s := serve(t, ServerConfig{
		Router: logins(), Loops: 2, MaxConns: places, MaxUnproven: pool, AwaitProof: true,
		OnRefuse: func(_ netip.AddrPort, reason error) {
			if reason == ErrUnproven {
				pushedOut.Add(1)
			}
		},
	})
	for i := range places {
		for range 3 * pool {
			dialFrom(t, "127.0.0.2", s.Addr()).send(1, "no login")
		}
		p := dialPeer(t, s.Addr())
		p.send(9, "")
		p.want(10, "")
		p.send(1, numbered(i))
		p.want(2, numbered(i))
	}
	if n := s.Unproven(); n > pool {
		t.Errorf("%d unproven connections, want %d at most", n, pool)
	}
	if pushedOut.Load() == 0 {
		t.Error("OnRefuse was not told of connections that were pushed out")
	}
}

// 1,100 connections that said nothing shut everybody else out. Without a login
// the first message is what takes a connection out of the pool.
func TestFinding47SilentConnectionsKeepNobodyOut(t *testing.T) {
	const places, pool = 4, 8
	s := serve(t, ServerConfig{MaxConns: places, MaxUnproven: pool})
	for i := range places {
		for range 3 * pool {
			dialFrom(t, "127.0.0.2", s.Addr())
		}
		p := dialPeer(t, s.Addr())
		p.send(1, numbered(i))
		p.want(2, numbered(i))
	}
	eventually(t, "the talkers have left the pool", func() bool { return s.Unproven() <= pool && s.Conns()-s.Unproven() == places })
}

// One address could take all places.
func TestFinding47AddressesHaveALimit(t *testing.T) {
	cases := map[string]ServerConfig{
		"all":      {MaxPerAddr: 3},
		"unproven": {MaxUnproven: 100, MaxUnprovenPerAddr: 3},
	}
	for name, cfg := range cases {
		t.Run(name, func(t *testing.T) {
			refused := make(chan error, 10)
			var opened atomic.Int64
			cfg.OnStart = func(*Conn) { opened.Add(1) }
			cfg.OnRefuse = func(_ netip.AddrPort, reason error) { refused <- reason }
			s := serve(t, cfg)
			var greedy []*peer
			for range 3 {
				greedy = append(greedy, dialFrom(t, "127.0.0.2", s.Addr()))
			}
			eventually(t, "three are connected", func() bool { return opened.Load() == 3 })
			dialFrom(t, "127.0.0.2", s.Addr())
			if reason := await(t, refused, "refusal"); reason != ErrMaxPerAddr {
				t.Errorf("refused with %v, want %v", reason, ErrMaxPerAddr)
			}
			other := dialFrom(t, "127.0.0.3", s.Addr())
			other.send(1, "another address")
			other.want(2, "another address")

			greedy[0].Close()
			eventually(t, "one has ended", func() bool { return s.Conns() == 3 })
			again := dialFrom(t, "127.0.0.2", s.Addr())
			again.send(1, "room again")
			again.want(2, "room again")
		})
	}
}

// Nothing ended a connection that had sent half a frame, or nothing at all.
func TestFinding47HalfFramesAndSilenceHaveADeadline(t *testing.T) {
	const deadline = 60 * time.Millisecond
	half := frame(1, "half")[:HeaderSize+2]
	cases := map[string]struct {
		cfg    ServerConfig
		write  []byte
		reason error
	}{
		"half a body":   {ServerConfig{Conn: ConnConfig{FrameTimeout: deadline}}, half, ErrSlowFrame},
		"half a header": {ServerConfig{Conn: ConnConfig{FrameTimeout: deadline}}, half[:3], ErrSlowFrame},
		"a frame and half of one": {
			ServerConfig{Conn: ConnConfig{FrameTimeout: deadline}}, append(frame(1, "whole"), half...), ErrSlowFrame,
		},
		"nothing":        {ServerConfig{MaxUnproven: 5, UnprovenTimeout: deadline}, nil, ErrUnproven},
		"no login":       {ServerConfig{MaxUnproven: 5, UnprovenTimeout: deadline, AwaitProof: true}, frame(1, ""), ErrUnproven},
		"unknown letter": {ServerConfig{MaxUnproven: 5, UnprovenTimeout: deadline}, frame(77, ""), ErrUnproven},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onClose, closed := closes(2)
			c.cfg.OnClose, c.cfg.Router = onClose, logins()
			s := serve(t, c.cfg)
			good := dialPeer(t, s.Addr())
			good.send(9, "")
			good.want(10, "")
			bad := dialPeer(t, s.Addr())
			bad.write(c.write)
			reason := await(t, closed, "close hook")
			bad.Close()
			if reason != c.reason {
				t.Errorf("closed for %v, want %v", reason, c.reason)
			}
			good.send(1, "not me")
			good.want(2, "not me")
		})
	}
}

// A frame that arrives byte by byte keeps nobody from its deadline, and one that
// waits for its turn on this side has none.
func TestFrameDeadlineIsThePeersAlone(t *testing.T) {
	const limit = time.Hour
	half := frame(1, "hello")[:HeaderSize+2]
	cases := []struct {
		name  string
		write []byte
		ago   time.Duration
		pause bool
		open  bool
	}{
		{"half a frame for too long", half, limit + time.Second, false, false},
		{"half a frame for less", half, limit - time.Minute, false, true},
		{"half a frame of a paused peer", half, limit + time.Second, true, true},
		{"a whole frame of a paused peer", frame(1, "hello"), limit + time.Second, true, true},
		{"nothing held", nil, limit + time.Second, false, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			k := newCrank(t, unix.SOCK_STREAM, &endpoint{router: echoes(), cfg: ConnConfig{FrameTimeout: limit}})
			defer k.close()
			for _, b := range c.write { // byte by byte
				k.write([]byte{b})
			}
			if c.pause {
				k.conn.PauseReading()
				k.write(c.write)
			}
			k.conn.frameSince = k.loop.clock() - c.ago
			k.conn.checkInput()
			if open := k.conn.state == stateOpen; open != c.open {
				t.Errorf("open: %v, want %v", open, c.open)
			}
		})
	}
}

// A connection that proves itself when all places are taken is closed, and the
// number of proven connections is exact, whatever the loops do at the same
// time.
func TestProofWithoutAPlace(t *testing.T) {
	const places, peers = 10, 60
	var refused, wrong atomic.Int64
	s := serve(t, ServerConfig{
		Router: logins(), Loops: 3, MaxConns: places, MaxUnproven: peers, AwaitProof: true,
		OnRefuse: func(_ netip.AddrPort, reason error) {
			refused.Add(1)
			if reason != ErrMaxConns {
				wrong.Add(1)
			}
		},
	})
	var all []*peer
	for range peers {
		all = append(all, dialPeer(t, s.Addr()))
	}
	eventually(t, "all are in the pool", func() bool { return s.Unproven() == peers })
	for _, p := range all {
		p.send(9, "")
	}
	eventually(t, "the rest is refused", func() bool { return refused.Load() == peers-places })
	if wrong.Load() != 0 {
		t.Errorf("%d were refused for another reason than %v", wrong.Load(), ErrMaxConns)
	}
	in := 0
	for _, p := range all {
		if id, _, err := p.next(); err == nil && id == 10 {
			in++
			continue
		}
		p.Close()
	}
	if in != places {
		t.Errorf("%d got in, want %d", in, places)
	}
	eventually(t, "the places are counted", func() bool { return s.Conns() == places && s.Unproven() == 0 })
}

// The counts and the order of the pool, compared with a model that keeps lists.
func TestAdmissionIsEqualToAModel(t *testing.T) {
	for seed := range uint64(50) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			cfg := ServerConfig{MaxConns: 5, MaxPerAddr: 3, MaxUnproven: random.IntN(5), MaxUnprovenPerAddr: 2}
			a := newAdmission(&cfg)
			var pool, places []*Conn // the model
			of := func(list []*Conn, addr netip.Addr) (n int) {
				for _, c := range list {
					if c.remote.Addr() == addr {
						n++
					}
				}
				return n
			}
			for range 400 {
				switch random.IntN(3) {
				case 0:
					addr := netip.AddrFrom4([4]byte{127, 0, 0, byte(random.IntN(4))})
					refused := len(places) >= 5 || of(pool, addr)+of(places, addr) >= 3 || of(pool, addr) >= 2
					if got := a.mayEnter(addr); (got != nil) != refused {
						t.Fatalf("mayEnter: %v, want a refusal: %v", got, refused)
					}
					if refused {
						continue
					}
					c := &Conn{remote: netip.AddrPortFrom(addr, 1)}
					var pushed *Conn
					if cfg.MaxUnproven == 0 {
						places = append(places, c)
					} else {
						if len(pool) == cfg.MaxUnproven {
							pushed, pool = pool[0], pool[1:]
						}
						pool = append(pool, c)
					}
					if got := a.enter(c); got != pushed {
						t.Fatalf("pushed out %p, want %p", got, pushed)
					}
				case 1:
					if len(pool) == 0 {
						continue
					}
					i := random.IntN(len(pool))
					err := a.prove(pool[i])
					if full := len(places) >= 5; full != errors.Is(err, ErrMaxConns) {
						t.Fatalf("prove: %v, full: %v", err, full)
					}
					if err == nil {
						places = append(places, pool[i])
						pool = slices.Delete(pool, i, i+1)
					}
				case 2:
					list := &pool
					if random.IntN(2) == 0 {
						list = &places
					}
					if len(*list) > 0 {
						i := random.IntN(len(*list))
						a.leave((*list)[i])
						a.leave((*list)[i]) // of no effect
						*list = slices.Delete(*list, i, i+1)
					}
				}
				if a.proven != len(places) || a.unproven != len(pool) {
					t.Fatalf("%d proven, %d unproven; want %d and %d", a.proven, a.unproven, len(places), len(pool))
				}
			}
			for _, c := range append(pool, places...) {
				a.leave(c)
			}
			if len(a.perAddr) != 0 || a.oldest != nil || a.newest != nil {
				t.Errorf("left when all have ended: %v, %p, %p", a.perAddr, a.oldest, a.newest)
			}
		})
	}
}

func TestNetworkOfAnAddress(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.7": "192.0.2.7", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::", "::1": "::", "fe80::1%eth0": "fe80::",
	} {
		if got := network(netip.MustParseAddr(in)); got.WithZone("") != netip.MustParseAddr(want) {
			t.Errorf("network of %s: %v, want %s", in, got, want)
		}
	}
}
