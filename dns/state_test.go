package dns

import (
	"errors"
	"testing"
	"time"
)

// Only the load counted, so that routes that were confirmed for days seemed as old
// as that.
func TestFinding21AGoodLookConfirms(t *testing.T) {
	s := state{routes: new(routes)}
	s.took()
	loaded := s.knownAt()
	deadline := time.Now().Add(20 * time.Second)
	for !s.knownAt().After(loaded) { // the clock may be coarse
		if time.Now().After(deadline) {
			t.Fatal("the routes are as old as their load after good looks")
		}
		s.looked(nil)
	}
	confirmed := s.knownAt()
	s.looked(errors.New("the store is away"))
	s.hold(new(heldBack))
	s.looked(nil)
	if got := s.knownAt(); got != confirmed {
		t.Errorf("known to be right at %v, want %v: neither a look that failed nor one beside a held load confirms", got, confirmed)
	}
}
