package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"time"
)

// agentHost is what the agent says of one host.
type agentHost struct {
	Host       netip.AddrPort `json:"host"`
	State      string         `json:"state"`
	Ejected    int            `json:"ejected"` // times
	Reinstated int            `json:"reinstated"`
}

// watch looks into the agent while calls run and keeps a line of progress.
type watch struct {
	pages    string
	backends []*backend
	load     *load
	out      io.Writer
	live     bool // out is a terminal: the line is written over

	// Owned by the goroutine of run until it returns.
	hosts map[netip.AddrPort]agentHost // as last seen, also of hosts that are gone
	shown time.Time
}

func newWatch(s *system, f *farm, l *load, out *os.File) *watch {
	info, err := out.Stat()
	return &watch{
		pages: s.pages, backends: f.backends, load: l, out: out,
		live:  err == nil && info.Mode()&os.ModeCharDevice != 0,
		hosts: map[netip.AddrPort]agentHost{}, shown: time.Now(),
	}
}

// run looks four times a second until the load has finished or ctx is done.
func (w *watch) run(ctx context.Context) {
	for ctx.Err() == nil {
		finished := w.load.finished()
		w.look(ctx)
		w.print(finished)
		if finished {
			break
		}
		pause(ctx, 250*time.Millisecond)
	}
	if w.live {
		fmt.Fprintln(w.out)
	}
}

// look asks the agent. A look that fails is left out: the next one comes soon, and
// the verdict fails if there was none.
func (w *watch) look(ctx context.Context) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+w.pages+"/agent/hosts?service="+service, nil)
	if err != nil {
		return
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return
	}
	defer resp.Body.Close()
	var page struct {
		List []agentHost `json:"list"`
	}
	if resp.StatusCode != http.StatusOK || json.NewDecoder(resp.Body).Decode(&page) != nil {
		return
	}
	for _, h := range page.List {
		w.hosts[h.Host] = h
	}
}

// print writes the line of progress, into a file only once in five seconds.
func (w *watch) print(last bool) {
	if !w.live && !last && time.Since(w.shown) < 5*time.Second {
		return
	}
	w.shown = time.Now()
	t, _, p99 := w.load.totals()
	line := fmt.Sprintf("%s of %s calls  failed %s  GetHost p99 %s  ejected: %s",
		thousands(t.succ+t.err), thousands(w.load.calls), thousands(t.err), millis(p99), w.ejected())
	if w.live {
		fmt.Fprintf(w.out, "\r%s\x1b[K", line)
		return
	}
	fmt.Fprintln(w.out, line)
}

func (w *watch) ejected() string {
	var names []string
	for _, b := range w.backends {
		if w.hosts[b.addr].State == "overload" {
			names = append(names, b.what)
		}
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
