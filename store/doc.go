// Package store keeps routes and call statistics in a database: SQLite in a
// file, or MySQL and what speaks its protocol (MariaDB, Galera).
//
//	db, err := store.Open("mysql://lars:secret@db1:3306,db2:3306/lars_dns", store.Options{})
//	if err != nil { ... }
//	defer db.Close()
//	err = db.CheckSchema(ctx, store.ForRoutes) // says how to make the tables
//	mark, err := db.Load(ctx, routes.Sink())
//	changes, err := db.Changed(ctx, mark, newer) // newer, err := db.Look(ctx)
//	result, err := db.EditRoutes(ctx, route.Edit{Who: "me", Changes: changes})
//
// Versions. An edit is one transaction that locks the row of RouteVersion,
// takes max(version+1, Unix seconds) as the new version, and writes routes,
// announcements (RouteChange) and audit rows under it. Versions of edits are
// therefore strictly ordered and never equal. C++ writers set the version to the
// Unix time: it may go backwards then.
//
// Hosts. RouteData holds exactly the hosts that may be called: a C++ dns serves
// every row of it. What else is known of a host, and a host that is drained, is in
// RouteHost. A row there whose host is neither in RouteData nor drained was left
// behind by a C++ writer: it means nothing, and edits remove it in time.
//
// Outcome. An edit was made, was not made, or, if the connection broke at the
// commit and the database cannot be asked any more, ends with a *route.UnknownEditError.
// Its id makes it safe to repeat.
//
// Schema. Migrate makes what is missing and changes nothing else; of several at
// once one works. CheckSchema looks at the tables, columns and keys of one use.
//
// Moving. Copy takes one database into another, Backup into a new SQLite file,
// and Restore brings such a file back as an edit.
//
// Several hosts. The first that answers is in use by every connection; when it
// fails, all connections leave it for the next. An operation that failed with
// its host, or lost against another transaction, is tried again a bounded
// number of times. Every operation has a deadline, also without one in its
// context.
//
// A DB is safe for concurrent use, and by several processes on one database.
// Between calls it has no goroutine of its own. No error and no log line holds a password.
//
// The package decides nothing about routes. Its callers know whether an address
// makes sense and whether a person may edit.
package store
