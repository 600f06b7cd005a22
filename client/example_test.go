package client_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"lars.internal/call"
	"lars.internal/client"
	"lars.internal/larspb"
	"lars.internal/lb"
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

func ExampleClient_DoRetry() {
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
	read := client.Retry{Idempotent: true}
	err = c.DoRetry(ctx, 1, 5, read, func(ctx context.Context, addr netip.AddrPort) error {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second) // leaves time for a second try
		defer cancel()
		return fetch(ctx, addr)
	})
	fmt.Println(err)
	fmt.Println(c.Stats().Retries, "second try")
	// Output:
	// calling 192.168.1.113:7777
	// calling 192.168.1.114:7777
	// <nil>
	// 1 second try
}

// fetch stands for a call; one host refuses the connection.
func fetch(_ context.Context, addr netip.AddrPort) error {
	fmt.Println("calling", addr)
	if addr.Addr() == netip.MustParseAddr("192.168.1.113") {
		return syscall.ECONNREFUSED
	}
	return nil
}

func ExampleClient_Pick() {
	agent, stop := startAgent()
	defer stop()

	c, err := client.New(config(agent))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()

	ctx := context.Background()
	p, err := c.Pick(ctx, 1, 5)
	if err != nil {
		fmt.Println(err)
		return
	}
	start := time.Now()
	callErr := fetch(ctx, p.Addr)
	fmt.Println(c.ReportResult(1, 5, p.Addr, client.Result{
		Err:     callErr,
		Latency: time.Since(start),
		Ticket:  p.Ticket,
	}))
	// Output:
	// calling 192.168.1.113:7777
	// <nil>
}

// An answer that asks for less load is told as such, not as an error.
func ExampleClient_Do_overloaded() {
	agent, stop := startAgent()
	defer stop()
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer backend.Close()

	c, err := client.New(config(agent))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()

	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	err = c.Do(ctx, 1, 2, func(ctx context.Context, addr netip.AddrPort) error {
		resp, err := get(ctx, backend.URL) // a program calls addr
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		switch {
		case resp.StatusCode == http.StatusTooManyRequests, resp.StatusCode == http.StatusServiceUnavailable:
			return call.WithKind(fmt.Errorf("answered %s", resp.Status), lb.KindOverloaded)
		case resp.StatusCode >= 500:
			return fmt.Errorf("answered %s", resp.Status)
		}
		return nil
	})
	fmt.Println(err, "-", call.Classify(err))
	// Output:
	// answered 503 Service Unavailable - overloaded
}

func get(ctx context.Context, url string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	return http.DefaultClient.Do(req)
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

// startAgent runs a stand-in for lars-agent on the first of its ports. It knows
// the hosts of two services: one host of 1/2, and of 1/5 a second one for whoever
// avoids the first. These and 9/9 all go to that port.
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
		if q.HasAvoid {
			m.Host.Ip++
		}
		if q.Level > 0 {
			m.Ticket = 300
		}
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
