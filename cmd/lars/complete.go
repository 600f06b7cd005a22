package main

import (
	"context"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"lars.internal/admin"
	"lars.internal/agent"
	"lars.internal/cmd/internal/tables"
	"lars.internal/route"
	"lars.internal/store"
)

const (
	// completeTime bounds how long a completion may take.
	completeTime = 2 * time.Second

	// maxCompletions bounds how many words are offered.
	maxCompletions = 1000
)

// words returns the words that may stand at a place: the first one, or one after a
// service and the arguments that follow it. After an error it returns fewer:
// completion cannot show errors.
type words func(c *cobra.Command, key *route.Key, rest []string) []string

// complete gives a command completion for its arguments: services at the first place
// and hosts at the later ones, nil for none.
func complete(c *cobra.Command, services, hosts words) *cobra.Command {
	c.ValidArgsFunction = func(c *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
		key, rest, err := takeService(c, args)
		switch {
		case len(args) == 0 && services != nil:
			return offer(services(c, nil, nil), nil, prefix)
		case err == nil && hosts != nil:
			return offer(hosts(c, &key, rest), rest, prefix)
		}
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return c
}

// completeFlag gives a flag completion.
func completeFlag(c *cobra.Command, name string, w words) {
	f := func(c *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
		return offer(w(c, nil, nil), nil, prefix)
	}
	if err := c.RegisterFlagCompletionFunc(name, f); err != nil {
		panic(err) // there is no such flag
	}
}

// completeNoFiles keeps the shell from offering files where nothing else is offered:
// only --config takes one.
func completeNoFiles(c *cobra.Command) {
	if c.ValidArgsFunction == nil {
		c.ValidArgsFunction = cobra.NoFileCompletions
	}
	c.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) { noFiles(c, f) })
	c.PersistentFlags().VisitAll(func(f *pflag.Flag) { noFiles(c, f) })
	for _, sub := range c.Commands() {
		completeNoFiles(sub)
	}
}

func noFiles(c *cobra.Command, f *pflag.Flag) {
	if _, has := c.GetFlagCompletionFunc(f.Name); !has && f.Name != "config" {
		completeFlag(c, f.Name, func(*cobra.Command, *route.Key, []string) []string { return nil })
	}
}

// offer returns the words with this prefix that were not given yet, in their order.
func offer(all, given []string, prefix string) ([]string, cobra.ShellCompDirective) {
	var out []string
	seen := make(map[string]bool)
	for _, w := range given {
		seen[w] = true
	}
	for _, w := range all {
		if strings.HasPrefix(w, prefix) && !seen[w] && len(out) < maxCompletions {
			out = append(out, w)
		}
		seen[w] = true
	}
	return out, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
}

// completeServices offers the services of the database, else those of the agent.
func (s *settings) completeServices(c *cobra.Command, _ *route.Key, _ []string) []string {
	if list := s.storedRoutes(c, nil); len(list) > 0 {
		return serviceTexts(list)
	}
	return s.agentServices(c, nil, nil)
}

// agentServices offers the services that the agent knows.
func (s *settings) agentServices(c *cobra.Command, _ *route.Key, _ []string) []string {
	ctx, cancel := context.WithTimeout(c.Context(), completeTime)
	defer cancel()
	page, err := s.pagesOf(c).services(ctx, maxCompletions)
	if err != nil {
		return nil
	}
	texts := make([]string, len(page.Services))
	for i, v := range page.Services {
		texts[i] = v.Service
	}
	return texts
}

// storedHosts offers the hosts of a service in the database.
func (s *settings) storedHosts(c *cobra.Command, key *route.Key, _ []string) []string {
	var texts []string
	for _, v := range s.storedRoutes(c, key) {
		texts = append(texts, memberTexts(v.Hosts)...)
	}
	return texts
}

// knownHosts offers the hosts of a service that the agent knows, else those in the
// database.
func (s *settings) knownHosts(c *cobra.Command, key *route.Key, _ []string) []string {
	ctx, cancel := context.WithTimeout(c.Context(), completeTime)
	defer cancel()
	var detail agent.ServiceDetail
	err := s.pagesOf(c).get(ctx, "/agent/hosts?service="+url.QueryEscape(key.String()), &detail)
	if err != nil || len(detail.List) == 0 {
		return s.storedHosts(c, key, nil)
	}
	texts := make([]string, len(detail.List))
	for i, h := range detail.List {
		texts[i] = h.Host
	}
	return texts
}

// pagesOf returns the pages of the agent that the flags of a command name.
func (s *settings) pagesOf(c *cobra.Command) *pages {
	p := &pages{settings: s}
	if f := c.Flag("pages"); f != nil {
		p.addr = f.Value.String()
	}
	return p
}

// storedRoutes returns the routes of all services, or of one. Completion never makes
// the file of a database.
func (s *settings) storedRoutes(c *cobra.Command, key *route.Key) []route.Service {
	ctx, cancel := context.WithTimeout(c.Context(), completeTime)
	defer cancel()
	db, err := s.openStore(tables.Open, store.Options{})
	if err != nil {
		return nil
	}
	defer db.Close()
	if file, ok := strings.CutPrefix(db.String(), "sqlite:"); ok && !exists(file) {
		return nil
	}
	list, err := allRoutes(ctx, admin.New(db), key)
	if err != nil {
		return nil
	}
	return list
}

func serviceTexts(list []route.Service) []string {
	texts := make([]string, len(list))
	for i, v := range list {
		texts[i] = v.Key.String()
	}
	return texts
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// reportWords offers the host and the result of a report.
func (s *settings) reportWords(c *cobra.Command, key *route.Key, rest []string) []string {
	switch len(rest) {
	case 0:
		return s.knownHosts(c, key, nil)
	case 1:
		return []string{"0\tsuccess", "1\tfailure"}
	}
	return nil
}
