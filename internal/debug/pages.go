package debug

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
)

// JSON mounts a page at path (a pattern of http.ServeMux without a method) that
// shows the result of f. An error is shown as {"error": text} with code 500, or
// the code that Status gave it. Mount before Serve.
func (s *Server) JSON(path string, f func(r *http.Request) (any, error)) {
	s.Handle(path, JSON(f))
}

// Handle mounts h at path, a pattern of http.ServeMux without a method. Mount
// before Serve.
func (s *Server) Handle(path string, h http.Handler) { s.mount(path, h.ServeHTTP) }

// JSON returns a page that shows what f returns, as Server.JSON does.
func JSON(f func(r *http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, err := f(r)
		if err != nil {
			writeJSON(w, codeOf(err), map[string]string{"error": err.Error()})
			return
		}
		writeJSON(w, http.StatusOK, v)
	})
}

// Status returns err with the HTTP code that a page of JSON shall answer it
// with: 404 for what does not exist, 400 for a question that makes no sense.
func Status(code int, err error) error { return &statusError{code, err} }

type statusError struct {
	code int
	err  error
}

func (e *statusError) Error() string { return e.err.Error() }
func (e *statusError) Unwrap() error { return e.err }

func codeOf(err error) int {
	var status *statusError
	if errors.As(err, &status) {
		return status.code
	}
	return http.StatusInternalServerError
}

// writeJSON encodes before it writes, so that a value that cannot be encoded
// still gets its own code.
func writeJSON(w http.ResponseWriter, code int, v any) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		http.Error(w, "encode the answer: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	w.Write(b.Bytes())
}

func (s *Server) mount(path string, h http.HandlerFunc) {
	s.mux.HandleFunc(path, h)
	s.pages = append(s.pages, path)
}

// mountStandard mounts what every service has. The page cmdline of pprof is not
// among it: a flag may hold a secret.
func (s *Server) mountStandard() {
	s.mount("/metrics", s.metrics().ServeHTTP)
	s.mount("/healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "alive") })
	s.mount("/readyz", s.serveReady)
	s.mount("/debug/pprof/", s.profile(pprof.Index))
	s.mux.HandleFunc("/debug/pprof/profile", s.profile(pprof.Profile))
	s.mux.HandleFunc("/debug/pprof/symbol", s.profile(pprof.Symbol))
	s.mux.HandleFunc("/debug/pprof/trace", s.profile(pprof.Trace))
	s.mux.HandleFunc("/{$}", s.serveIndex)
}

// profiles reports whether /debug/pprof/ is shown. Call it after Listen.
func (s *Server) profiles() bool {
	return s.cfg.Profiles == "on" || s.cfg.Profiles != "off" && isLoopback(s.Addr())
}

// profile shows a page of pprof if it may be shown.
func (s *Server) profile(page http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !s.profiles() {
			http.Error(w, "no profiles here; [debug] pprof = on shows them", http.StatusForbidden)
			return
		}
		page(w, r)
	}
}

func (s *Server) serveReady(w http.ResponseWriter, _ *http.Request) {
	if s.cfg.Ready != nil {
		if err := s.cfg.Ready(); err != nil {
			http.Error(w, "not ready: "+err.Error(), http.StatusServiceUnavailable)
			return
		}
	}
	fmt.Fprintln(w, "ready")
	if s.cfg.Remark != nil {
		if remark := s.cfg.Remark(); remark != "" {
			fmt.Fprintln(w, remark)
		}
	}
}

func (s *Server) serveIndex(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	for _, path := range s.pages {
		fmt.Fprintln(w, path)
	}
}

// guard refuses what the package doc says is refused.
func (s *Server) guard(next http.Handler) http.Handler {
	local := isLoopback(s.Addr())
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "read only", http.StatusMethodNotAllowed)
		case local && !localName(r.Host):
			http.Error(w, "ask for it as localhost or by address", http.StatusForbidden)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// localName reports whether a Host header holds no name that a foreign name
// server could have answered for.
func localName(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	_, err = netip.ParseAddr(host)
	return err == nil || host == "localhost" || host == ""
}
