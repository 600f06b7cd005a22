package main

import (
	"fmt"
	"strings"

	"github.com/mitchellh/go-wordwrap"
	"github.com/spf13/cobra"

	"lars.internal/admin"
	"lars.internal/lb/policy"
	"lars.internal/route"
	"lars.internal/store"
)

func newService(s *settings) *cobra.Command {
	return group("service", "Look at one service, and set how its calls are balanced",
		newServiceSet(s), newServiceUnset(s), newServiceShow(s))
}

// settingHelp says what a service may have.
func settingHelp() string {
	return "The keys are\n" + wordwrap.WrapString(strings.Join(policy.Keys(), ", ")+".", 88) +
		"\npolicy is " + strings.Join(policy.Names(), " or ") + ". update_timeout is that of [loadbalance] in the configuration of an\n" +
		"agent. retry_budget is the share of the calls that Go programs may make a second time, 0 to 1;\n" +
		"0.1 if it is not set. The other keys are those of [adaptive]."
}

func newServiceSet(s *settings) *cobra.Command {
	e := &editing{settings: s}
	c := &cobra.Command{
		Use:   "set SERVICE KEY=VALUE...",
		Short: "Set how the calls of a service are balanced",
		Long: "Set how the calls of a service are balanced, on all machines. A service without a setting has\n" +
			"what the configuration of each agent says. " + settingHelp(),
		Example: "  lars service set 1/2 policy=classic\n  lars service set 1/2 ramp=10s max_ejected=0.3",
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		key, rest, err := takeService(c, args)
		if err != nil {
			return err
		}
		if len(rest) == 0 {
			return usage(c, "which settings? Name them as KEY=VALUE")
		}
		set, err := admin.ParseSettings(rest)
		if err != nil {
			return usage(c, "%v", err)
		}
		return e.run(c, route.Change{Action: route.Configure, Key: key, Settings: set})
	}
	return complete(e.bind(c), s.completeServices, func(*cobra.Command, *route.Key, []string) []string { return assignments() })
}

// assignments offers the settings that a service may have.
func assignments() []string {
	texts := policy.Keys()
	for i := range texts {
		texts[i] += "="
	}
	return texts
}

func newServiceUnset(s *settings) *cobra.Command {
	e := &editing{settings: s}
	c := &cobra.Command{
		Use:     "unset SERVICE [KEY...]",
		Short:   "Take settings from a service, or all of them",
		Long:    "Take settings from a service; without keys, all of them. The configuration of the agents\nholds for it again.",
		Example: "  lars service unset 1/2 policy\n  lars service unset 1/2",
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		key, rest, err := takeService(c, args)
		if err != nil {
			return err
		}
		change := route.Change{Action: route.Unconfigure, Key: key}
		for _, name := range rest {
			change.Settings = append(change.Settings, route.Setting{Name: name})
		}
		return e.run(c, change)
	}
	return complete(e.bind(c), s.completeServices, s.storedSettings)
}

// storedSettings offers the settings that a service has.
func (s *settings) storedSettings(c *cobra.Command, key *route.Key, _ []string) []string {
	var texts []string
	for _, v := range s.storedRoutes(c, key) {
		for _, set := range v.Settings {
			texts = append(texts, set.Name)
		}
	}
	return texts
}

func newServiceShow(s *settings) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:     "show SERVICE",
		Short:   "Show the hosts and the settings of a service",
		Long:    "Show the hosts of a service, drained ones too, and its settings, as the database holds them.",
		Example: "  lars service show 1/2",
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		key, err := onlyService(c, args)
		if err != nil {
			return err
		}
		return s.withStore(func(db *store.DB) error {
			list, err := allRoutes(c.Context(), admin.New(db), &key)
			if err == nil && len(list) == 0 {
				err = fmt.Errorf("the database has no service %v; add hosts: lars route add %v IP:PORT", key, key)
			}
			if err != nil {
				return err
			}
			return s.printRoutes(list, asJSON)
		})
	}
	return complete(jsonFlag(c, &asJSON), s.completeServices, nil)
}
