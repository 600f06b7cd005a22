package main

import (
	"context"
	"net/netip"
	"sync"

	"google.golang.org/protobuf/proto"

	"lars.internal/larspb"
	"lars.internal/reactor"
)

// backend is what an agent talks to: a dns service that knows every service,
// and a report service that forgets.
type backend struct {
	dns, reporter *reactor.Server
	cancel        context.CancelFunc
	servers       sync.WaitGroup // stop ends them and waits
}

func startBackend(hosts int) (*backend, error) {
	ctx, cancel := context.WithCancel(context.Background())
	b := &backend{cancel: cancel}
	routes := reactor.NewRouter[*reactor.Conn]()
	routes.Handle(larspb.IDGetRouteRequest, func(c *reactor.Conn, body []byte) { answerRoute(c, body, hosts) })
	reports := reactor.NewRouter[*reactor.Conn]()
	reports.Handle(larspb.IDReportStatusRequest, func(*reactor.Conn, []byte) {})
	var err error
	if b.dns, err = b.serve(ctx, routes); err == nil {
		b.reporter, err = b.serve(ctx, reports)
	}
	if err != nil {
		b.stop()
		return nil, err
	}
	return b, nil
}

func (b *backend) serve(ctx context.Context, router *reactor.Router[*reactor.Conn]) (*reactor.Server, error) {
	s, err := reactor.NewServer(reactor.ServerConfig{Addr: netip.MustParseAddrPort("127.0.0.1:0"), Router: router, Loops: 1})
	if err != nil {
		return nil, err
	}
	if err := s.Listen(); err != nil {
		return nil, err
	}
	b.servers.Go(func() { s.Serve(ctx) })
	return s, nil
}

func (b *backend) stop() {
	b.cancel()
	b.servers.Wait()
}

// answerRoute gives every service the same hosts: addresses of this machine, since
// policy adaptive connects to them.
func answerRoute(c *reactor.Conn, body []byte, hosts int) {
	var q larspb.RouteQuery
	if q.Parse(body) != nil {
		return
	}
	m := &larspb.GetRouteResponse{Modid: q.Modid, Cmdid: q.Cmdid}
	for i := range hosts {
		m.Host = append(m.Host, &larspb.HostInfo{Ip: 127<<24 + 1 + int32(i), Port: 7777})
	}
	if b, err := proto.Marshal(m); err == nil {
		c.Reply(larspb.IDGetRouteResponse, b)
	}
}
