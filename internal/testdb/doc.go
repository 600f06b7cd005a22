// Package testdb gives tests a private MariaDB server.
//
// MariaDB hands out a fresh database on a server that the tests of one
// binary share; StartMariaDB starts a server of the test's own, which the
// test may stop, kill, freeze and start again:
//
//	func TestMain(m *testing.M) { testdb.Main(m) }
//
//	func TestOutage(t *testing.T) {
//		db := testdb.StartMariaDB(t)
//		open(db.DSN())
//		db.Freeze()
//		...
//		db.Thaw()
//	}
//
// StartCluster starts three servers that replicate each other, of which the
// test may do the same to each; only with LARS_TEST_CLUSTER=1 in the
// environment, since it is slow.
//
// A server lives in a temporary folder, listens on a free port of 127.0.0.1
// and reads no configuration of the machine. It never outlives the test
// binary: a guard process kills it and removes its folder when the binary
// dies, however it dies.
//
// MariaDB, StartMariaDB and StartCluster are safe for concurrent use. The
// methods that change a server's state belong to the goroutine of its test,
// since they end the test when they fail.
//
// The package installs nothing. Without a mariadbd the test is skipped; with
// CI=true in the environment it fails.
package testdb
