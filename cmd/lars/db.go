package main

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"lars.internal/cmd/internal/tables"
	"lars.internal/store"
)

func newDB(s *settings) *cobra.Command {
	return group("db", "Look after the database", newMigrate(s), newBackup(s), newRestore(s), newCopy(s))
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

func newBackup(s *settings) *cobra.Command {
	return &cobra.Command{
		Use:   "backup FILE",
		Short: "Write all of the database into a new SQLite file",
		Long: `Write all of the database, which may be of any kind, into a new SQLite file. The servers
go on using the database. The file appears when it is complete and checked.`,
		Example: "  lars db backup lars-2026-01-31.db",
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage(c, "name the file to write, which must not exist yet")
			}
			return s.withStore(func(db *store.DB) error {
				copied, err := db.Backup(c.Context(), args[0])
				if err != nil {
					return err
				}
				s.printCopied("backed up", copied)
				return nil
			})
		},
	}
}

func newRestore(s *settings) *cobra.Command {
	return &cobra.Command{
		Use:   "restore FILE",
		Short: "Restore a backup",
		Long: `Restore a backup that lars db backup made. The servers go on using the database. The
backup is checked first. An empty database gets all of it, tables included. In any other,
routes, settings and names become those of the backup, by one edit that is pushed to the
agents as any other; history, audit and statistics stay as they are.`,
		Example: "  lars db restore lars-2026-01-31.db",
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage(c, "name the file that lars db backup made")
			}
			return s.withStoreFrom(tables.OpenToMigrate, func(db *store.DB) error {
				r, err := db.Restore(c.Context(), who(), args[0])
				if err != nil {
					return err
				}
				s.printRestored(r)
				return nil
			})
		},
	}
}

func newCopy(s *settings) *cobra.Command {
	return &cobra.Command{
		Use:   "copy FROM [TO]",
		Short: "Copy all of one database into another, from SQLite to MySQL for example",
		Long: `Copy all of one database (routes, their history, the audit, names and statistics) into
another of any kind, which has its tables and is empty. FROM and TO are DSNs. Without TO,
the target is the database that the other commands use, so that no password is on the
command line. What was written is compared with what was read.`,
		Example: "  export LARS_STORE_DSN=mysql://lars:PASSWORD@db1:3306/lars_dns\n" +
			"  lars db migrate\n  lars db copy sqlite:/var/lib/lars/lars.db",
		RunE: func(c *cobra.Command, args []string) error {
			switch len(args) {
			case 1:
			case 2:
				s.dsn = args[1]
			default:
				return usage(c, "name the DSN to copy from, and the one to copy to unless it is the database of the other commands")
			}
			return s.copyFrom(c.Context(), args[0])
		},
	}
}

func (s *settings) copyFrom(ctx context.Context, dsn string) error {
	s.warnOfPassword("FROM", dsn)
	from, err := store.Open(dsn, s.storeOptions(slog.LevelWarn))
	if err != nil {
		return err
	}
	defer from.Close()
	return s.withStore(func(to *store.DB) error {
		copied, err := store.Copy(ctx, from, to)
		if err != nil {
			return err
		}
		s.printCopied("copied", copied)
		return nil
	})
}

func (s *settings) printCopied(what string, c store.Copied) {
	t := s.newTable("TABLE", "ROWS")
	for _, table := range c.Tables {
		t.row(table.Name, table.Rows)
	}
	t.flush()
	s.printf("%s and compared, routes of version %d\n", what, c.Version)
}

func (s *settings) printRestored(r store.Restored) {
	switch {
	case r.Copied.Tables != nil:
		s.printCopied("restored", r.Copied)
	case !r.Edit.Changed:
		s.printf("the routes are those of the backup already, nothing changed; names are those of the backup\n")
	default:
		added, removed, more := 0, 0, 0
		for _, c := range r.Edit.Services {
			added += len(c.Added)
			removed += len(c.Removed)
			more += len(c.Drained) + len(c.Undrained) + len(c.Altered) + len(c.Configured) + len(c.Unconfigured)
		}
		text := fmt.Sprintf("%s changed: %s added, %d removed",
			plural(len(r.Edit.Services), "service", "services"), plural(added, "host", "hosts"), removed)
		if more > 0 {
			text += ", and " + plural(more, "change", "changes") + " of hosts that stay and of settings"
		}
		s.printf("%s\nversion %d\n", text, r.Edit.Version)
	}
}
