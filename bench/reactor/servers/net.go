package main

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
)

const headerSize = 8

// netTCP serves each connection by a goroutine, as programs on package net do:
// buffered reads, and a flush when no whole frame is left in the buffer.
func netTCP(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go echoFrames(c)
	}
}

func echoFrames(c net.Conn) {
	defer c.Close()
	r, w := bufio.NewReaderSize(c, 64<<10), bufio.NewWriterSize(c, 64<<10)
	frame := make([]byte, headerSize+65535)
	for {
		if _, err := io.ReadFull(r, frame[:headerSize]); err != nil {
			return
		}
		end := headerSize + int(binary.LittleEndian.Uint32(frame[4:]))
		if end > len(frame) {
			return
		}
		if _, err := io.ReadFull(r, frame[headerSize:end]); err != nil {
			return
		}
		if _, err := w.Write(frame[:end]); err != nil {
			return
		}
		if r.Buffered() < headerSize && w.Flush() != nil {
			return
		}
	}
}

func netUDP(addr netip.AddrPort) error {
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(addr))
	if err != nil {
		return err
	}
	if err := c.SetReadBuffer(4 << 20); err != nil {
		return err
	}
	b := make([]byte, 65535)
	for {
		n, from, err := c.ReadFromUDPAddrPort(b)
		if err != nil {
			return err
		}
		if n >= headerSize {
			c.WriteToUDPAddrPort(b[:n], from)
		}
	}
}
