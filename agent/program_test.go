package agent

import (
	"errors"
	"net"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"lars.internal/larspb"
	"lars.internal/route"
)

// program is a program of the machine, on one port of the agent.
type program struct {
	t    testing.TB
	conn *net.UDPConn
	seq  uint32
	buf  []byte
}

// program connects to port 0, 1 or 2 of the agent.
func (s *system) program(port int) *program { return newProgram(s.t, s.Agent, port) }

func newProgram(t testing.TB, a *Agent, port int) *program {
	t.Helper()
	conn, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(a.Addrs()[port]))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &program{t: t, conn: conn, buf: make([]byte, 1<<16)}
}

// ask sends a frame and returns the body of the answer.
func (p *program) ask(id, answerID int32, body []byte) []byte {
	p.t.Helper()
	p.tell(id, body)
	answer, err := p.receive(answerID)
	if err != nil {
		p.t.Fatalf("message %d: %v", id, err)
	}
	return answer
}

// tell sends a frame.
func (p *program) tell(id int32, body []byte) {
	p.t.Helper()
	frame := make([]byte, larspb.HeaderSize, larspb.HeaderSize+len(body))
	larspb.PutHeader(frame, id, len(body))
	p.write(append(frame, body...))
}

func (p *program) write(datagram []byte) {
	p.t.Helper()
	if _, err := p.conn.Write(datagram); err != nil {
		p.t.Fatal(err)
	}
}

func (p *program) receive(wantID int32) ([]byte, error) {
	p.conn.SetReadDeadline(time.Now().Add(testTimeout))
	n, err := p.conn.Read(p.buf)
	if err != nil {
		return nil, err
	}
	id, body, err := larspb.ParseFrame(p.buf[:n])
	if err != nil {
		return nil, err
	}
	if id != wantID {
		return nil, errors.New("the answer has another id")
	}
	return body, nil
}

// getHost asks for a host of a service.
func (p *program) getHost(key route.Key) (route.Host, larspb.RetCode) {
	p.t.Helper()
	p.seq++
	body := p.ask(larspb.IDGetHostRequest, larspb.IDGetHostResponse,
		larspb.HostQuery{Seq: p.seq, Modid: key.Modid, Cmdid: key.Cmdid}.Append(nil))
	var a larspb.HostAnswer
	if err := a.Parse(body); err != nil {
		p.t.Fatal(err)
	}
	if a.Seq != p.seq || a.Modid != key.Modid || a.Cmdid != key.Cmdid {
		p.t.Fatalf("answer %+v to seq %d, %v", a, p.seq, key)
	}
	if a.HasHost != (a.Retcode == 0) {
		p.t.Fatalf("answer %+v: a host comes with success alone", a)
	}
	return route.Host{IP: uint32(a.IP), Port: uint16(a.Port)}, larspb.RetCode(a.Retcode)
}

// report tells the result of a call.
func (p *program) report(key route.Key, h route.Host, ok bool) {
	p.t.Helper()
	r := larspb.CallReport{Modid: key.Modid, Cmdid: key.Cmdid, HasHost: true, IP: int32(h.IP), Port: int32(h.Port)}
	if !ok {
		r.Retcode = 1
	}
	p.tell(larspb.IDReportRequest, r.Append(nil))
}

// getRoute asks for all hosts of a service.
func (p *program) getRoute(key route.Key, seq uint32) *larspb.GetRouteResponse {
	p.t.Helper()
	body := p.ask(larspb.IDAPIGetRouteRequest, larspb.IDAPIGetRouteResponse,
		larspb.RouteQuery{Modid: key.Modid, Cmdid: key.Cmdid, Seq: seq}.Append(nil))
	m := new(larspb.GetRouteResponse)
	if err := proto.Unmarshal(body, m); err != nil {
		p.t.Fatal(err)
	}
	return m
}

// served waits until a service has hosts.
func (p *program) served(key route.Key) route.Host {
	p.t.Helper()
	var host route.Host
	eventually(p.t, key.String()+" is served", func() bool {
		h, code := p.getHost(key)
		host = h
		return code == larspb.RetCode_RET_SUCC
	})
	return host
}
