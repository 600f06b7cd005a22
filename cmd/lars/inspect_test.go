package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"testing"

	"lars.internal/agent"
)

// The agent shows at most MaxPage services at a time; the command goes on.
func TestServicesPageByPage(t *testing.T) {
	const total = agent.MaxPage + 5
	var asked []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.RawQuery)
		after, _ := strconv.Atoi(r.FormValue("after")) // "" is 0
		limit, _ := strconv.Atoi(r.FormValue("limit"))
		page := agent.ServicePage{Total: total, Services: make([]agent.ServiceInfo, min(limit, total-after))}
		if next := after + len(page.Services); next < total {
			page.Next = strconv.Itoa(next)
		}
		json.NewEncoder(w).Encode(page)
	}))
	defer srv.Close()
	p := &pages{addr: srv.Listener.Addr().String()}
	for _, test := range []struct {
		limit, want int
		next        string
		asked       []string
	}{
		{2, 2, "2", []string{"limit=2"}},
		{agent.MaxPage + 2, agent.MaxPage + 2, "10002", []string{"limit=10000", "limit=2&after=10000"}},
		{1_000_000, total, "", []string{"limit=10000", "limit=10000&after=10000"}},
	} {
		asked = nil
		page, err := p.services(t.Context(), test.limit)
		if err != nil || len(page.Services) != test.want || page.Next != test.next || page.Total != total {
			t.Errorf("limit %d: %d services, next %q, total %d, %v; want %d, %q", test.limit, len(page.Services), page.Next, page.Total, err, test.want, test.next)
		}
		if !slices.Equal(asked, test.asked) {
			t.Errorf("limit %d: asked %q, want %q", test.limit, asked, test.asked)
		}
	}
}
