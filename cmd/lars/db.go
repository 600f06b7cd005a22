package main

import (
	"log/slog"

	"github.com/spf13/cobra"

	"lars.internal/cmd/internal/tables"
)

func newDB(s *settings) *cobra.Command {
	return group("db", "Look after the database", newMigrate(s))
}

func newMigrate(s *settings) *cobra.Command {
	return &cobra.Command{
		Use:   "migrate",
		Short: "Make the tables, or bring them up to date",
		Long: `Make the tables, or bring them up to date. A database that the original's SQL script
made is adopted with its rows. Where all is up to date nothing changes, so it does no
harm to run it before each start.`,
		Example: "  lars db migrate --dsn sqlite:/var/lib/lars/lars.db\n" +
			"  LARS_STORE_DSN=mysql://lars:PASSWORD@db1:3306/lars_dns lars db migrate",
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			db, err := s.openStore(tables.OpenToMigrate, s.storeOptions(slog.LevelInfo))
			if err != nil {
				return err
			}
			defer db.Close()
			if err := db.Migrate(c.Context()); err != nil {
				return err
			}
			s.printf("the tables of %s are up to date\n", db)
			return nil
		},
	}
}
