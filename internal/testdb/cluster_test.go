package testdb

import (
	"testing"
)

func TestClusterReplicatesAndHeals(t *testing.T) {
	c := StartCluster(t)
	exec := func(node int, query string) {
		t.Helper()
		if _, err := c.DB(node).Exec(query); err != nil {
			t.Fatalf("node %d: %v", node, err)
		}
	}
	exec(0, "CREATE TABLE x (id int PRIMARY KEY)")
	exec(1, "INSERT INTO x VALUES (1)")
	c.Stop(2)
	if err := c.DB(2).Ping(); err == nil {
		t.Error("a stopped node answers")
	}
	exec(0, "INSERT INTO x VALUES (2)")
	c.Heal()
	exec(2, "INSERT INTO x VALUES (3)")
	for node := range ClusterSize {
		eventually(t, "all rows are there", func() bool {
			var rows int
			err := c.DB(node).QueryRow("SELECT COUNT(*) FROM x").Scan(&rows)
			return err == nil && rows == 3
		})
	}
	if other := c.For(t); other.DSN() == c.DSN() {
		t.Errorf("two tests got the same database %s", c.database)
	}
}
