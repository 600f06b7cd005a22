// Package store keeps routes and call statistics in a database: SQLite in a
// file, or MySQL and what speaks its protocol (MariaDB, Galera).
//
//	db, err := store.Open("mysql://lars:secret@db1:3306,db2:3306/lars_dns", store.Options{})
//	if err != nil { ... }
//	defer db.Close()
//	if err := db.CheckSchema(ctx, store.ForRoutes); err != nil { ... } // says how to make the tables
//	mark, err := db.Load(ctx, func(k route.Key, h route.Host) { ... })
//	changes, err := db.Changed(ctx, mark, newer) // newer, err := db.Look(ctx)
//	result, err := db.EditRoutes(ctx, route.Edit{Who: "me", Changes: changes})
//
// Versions. An edit is one transaction that locks the row of RouteVersion,
// takes max(version+1, Unix seconds) as the new version, and writes routes,
// announcements (RouteChange) and audit rows under it. So versions of edits
// are strictly ordered and never equal. C++ writers beside us set the version
// to the Unix time: it may go backwards then.
//
// Several hosts. The first that answers is in use by every connection; when it
// fails, all connections leave it for the next. An operation that failed with
// its host, or lost against another transaction, is tried again a bounded
// number of times. Every operation has a deadline, also without one in its
// context.
//
// A DB is safe for concurrent use, and by several processes on one database.
// It starts no goroutine of its own. No error and no log line holds a password.
//
// The package decides nothing about routes: whether an address makes sense to
// add, and who may, is for its callers.
package store
