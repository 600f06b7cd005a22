package store

import (
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseDSN(t *testing.T) {
	tests := []struct {
		name, dsn string
		want      source
	}{
		{"sqlite, relative", "sqlite:lars.db", source{dialect: sqliteDialect, path: "lars.db"}},
		{"sqlite, absolute", "sqlite:/var/lib/lars.db", source{dialect: sqliteDialect, path: "/var/lib/lars.db"}},
		{"sqlite, as a URL", "sqlite:///var/lib/lars.db", source{dialect: sqliteDialect, path: "/var/lib/lars.db"}},
		{"mysql", "mysql://lars:secret@db1:3307/lars_dns",
			source{dialect: mysqlDialect, hosts: []string{"db1:3307"}, user: "lars", password: "secret", database: "lars_dns"}},
		{"mysql, several hosts", "mysql://lars:secret@db1:3306,10.0.0.2:3307,[::1]:3308/lars_dns?tls=true&x=%41",
			source{dialect: mysqlDialect, hosts: []string{"db1:3306", "10.0.0.2:3307", "[::1]:3308"},
				user: "lars", password: "secret", database: "lars_dns", params: "tls=true&x=%41"}},
		{"mysql, port left out", "mysql://lars@db1,[::1]/lars_dns",
			source{dialect: mysqlDialect, hosts: []string{"db1:3306", "[::1]:3306"}, user: "lars", database: "lars_dns"}},
		{"mysql, percent-encoded", "mysql://l%40rs:a%2Fb%40c%3A%3F%23%25@db1/my%20db",
			source{dialect: mysqlDialect, hosts: []string{"db1:3306"}, user: "l@rs", password: "a/b@c:?#%", database: "my db"}},
		{"mysql, @ and : in a password as they are", "mysql://lars:a@b:c@db1/lars_dns",
			source{dialect: mysqlDialect, hosts: []string{"db1:3306"}, user: "lars", password: "a@b:c", database: "lars_dns"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseDSN(tt.dsn)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(source{}), cmp.Comparer(sameDialect)); diff != "" {
				t.Errorf("source (-want +got):\n%s", diff)
			}
		})
	}
}

func sameDialect(a, b *dialect) bool { return a == b }

// What is wrong with a DSN is said without quoting it: what is misplaced may
// be the password.
func TestBadDSN(t *testing.T) {
	const secret = "hunter2"
	tests := []struct{ name, dsn, want string }{
		{"empty", "", "want sqlite:PATH or mysql://"},
		{"no scheme", "lars:hunter2@db/lars", "want sqlite:PATH or mysql://"},
		{"other scheme", "postgres://lars:hunter2@db/lars", "want sqlite:PATH or mysql://"},
		{"sqlite without a path", "sqlite:", "want the path of a file"},
		{"sqlite in memory", "sqlite::memory:", "want the path of a file"},
		{"no slashes", "mysql:lars:hunter2@db/lars", "want mysql:// at its start"},
		{"no user", "mysql://db1:3306/lars", "want USER:PASSWORD@"},
		{"slash in the password", "mysql://lars:hunter2/x@db1/lars", "percent-encoded"},
		{"question mark in the password", "mysql://lars:hunter2?x@db1/lars", "percent-encoded"},
		{"bare percent in the password", "mysql://lars:hunter2%@db1/lars", "write it as %25"},
		{"no database", "mysql://lars:hunter2@db1", "want /DATABASE"},
		{"no host", "mysql://lars:hunter2@/lars", "want HOST:PORT"},
		{"a bracket in a host", "mysql://lars:hunter2@db[/lars", "want HOST:PORT"},
		{"empty host in the list", "mysql://lars:hunter2@db1,/lars", "want HOST:PORT"},
		{"port 0", "mysql://lars:hunter2@db1:0/lars", "outside 1..65535"},
		{"port too large", "mysql://lars:hunter2@db1:70000/lars", "outside 1..65535"},
		{"password in the port's place", "mysql://lars@db1:hunter2/lars", "outside 1..65535"},
		{"parameter that is none", "mysql://lars:hunter2@db1/lars?timeout=x", "the parameters after the ?"},
		{"tls settings that do not exist", "mysql://lars:hunter2@db1/lars?tls=mine", "the parameters after the ?"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Open(tt.dsn, Options{})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got error %v, want one with %q", err, tt.want)
			}
			if strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %q quotes the password or has more than one line", err)
			}
		})
	}
}

func TestMySQLDSN(t *testing.T) {
	for _, password := range []string{"", "secret", "a/b@c:d?e#f%g&h +\"'ö"} {
		for _, host := range []string{"127.0.0.1", "db.example", "::1", "[::1]"} {
			dsn := MySQLDSN(host, 3307, "us@er/x", password, "lars_dns")
			got, err := parseDSN(dsn)
			if err != nil {
				t.Fatalf("%s: %v", dsn, err)
			}
			wantHost := host + ":3307"
			if host == "::1" {
				wantHost = "[::1]:3307"
			}
			if got.user != "us@er/x" || got.password != password || got.database != "lars_dns" || got.hosts[0] != wantHost {
				t.Errorf("%s was read as %+v", dsn, got)
			}
		}
	}
}

func FuzzParseDSN(f *testing.F) {
	f.Add("mysql://a:b@c:1,d:2/e?f=g")
	f.Add("sqlite:x")
	f.Add("mysql://a:b%zz@[::1]/e")
	f.Fuzz(func(t *testing.T, dsn string) {
		src, err := parseDSN(dsn)
		if err != nil || src.dialect != mysqlDialect {
			return
		}
		// What was read can be written and read again.
		u := url.URL{Scheme: "mysql", User: url.UserPassword(src.user, src.password)}
		again, err := parseDSN(u.String() + strings.Join(src.hosts, ",") + "/" + url.PathEscape(src.database))
		if err != nil {
			// A user without password and name is written without the @.
			if src.user == "" && src.password == "" {
				return
			}
			t.Fatalf("%q: %v", dsn, err)
		}
		src.params = ""
		if diff := cmp.Diff(src, again, cmp.AllowUnexported(source{}), cmp.Comparer(sameDialect)); diff != "" {
			t.Errorf("%q (-first +again):\n%s", dsn, diff)
		}
	})
}
