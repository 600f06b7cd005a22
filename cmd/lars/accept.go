package main

import (
	"time"

	"github.com/spf13/cobra"

	"lars.internal/admin"
	"lars.internal/store"
)

// acceptance is what accepting the routes prints as JSON.
type acceptance struct {
	Version   uint64    `json:"version"`
	Hosts     uint64    `json:"hosts"`              // 0 if repeated
	Repeated  bool      `json:"repeated,omitempty"` // accepted before, under the same --id
	Committed time.Time `json:"committed"`          // no later than this
}

func newRouteAccept(s *settings) *cobra.Command {
	var asJSON bool
	var id string
	c := &cobra.Command{
		Use:   "accept",
		Short: "Accept the routes as they are stored",
		Long: `Accept the routes as they are stored. When many hosts are gone from the database without
an edit, lars-dns holds that back: it serves the former routes and is not ready. After
this command every lars-dns serves what the database holds, once. Look at that first,
with: lars route list`,
		Example: "  lars route accept",
		Args:    noArguments,
	}
	c.RunE = func(c *cobra.Command, _ []string) error {
		return s.withStore(func(db *store.DB) error {
			a, err := admin.New(db).Accept(c.Context(), who(), id)
			committed := time.Now()
			switch {
			case err != nil:
				return howToRepeat(err)
			case asJSON:
				return s.printJSON(acceptance{a.Version, a.Hosts, a.Repeated, committed})
			case a.Repeated:
				s.printf("accepted before, under the same --id\nversion %d\n", a.Version)
			default:
				s.printf("accepted %s as stored\nversion %d\n", plural(int(a.Hosts), "host", "hosts"), a.Version)
			}
			return nil
		})
	}
	c.Flags().StringVar(&id, "id", "", "`ID` of the acceptance, under which it is recorded only once, however often it is repeated")
	return jsonFlag(c, &asJSON)
}
