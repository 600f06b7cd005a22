package netns

import (
	"net"
	"testing"
	"time"
)

func TestCutAndHeal(t *testing.T) {
	n := New(t)
	a, b := n.Host("a"), n.Host("b")
	var server net.PacketConn
	if err := a.Do(func() (err error) { server, err = net.ListenPacket("udp", a.Addr().String()+":7"); return err }); err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	var client net.Conn
	if err := b.Do(func() (err error) { client, err = net.Dial("udp", a.Addr().String()+":7"); return err }); err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	arrives := func(wait time.Duration) bool {
		if _, err := client.Write([]byte("hello")); err != nil {
			t.Fatalf("the sender was told: %v", err)
		}
		server.SetReadDeadline(time.Now().Add(wait))
		_, from, err := server.ReadFrom(make([]byte, 10))
		if err == nil && from.String() != client.LocalAddr().String() {
			t.Errorf("from %v, want %v", from, client.LocalAddr())
		}
		return err == nil
	}
	const soon, never = 10 * time.Second, 100 * time.Millisecond
	if !arrives(soon) {
		t.Fatal("nothing arrives")
	}
	for _, h := range []*Host{a, b} {
		h.Cut()
		if arrives(never) {
			t.Errorf("%s is cut, and yet something arrives", h.name)
		}
		h.Heal()
		if !arrives(soon) {
			t.Errorf("%s is healed, and yet nothing arrives", h.name)
		}
	}
	if out, err := b.Command("ip", "-o", "addr", "show", "dev", "eth0").CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
