package main

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"time"

	"lars.internal/bench/measure"
)

// buildFloor compiles the floor.
func buildFloor(dir string) error {
	return measure.Command(".", "cc", "-O2", "-pthread", "-o", dir+"/floor", "bench/agent/cxx/floor.c")
}

// buildQPS compiles the C++ client.
func buildQPS(dir string) error {
	if err := measure.Command(".", "protoc", "--cpp_out="+dir, "-Ilarspb", "lars.proto"); err != nil {
		return fmt.Errorf("%w (Debian: protobuf-compiler, libprotobuf-dev)", err)
	}
	return measure.Command(".", "c++", "-std=c++17", "-O2", "-pthread", "-I"+dir, "-o", dir+"/qps",
		"bench/agent/cxx/qps.cc", dir+"/lars.pb.cc", "-lprotobuf")
}

// cxxLoad drives an agent with programs in C++, in a process of their own.
type cxxLoad struct {
	loadCase
	path  string
	first netip.AddrPort
}

func (l cxxLoad) run(d time.Duration) (result, error) {
	var r result
	cmd := exec.Command(l.path, l.first.Addr().String(), fmt.Sprint(l.first.Port()),
		fmt.Sprint(l.Clients), fmt.Sprint(d.Seconds()))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return r, fmt.Errorf("qps: %w", err)
	}
	var micros int64
	if _, err := fmt.Sscan(strings.TrimSpace(string(out)), &r.pairs, &r.lost, &micros, &r.p50, &r.p99, &r.p999); err != nil {
		return r, fmt.Errorf("qps printed %q: %w", out, err)
	}
	r.cpu = time.Duration(micros) * time.Microsecond
	return r, nil
}
