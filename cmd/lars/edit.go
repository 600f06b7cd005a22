package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lars.internal/admin"
	"lars.internal/route"
	"lars.internal/store"
)

// edited is what an edit prints as JSON.
type edited struct {
	Version   uint64        `json:"version"`
	Changed   bool          `json:"changed"`
	Repeated  bool          `json:"repeated,omitempty"` // made before, under the same --id
	Committed time.Time     `json:"committed"`          // no later than this
	Services  []editService `json:"services"`
}

type editService struct {
	Service   string            `json:"service"`
	Added     []string          `json:"added,omitempty"`
	Removed   []string          `json:"removed,omitempty"`
	Drained   []string          `json:"drained,omitempty"`
	Undrained []string          `json:"undrained,omitempty"`
	Altered   []listedHost      `json:"altered,omitempty"` // as they are now
	Set       map[string]string `json:"set,omitempty"`
	Unset     []string          `json:"unset,omitempty"`
}

// editing is what all commands that edit have in common. It is used once.
type editing struct {
	settings *settings

	// The flags.
	asJSON    bool
	ifVersion uint64
	id        string
}

// bind gives a command the flags.
func (e *editing) bind(c *cobra.Command) *cobra.Command {
	c.Flags().Uint64Var(&e.ifVersion, "if-version", 0,
		"edit only if the service is as it was at this `VERSION`, which lars route list shows")
	c.Flags().StringVar(&e.id, "id", "", "`ID` of the edit, by which it is made only once, however often it is repeated")
	return jsonFlag(c, &e.asJSON)
}

// run makes one change and prints what it did.
func (e *editing) run(c *cobra.Command, change route.Change) error {
	edit := route.Edit{Who: who(), ID: e.id, Changes: []route.Change{change}}
	if c.Flags().Changed("if-version") {
		edit.IfVersion = &e.ifVersion
	}
	return e.settings.withStore(func(db *store.DB) error { return e.edit(c.Context(), db, edit) })
}

func (e *editing) edit(ctx context.Context, db *store.DB, edit route.Edit) error {
	result, err := admin.New(db).Edit(ctx, edit)
	committed := time.Now()
	if err != nil {
		return howToRepeat(err)
	}
	change := edit.Changes[0]
	if (change.Action == route.Drain || change.Action == route.Undrain) && !result.Repeated && !hasAny(result.After, change) {
		return nowhere(change)
	}
	if e.asJSON {
		err = e.settings.printJSON(editedJSON(result, committed))
	} else {
		e.settings.printEdit(result)
	}
	e.settings.warnOfEdit(change, result)
	return err
}

// howToRepeat adds to an error of an edit which may have been made, how to make it
// only once.
func howToRepeat(err error) error {
	if unknown := (*route.UnknownEditError)(nil); errors.As(err, &unknown) {
		return fmt.Errorf("%w: repeat the command with --id %s", err, unknown.ID)
	}
	return err
}

// hasAny reports whether a service has one of the hosts of a change. Everywhere,
// those are the services that the change has found.
func hasAny(services []route.Service, change route.Change) bool {
	return slices.ContainsFunc(services, func(v route.Service) bool {
		return change.Everywhere || slices.ContainsFunc(v.Hosts, func(m route.Member) bool { return slices.Contains(change.Hosts, m.Host) })
	})
}

// nowhere is the error of a command on hosts that are not there.
func nowhere(change route.Change) error {
	hosts := strings.Join(placeTexts(change.Hosts), " or ")
	if change.Everywhere {
		return fmt.Errorf("no service has host %s; lars route list shows the hosts that there are", hosts)
	}
	return fmt.Errorf("service %v has no host %s; lars route list shows the hosts that there are", change.Key, hosts)
}

// placeTexts writes hosts, those without a port as an address.
func placeTexts(hosts []route.Host) []string {
	texts := hostTexts(hosts)
	for i := range texts {
		texts[i] = strings.TrimSuffix(texts[i], ":0")
	}
	return texts
}

