package client_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"lars.internal/client"
	"lars.internal/larspb"
)

// config is for an agent that startAgent started. Its long timeout suits a
// busy test machine; a program takes the default.
func config(agent string) client.Config {
	return client.Config{Agent: agent, Timeout: 30 * time.Second}
}

func ExampleClient_GetHost() {
	agent, stop := startAgent()
	defer stop()

	c, err := client.New(config(agent))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()

	addr, err := c.GetHost(context.Background(), 1, 2)
	fmt.Println(addr, err)

	_, err = c.GetHost(context.Background(), 9, 9)
	fmt.Println(err)
	fmt.Println(errors.Is(err, client.ErrNoService))
	// Output:
	// 192.168.1.113:7777 <nil>
	// client: get host of 9/9: no such service, or its hosts are not known yet
	// true
}

func ExampleClient_Do() {
	agent, stop := startAgent()
	defer stop()

	c, err := client.New(config(agent))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()

	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	err = c.Do(ctx, 1, 2, func(ctx context.Context, addr netip.AddrPort) error {
		fmt.Println("calling", addr)
		return errors.New("the host is out of order") // reported as a failure
	})
	fmt.Println(err)
	// Output:
	// calling 192.168.1.113:7777
	// the host is out of order
}

func ExampleClient_Register() {
	agent, stop := startAgent()
	defer stop()

	c, err := client.New(config(agent))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()

	fmt.Println(c.Register(context.Background(), 1, 2))
	fmt.Println(c.Register(context.Background(), 9, 9))
	// Output:
	// <nil>
	// client: register 9/9 (try 3 of 3): no such service, or its hosts are not known yet; add hosts: lars route add 9/9 IP:PORT
}

func ExampleClient_Report() {
	agent, stop := startAgent()
	defer stop()

	c, err := client.New(config(agent))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()

	addr, err := c.GetHost(context.Background(), 1, 2)
	if err != nil {
		fmt.Println(err)
		return
	}
	callErr := errors.New("connection reset") // what the call to addr returned
	fmt.Println(c.Report(1, 2, addr, callErr))
	// Output:
	// <nil>
}

func ExampleClient_GetRoute() {
	agent, stop := startAgent()
	defer stop()

	c, err := client.New(config(agent))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()

	addrs, err := c.GetRoute(context.Background(), 1, 2)
	fmt.Println(addrs, err)
	// Output:
	// [192.168.1.113:7777] <nil>
}

// startAgent runs a stand-in for lars-agent that knows one host of the
// service 1/2, on the first of its ports: 1/2 and 9/9 both go there.
func startAgent() (addr string, stop func()) {
	var conn *net.UDPConn
	for conn == nil || conn.LocalAddr().(*net.UDPAddr).Port > 65533 {
		var err error
		if conn, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}); err != nil {
			panic(err)
		}
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		buf := make([]byte, 2048)
		for {
			size, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			if frame := answer(buf[:size]); frame != nil {
				conn.WriteToUDPAddrPort(frame, from)
			}
		}
	})
	return conn.LocalAddr().String(), func() {
		conn.Close()
		wg.Wait()
	}
}

// answer returns what the stand-in replies; nil to a report.
func answer(datagram []byte) []byte {
	host := &larspb.HostInfo{Ip: -1062731407, Port: 7777} // 192.168.1.113
	id, body, _ := larspb.ParseFrame(datagram)
	switch id {
	case larspb.IDGetHostRequest:
		var q larspb.HostQuery
		q.Parse(body)
		m := &larspb.GetHostResponse{Seq: q.Seq, Modid: q.Modid, Cmdid: q.Cmdid, Host: host}
		if q.Modid != 1 {
			m.Host, m.Retcode = nil, int32(larspb.RetCode_RET_NOEXIST)
		}
		frame, _ := larspb.AppendFrame(nil, larspb.IDGetHostResponse, m)
		return frame
	case larspb.IDAPIGetRouteRequest:
		var q larspb.RouteQuery
		q.Parse(body)
		m := &larspb.GetRouteResponse{Seq: q.Seq, Modid: q.Modid, Cmdid: q.Cmdid}
		if q.Modid == 1 {
			m.Host = append(m.Host, host)
		}
		frame, _ := larspb.AppendFrame(nil, larspb.IDAPIGetRouteResponse, m)
		return frame
	}
	return nil
}
