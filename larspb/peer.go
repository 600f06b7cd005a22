package larspb

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"

	"lars.internal/route"
)

// Greeting returns the body of the Hello of a program of this build. What is no
// UTF-8 in a text becomes a question mark. instance is a random number of this
// start of the program.
func Greeting(role, build, machine string, instance uint64) []byte {
	body, _ := proto.Marshal(&Hello{ // of valid text, so it does not fail
		Level: Level, Role: role, Build: strings.ToValidUTF8(build, "?"), Name: strings.ToValidUTF8(machine, "?"),
		Instance: fmt.Sprintf("%016x", instance),
	})
	return body
}

// Echo is a Ping or a Pong, which look the same.
type Echo struct {
	Number uint64
}

// Parse reads a Ping or a Pong. Anything that is no message is ErrMessage.
func (e *Echo) Parse(b []byte) error {
	f := fields{rest: b}
	for f.next() {
		if f.num == 1 {
			e.Number = f.value
		}
	}
	return f.err
}

// Append writes e as a Ping or a Pong.
func (e Echo) Append(b []byte) []byte { return appendField(b, 1, e.Number) }

// Ack is a ReportAck.
type Ack struct {
	Run, Number uint64 // those of the StatusReport
}

// Parse reads a ReportAck. Anything that is no message is ErrMessage.
func (a *Ack) Parse(b []byte) error {
	f := fields{rest: b}
	for f.next() {
		switch f.num {
		case 1:
			a.Run = f.value
		case 2:
			a.Number = f.value
		}
	}
	return f.err
}

// Append writes a as a ReportAck.
func (a Ack) Append(b []byte) []byte { return appendField(appendField(b, 1, a.Run), 2, a.Number) }

// Unsubscription is an Unsubscribe.
type Unsubscription struct {
	Key route.Key
}

// Parse reads an Unsubscribe. Anything that is no message is ErrMessage.
func (u *Unsubscription) Parse(b []byte) error {
	f := fields{rest: b}
	for f.next() {
		switch f.num {
		case 1:
			u.Key.Modid = int32(f.value)
		case 2:
			u.Key.Cmdid = int32(f.value)
		}
	}
	return f.err
}

// Append writes u as an Unsubscribe, which is never empty; see AppendPull.
func (u Unsubscription) Append(b []byte) []byte {
	return RouteQuery{Modid: u.Key.Modid, Cmdid: u.Key.Cmdid}.AppendPull(b)
}
