package classic

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lars.internal/lb"
	"lars.internal/route"
)

var rewrite = flag.Bool("rewrite", false, "write what the scripts in testdata print into them")

// TestScripts runs testdata/*.txt. A line that is indented is what the command
// above it prints. Times are seconds, hosts are single letters:
//
//	config KEY=VALUE...    a new balancer; keys that are absent have the default
//	hosts A B C            Update
//	at 15.5                the time from here on
//	pick [N]               the hosts picked, '-' for lb.Overloaded, '0' for lb.NoHosts
//	ok A [N], fail A [N]   Report, N times; prints changes with the report's number
//	collect                succ/err, then total succ/err, '!' if overloaded
//	explain                the queues with the counts of each host
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) { runScript(t, file) })
	}
}

func runScript(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s := script{t: t, balancer: newSubject(DefaultConfig())}
	var out strings.Builder
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "  ") {
			continue
		}
		out.WriteString(line)
		if fields := strings.Fields(line); len(fields) > 0 && fields[0] != "#" {
			for _, printed := range s.run(fields[0], fields[1:]) {
				fmt.Fprintf(&out, "  %s\n", printed)
			}
			checkInvariants(t, s.balancer)
		}
	}
	if *rewrite {
		if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(text), out.String()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

type script struct {
	t        *testing.T
	balancer *subject
	now      time.Duration
}

func (s *script) run(command string, args []string) []string {
	switch command {
	case "config":
		s.balancer = newSubject(s.config(args))
		s.now = 0
	case "hosts":
		hosts := make([]route.Host, 0, len(args))
		for _, a := range args {
			hosts = append(hosts, letterHost(a))
		}
		s.balancer.Update(hosts, s.now)
	case "at":
		s.now = time.Duration(s.number(args[0]) * float64(time.Second))
	case "pick":
		return []string{s.pick(s.times(args))}
	case "ok", "fail":
		return s.report(letterHost(args[0]), command == "ok", s.times(args[1:]))
	case "collect":
		return s.collect()
	case "explain":
		return s.explain()
	default:
		s.t.Fatalf("unknown command %q", command)
	}
	return nil
}

func (s *script) config(args []string) Config {
	cfg := DefaultConfig()
	for _, a := range args {
		key, value, _ := strings.Cut(a, "=")
		v := s.number(value)
		switch key {
		case "probe_num":
			cfg.ProbeNum = int(v)
		case "init_succ_cnt":
			cfg.InitSuccCnt = int(v)
		case "init_err_cnt":
			cfg.InitErrCnt = int(v)
		case "err_rate":
			cfg.ErrRate = v
		case "contin_err_limit":
			cfg.ContinErrLimit = int(v)
		default:
			s.t.Fatalf("unknown key %q", key)
		}
	}
	return cfg
}

func (s *script) number(text string) float64 {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		s.t.Fatal(err)
	}
	return v
}

func (s *script) times(args []string) int {
	if len(args) == 0 {
		return 1
	}
	return int(s.number(args[0]))
}

func (s *script) pick(times int) string {
	var picked []string
	for range times {
		switch h, verdict := s.balancer.Pick(s.now); verdict {
		case lb.Picked:
			picked = append(picked, letter(h))
		case lb.Overloaded:
			picked = append(picked, "-")
		case lb.NoHosts:
			picked = append(picked, "0")
		}
	}
	return strings.Join(picked, " ")
}

func (s *script) report(h route.Host, ok bool, times int) []string {
	var printed []string
	for i := range times {
		if change := s.balancer.Report(h, ok, s.now); change != None {
			printed = append(printed, fmt.Sprintf("%d: %v", i+1, change))
		}
	}
	return printed
}

func (s *script) collect() []string {
	var printed []string
	for _, r := range s.balancer.Collect(nil) {
		mark := ""
		if r.Overload {
			mark = " !"
		}
		printed = append(printed, fmt.Sprintf("%s %d/%d total %d/%d%s",
			letter(r.Host), r.Succ, r.Err, r.TotalSucc, r.TotalErr, mark))
	}
	slices.Sort(printed)
	return printed
}

func (s *script) explain() []string {
	var printed []string
	for _, h := range s.balancer.Explain(nil) {
		state := "idle"
		if h.Overload {
			state = "overload"
		}
		printed = append(printed, fmt.Sprintf("%s %s since %v window %v virtual %d/%d real %d/%d row %d/%d out %d in %d",
			letter(h.Host), state, h.Since, h.Window, h.VirtualSucc, h.VirtualErr, h.Succ, h.Err,
			h.ContinSucc, h.ContinErr, h.Ejected, h.Reinstated))
	}
	return printed
}

func letterHost(s string) route.Host { return host(int(s[0] - 'A')) }

func letter(h route.Host) string { return string(rune('A' + h.IP - 0x0a000001)) }
