package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"lars.internal/agent"
	"lars.internal/dns"
	"lars.internal/reporter"
)

func TestMain(m *testing.M) {
	if mode := os.Getenv(childMode); mode != "" {
		child(mode)
	}
	goleak.VerifyTestMain(m)
}

// diary notes what happens to the units of a test, in order.
type diary struct {
	mu    sync.Mutex // guards lines
	lines []string
}

func (d *diary) add(line string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, line)
}

// fake is a unit that serves until it is stopped, or ends by itself.
type fake struct {
	name    string
	diary   *diary
	listen  error
	ends    error // ends Serve at once
	serving chan struct{}
}

func newFake(name string, d *diary) *fake {
	return &fake{name: name, diary: d, serving: make(chan struct{})}
}

func (f *fake) Listen() error {
	f.diary.add("listen " + f.name)
	return f.listen
}

func (f *fake) Serve(ctx context.Context) error {
	close(f.serving)
	if f.ends != nil {
		return f.ends
	}
	<-ctx.Done()
	f.diary.add("end " + f.name)
	return nil
}

func TestInterrupted(t *testing.T) {
	running := t.Context()
	stopped, stop := context.WithCancel(running)
	stop()
	canceled, broken := fmt.Errorf("edit: %w", context.Canceled), errors.New("broken")
	cases := []struct {
		name string
		ctx  context.Context
		err  error
		want string
	}{
		{"by a signal", stopped, canceled, "interrupted: edit: context canceled"},
		{"broken before the signal", stopped, broken, "broken"},
		{"canceled without a signal", running, canceled, "edit: context canceled"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := interrupted(c.ctx, c.err); got.Error() != c.want || !errors.Is(got, c.err) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	if got := interrupted(stopped, nil); got != nil {
		t.Errorf("got %v for no error", got)
	}
}

func TestRunStopsTheLastUnitFirst(t *testing.T) {
	d := &diary{}
	a, b, c := newFake("a", d), newFake("b", d), newFake("c", d)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for _, f := range []*fake{a, b, c} {
			<-f.serving
		}
		cancel()
	}()
	if err := Run(ctx, a, b, c); err != nil {
		t.Fatal(err)
	}
	want := []string{"listen a", "listen b", "listen c", "end c", "end b", "end a"}
	if !slices.Equal(d.lines, want) {
		t.Errorf("order is %q, want %q", d.lines, want)
	}
}

func TestRunEndsWhenAUnitFails(t *testing.T) {
	d := &diary{}
	a, b := newFake("a", d), newFake("b", d)
	b.ends = errors.New("broken")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := Run(ctx, a, b); !errors.Is(err, b.ends) {
		t.Errorf("error is %v, want %v", err, b.ends)
	}
	if ctx.Err() != nil {
		t.Error("the failed unit did not end the others")
	}
}

func TestRunServesNothingWhenAUnitCannotBind(t *testing.T) {
	d := &diary{}
	a, b := newFake("a", d), newFake("b", d)
	b.listen = errors.New("port in use")
	if err := Run(t.Context(), a, b); !errors.Is(err, b.listen) {
		t.Errorf("error is %v, want %v", err, b.listen)
	}
	if want := []string{"listen a", "listen b"}; !slices.Equal(d.lines, want) {
		t.Errorf("order is %q, want %q", d.lines, want)
	}
}

// The services are units on event loops.
var _ = []looper{(*agent.Agent)(nil), (*dns.Server)(nil), (*reporter.Server)(nil)}

// looped is a unit on event loops.
type looped struct {
	*fake
	loops int
}

func (l looped) Loops() int { return l.loops }

func TestRunReservesAProcessorForEachLoop(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	for _, test := range []struct {
		environment string
		loops, want int
	}{
		{"", 3, before + 5},
		{"", 256, before + maxReserve},
		{"1", 3, before},
	} {
		t.Setenv("GOMAXPROCS", test.environment)
		var d diary
		ctx, stop := context.WithCancel(t.Context())
		stop()
		err := Run(ctx, newFake("pages", &d), looped{newFake("dns", &d), 2}, looped{newFake("agent", &d), test.loops})
		if got := runtime.GOMAXPROCS(before); err != nil || got != test.want {
			t.Errorf("GOMAXPROCS=%q, %d loops: served with %d processors, %v; want %d", test.environment, 2+test.loops, got, err, test.want)
		}
	}
}
