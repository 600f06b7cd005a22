package main

import (
	"cmp"
	"fmt"

	"lars.internal/route"
)

// listed is a service as JSON.
type listed struct {
	Service  string            `json:"service"`
	Hosts    []string          `json:"hosts"`   // that may be called
	Details  []listedHost      `json:"details"` // of all hosts, drained ones too
	Settings map[string]string `json:"settings,omitempty"`
}

// listedHost is a host of a service as JSON.
type listedHost struct {
	Host    string `json:"host"`
	Weight  uint32 `json:"weight"`
	Zone    string `json:"zone,omitempty"`
	Note    string `json:"note,omitempty"`
	Drained bool   `json:"drained,omitempty"`
}

func hostJSON(m route.Member) listedHost {
	return listedHost{m.Host.String(), m.Weight, m.Zone, m.Note, m.Drained}
}

func settingsJSON(settings []route.Setting) map[string]string {
	if len(settings) == 0 {
		return nil
	}
	all := make(map[string]string, len(settings))
	for _, s := range settings {
		all[s.Name] = s.Value
	}
	return all
}

// printRoutes prints services with their hosts, then their settings.
func (s *settings) printRoutes(list []route.Service, asJSON bool) error {
	if asJSON {
		all := make([]listed, len(list))
		for i, v := range list {
			all[i] = listed{v.Key.String(), hostTexts(v.Callable()), []listedHost{}, settingsJSON(v.Settings)}
			for _, m := range v.Hosts {
				all[i].Details = append(all[i].Details, hostJSON(m))
			}
		}
		return s.printJSON(all)
	}
	hosts, settings := 0, 0
	for _, v := range list {
		hosts += len(v.Hosts)
		settings += len(v.Settings)
	}
	if hosts > 0 {
		if err := s.printMembers(list); err != nil {
			return err
		}
	}
	if hosts > 0 && settings > 0 {
		s.printf("\n")
	}
	if settings == 0 {
		return nil
	}
	t := s.newTable("SERVICE", "SETTING", "VALUE")
	for _, v := range list {
		for _, set := range v.Settings {
			t.row(v.Key, set.Name, set.Value)
		}
	}
	return t.flush()
}

func (s *settings) printMembers(list []route.Service) error {
	t := s.newTable("SERVICE", "HOST", "WEIGHT", "ZONE", "STATE", "NOTE")
	for _, v := range list {
		for _, m := range v.Hosts {
			t.row(v.Key, m.Host, m.Weight, cmp.Or(m.Zone, "-"), stateOf(m), cmp.Or(m.Note, "-"))
		}
	}
	return t.flush()
}

func stateOf(m route.Member) string {
	if m.Drained {
		return "drained"
	}
	return "callable"
}

func memberTexts(members []route.Member) []string {
	texts := make([]string, len(members))
	for i, m := range members {
		texts[i] = fmt.Sprint(m.Host)
	}
	return texts
}
