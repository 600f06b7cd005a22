package larspb

import (
	"testing"

	"google.golang.org/protobuf/proto"
)

// A host name or a build that is no UTF-8 makes a Hello all the same.
func TestGreeting(t *testing.T) {
	var got Hello
	if err := proto.Unmarshal(Greeting("dns", "v1\xff", "m\xfe", 15), &got); err != nil {
		t.Fatal(err)
	}
	want := &Hello{Level: Level, Role: "dns", Build: "v1?", Name: "m?", Instance: "000000000000000f"}
	if !proto.Equal(&got, want) {
		t.Errorf("got %v, want %v", &got, want)
	}
}