// who returns the name of the person at the terminal, for the audit.
func who() string {
	name := "uid " + fmt.Sprint(os.Getuid())
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if host, err := os.Hostname(); err == nil {
		name += "@" + host
	}
	return name[:min(len(name), admin.MaxWho)]
}

func editedJSON(r route.EditResult, committed time.Time) edited {
	e := edited{Version: r.Version, Changed: r.Changed, Repeated: r.Repeated, Committed: committed, Services: []editService{}}
	for _, sc := range r.Services {
		s := editService{
			Service: sc.Key.String(), Added: hostTexts(sc.Added), Removed: hostTexts(sc.Removed),
			Drained: hostTexts(sc.Drained), Undrained: hostTexts(sc.Undrained),
			Set: settingsJSON(sc.Configured), Unset: sc.Unconfigured,
		}
		for _, a := range sc.Altered {
			s.Altered = append(s.Altered, hostJSON(a.After))
		}
		e.Services = append(e.Services, s)
	}
	return e
}

func hostTexts(hosts []route.Host) []string {
	texts := make([]string, len(hosts))
	for i, h := range hosts {
		texts[i] = h.String()
	}
	return texts
}

// maxUnchanged is how many services are named that an edit leaves as they are.
const maxUnchanged = 10

func (s *settings) printEdit(r route.EditResult) {
	if r.Repeated {
		s.printf("this edit was made before, as version %d; nothing changed now\n", r.Version)
		return
	}
	unchanged := 0
	for _, v := range r.After {
		if at := changeOf(r, v.Key); at >= 0 {
			s.printServiceChange(r.Services[at])
		} else if unchanged++; unchanged <= maxUnchanged {
			s.printf("%s: nothing to change\n", v.Key)
		}
	}
	if more := unchanged - maxUnchanged; more > 0 {
		s.printf("%s: nothing to change\n", plural(more, "more service", "more services"))
	}
	if r.Changed {
		s.printf("version %d\n", r.Version)
	}
}

// changeOf returns where an edit says what it did to a service, -1 for nothing.
func changeOf(r route.EditResult, key route.Key) int {
	return slices.IndexFunc(r.Services, func(sc route.ServiceChange) bool { return sc.Key == key })
}

func (s *settings) printServiceChange(sc route.ServiceChange) {
	line := func(what string, texts []string) {
		if len(texts) > 0 {
			s.printf("%s: %s %s\n", sc.Key, what, strings.Join(texts, " "))
		}
	}
	line("added", hostTexts(sc.Added))
	line("removed", hostTexts(sc.Removed))
	line("drained", hostTexts(sc.Drained))
	line("undrained", hostTexts(sc.Undrained))
	for _, a := range sc.Altered {
		line("now", []string{a.String()})
	}
	for _, set := range sc.Configured {
		line("set", []string{set.String()})
	}
	line("unset", sc.Unconfigured)
}

// warnOfEdit says on standard error what an editor may not expect.
func (s *settings) warnOfEdit(change route.Change, r route.EditResult) {
	say := func(format string, args ...any) { fmt.Fprintf(s.env.Stderr, "lars: "+format+"\n", args...) }
	keepsDrained := change.Action == route.Add || change.Action == route.Set || change.Action == route.Alter
	for _, v := range r.After {
		at := changeOf(r, v.Key)
		for _, m := range v.Hosts {
			justNow := at >= 0 && slices.Contains(r.Services[at].Drained, m.Host)
			if keepsDrained && m.Drained && !justNow && slices.Contains(change.Hosts, m.Host) {
				say("%s: %s is drained and stays so; lars host undrain %s --service %s brings it back", v.Key, m.Host, m.Host, v.Key)
			}
		}
		if at >= 0 && len(v.Hosts) > 0 && len(v.Callable()) == 0 {
			say("%s: all hosts are drained; its callers get none until one is undrained", v.Key)
		}
	}
}
