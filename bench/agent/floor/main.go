// Floor answers GetHost and swallows Report without any work: a blocking
// receive, and a send of prepared bytes for each GetHost. It is what an agent
// costs at the least on the same kernel.
package main

import (
	"encoding/binary"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"lars/larspb"
)

// ports is the number of UDP ports of an agent.
const ports = 3

func main() {
	addr := flag.String("addr", "127.0.0.1:8888", "address of the first of three ports")
	flag.Parse()
	if err := serve(*addr); err != nil {
		fmt.Fprintln(os.Stderr, "floor:", err)
		os.Exit(1)
	}
}

func serve(addr string) error {
	first, err := netip.ParseAddrPort(addr)
	if err != nil {
		return err
	}
	failed := make(chan error)
	for i := range uint16(ports) {
		fd, err := bind(netip.AddrPortFrom(first.Addr(), first.Port()+i))
		if err != nil {
			return err
		}
		go func() { failed <- answer(fd) }() // ends with the process
	}
	return <-failed
}

func bind(addr netip.AddrPort) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 4<<20)
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}); err != nil {
		return -1, os.NewSyscallError("bind", err)
	}
	return fd, nil
}

// answer copies sequence number and service of each query into the answer, as
// bytes: they stand at the same place in both.
func answer(fd int) error {
	var name unix.RawSockaddrInet4
	in, out := make([]byte, 65535), make([]byte, 65535)
	host := larspb.HostAnswer{HasHost: true, IP: 0x0a000001, Port: 7777}.Append(nil)
	for {
		size := uint32(unix.SizeofSockaddrInet4)
		n, _, errno := unix.Syscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&in[0])), uintptr(len(in)), 0, uintptr(unsafe.Pointer(&name)), uintptr(unsafe.Pointer(&size)))
		if errno != 0 {
			return os.NewSyscallError("recvfrom", errno)
		}
		if n < larspb.HeaderSize || int32(binary.LittleEndian.Uint32(in)) != larspb.IDGetHostRequest {
			continue
		}
		body := append(append(out[:larspb.HeaderSize], in[larspb.HeaderSize:n]...), host...)
		larspb.PutHeader(out, larspb.IDGetHostResponse, len(body)-larspb.HeaderSize)
		unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&out[0])), uintptr(len(body)), 0, uintptr(unsafe.Pointer(&name)), uintptr(size))
	}
}
