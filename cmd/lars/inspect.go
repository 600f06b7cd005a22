package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"lars.internal/agent"
	"lars.internal/internal/config"
)

// defaultPages is the address of the agent's pages unless [debug] addr or
// --pages changes it.
const defaultPages = "127.0.0.1:8887"

// pages are the HTTP pages of a running agent.
type pages struct {
	settings *settings
	addr     string // --pages
}

func newAgent(s *settings) *cobra.Command {
	p := &pages{settings: s}
	c := group("agent", "Inspect a running agent", newAgentServices(p), newAgentHosts(p))
	p.bind(c.PersistentFlags())
	return c
}

func (p *pages) bind(f *pflag.FlagSet) {
	f.StringVar(&p.addr, "pages", "", "`IP:PORT` of the agent's pages (default: [debug] addr, LARS_DEBUG_ADDR, "+defaultPages+")")
}

func newAgentServices(p *pages) *cobra.Command {
	var asJSON bool
	var limit int
	c := &cobra.Command{
		Use:   "services",
		Short: "List the services that the agent knows",
		Long: `List the services that the agent knows: the state of the route, how many hosts are in
rotation and ejected, how long ago the route was confirmed, and the protocol's state of
the service: PULLING while an answer is awaited, else NEW. A route is fresh (changes are
pushed, or it was confirmed not long ago), stale, being asked for, or emptied: it
turned empty although no edit removed the hosts, which are kept for a time. The policy is
that of the agent, or the one of the service's settings.`,
		Args: noArguments,
	}
	c.Flags().IntVar(&limit, "limit", 1000, "services at most, 1..1000000")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if limit < 1 || limit > 1_000_000 {
			return usage(c, "--limit %d: want 1..1000000", limit)
		}
		page, err := p.services(c.Context(), limit)
		if err != nil {
			return err
		}
		if asJSON {
			return p.settings.printJSON(page)
		}
		return p.settings.printServices(page)
	}
	return jsonFlag(c, &asJSON)
}

// services gets up to limit services, page by page.
func (p *pages) services(ctx context.Context, limit int) (agent.ServicePage, error) {
	var all agent.ServicePage
	for {
		path := "/agent/services?limit=" + strconv.Itoa(min(limit-len(all.Services), agent.MaxPage))
		if all.Next != "" {
			path += "&after=" + url.QueryEscape(all.Next)
		}
		var page agent.ServicePage
		if err := p.get(ctx, path, &page); err != nil {
			return all, err
		}
		all.Total, all.Next = page.Total, page.Next
		all.Services = append(all.Services, page.Services...)
		if all.Next == "" || len(all.Services) >= limit {
			return all, nil
		}
	}
}

// pageTime is how long a page may take.
const pageTime = 10 * time.Second

// get reads a page of the agent into v.
func (p *pages) get(ctx context.Context, path string, v any) error {
	addr, err := p.where()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, pageTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+path, nil)
	if err != nil {
		return fmt.Errorf("pages of the agent: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("read the agent's pages at %s: %w; does lars-agent run there? --pages names another [debug] addr", addr, cause(err))
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return pageError(addr, resp)
	}
	if err := json.NewDecoder(resp.Body).Decode(v); err != nil {
		return fmt.Errorf("read the agent's pages at %s: %w", addr, err)
	}
	return nil
}

// cause returns the error without the text of net/http about the request.
func cause(err error) error {
	var e *url.Error
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}

func pageError(addr string, resp *http.Response) error {
	var page struct {
		Error string `json:"error"`
	}
	if json.NewDecoder(resp.Body).Decode(&page) == nil && page.Error != "" {
		return &answerError{resp.StatusCode, page.Error}
	}
	return fmt.Errorf("read the agent's pages at %s: %s; is it lars-agent that listens there?", addr, resp.Status)
}

// answerError is an error that the agent answers with.
type answerError struct {
	code int
	text string
}

func (e *answerError) Error() string { return e.text }

// isUnknown reports whether the agent does not know what was asked for.
func isUnknown(err error) bool {
	var answer *answerError
	return errors.As(err, &answer) && answer.code == http.StatusNotFound
}

func (p *pages) where() (string, error) {
	if p.addr != "" {
		return p.addr, nil
	}
	var addr string
	set := config.NewSet("lars")
	set.String(&addr, "debug", "addr", defaultPages, "address of the agent's pages")
	if err := p.settings.load(set); err != nil {
		return "", err
	}
	if addr == "" || addr == "off" {
		return "", errors.New("[debug] addr is off, so the agent shows nothing; --pages names another")
	}
	return addr, nil
}

func (s *settings) printServices(page agent.ServicePage) error {
	t := s.newTable("SERVICE", "ROUTE", "HOSTS", "IDLE", "OVERLOAD", "EJECTED", "BROUGHT BACK", "ROUTE AGE", "STATE", "POLICY")
	for _, v := range page.Services {
		t.row(v.Service, v.Route, v.Hosts, v.Idle, v.Overload, v.Ejected, v.Reinstated, ago(v.AgeSeconds), v.State, policyOf(v))
	}
	if err := t.flush(); err != nil {
		return err
	}
	if page.Next != "" {
		s.printf("%d of %d services; --limit shows more\n", len(page.Services), page.Total)
	}
	return nil
}

func confirmed(seconds float64) string {
	if seconds < 0 {
		return "never confirmed"
	}
	return "confirmed " + ago(seconds) + " ago"
}

// ago writes a time in seconds for people; a negative one means never.
func ago(seconds float64) string {
	if seconds < 0 {
		return "never"
	}
	return time.Duration(seconds * float64(time.Second)).Round(100 * time.Millisecond).String()
}
