package lb

import (
	"reflect"
	"testing"
)

// Each counter is summed: a new one that is left out of all is noticed.
func TestCountersPlusMinus(t *testing.T) {
	var a, b Counters
	for i := range reflect.TypeFor[Counters]().NumField() {
		reflect.ValueOf(&a).Elem().Field(i).SetUint(uint64(i + 1))
		reflect.ValueOf(&b).Elem().Field(i).SetUint(uint64(100 * (i + 1)))
	}
	sum := a.Plus(b)
	for i := range reflect.TypeFor[Counters]().NumField() {
		if got := reflect.ValueOf(sum).Field(i).Uint(); got != uint64(101*(i+1)) {
			t.Errorf("%s: %d", reflect.TypeFor[Counters]().Field(i).Name, got)
		}
	}
	if got := (Counters{}).Minus(b).Plus(sum); got != a {
		t.Errorf("0 - b + (a + b) = %+v, want %+v", got, a)
	}
}
