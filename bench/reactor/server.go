package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"time"

	"lars.internal/bench/measure"
)

// variant is a server to compare.
type variant struct {
	Name string
	Args []string // program and arguments, without the address
}

// server is a variant that runs.
type server struct {
	*measure.Process
	addr netip.AddrPort
}

// startServer starts a variant on a free port of loopback and waits until it
// answers.
func startServer(v variant, proto string) (*server, error) {
	addr, err := measure.FreePort()
	if err != nil {
		return nil, err
	}
	args := append(v.Args[1:len(v.Args):len(v.Args)], "-addr", addr.String())
	if !strings.HasPrefix(v.Name, "netpoll") { // it serves TCP alone
		args = append(args, "-proto", proto)
	}
	p, err := measure.Start(nil, v.Args[0], args...)
	if err != nil {
		return nil, err
	}
	s := &server{p, addr}
	if err := measure.Await(context.Background(), "wait for an answer", func() error { return s.ask(proto) }); err != nil {
		s.Stop()
		return nil, fmt.Errorf("%s: %w", v.Name, err)
	}
	return s, nil
}

// ask sends one empty message and waits for its echo.
func (s *server) ask(proto string) error {
	c, err := net.Dial(proto, s.addr.String())
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	frame := []byte{1, 0, 0, 0, 0, 0, 0, 0}
	if _, err := c.Write(frame); err != nil {
		return err
	}
	_, err = io.ReadFull(c, frame)
	return err
}
