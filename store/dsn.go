package store

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// source is what a DSN says.
type source struct {
	dialect *dialect

	path string // SQLite: the file

	hosts    []string // MySQL: host:port, at least one
	user     string
	password string
	database string
	params   string // url-encoded
}

// MySQLDSN returns the DSN of a database on one MySQL server, from the parts
// that the section [mysql] of a configuration file has.
func MySQLDSN(host string, port int, user, password, database string) string {
	u := url.URL{
		Scheme: "mysql",
		User:   url.UserPassword(user, password),
		Host:   net.JoinHostPort(strings.Trim(host, "[]"), strconv.Itoa(port)),
	}
	return u.String() + "/" + url.PathEscape(database)
}

// parseDSN reads a DSN. Its errors quote nothing of a MySQL DSN: what is
// misplaced may be the password.
func parseDSN(dsn string) (source, error) {
	scheme, rest, _ := strings.Cut(dsn, ":")
	switch scheme {
	case "sqlite":
		return parseSQLite(rest)
	case "mysql":
		return parseMySQL(rest)
	}
	return source{}, errors.New("dsn: want sqlite:PATH or mysql://USER:PASSWORD@HOST:PORT/DATABASE")
}

func parseSQLite(path string) (source, error) {
	path = strings.TrimPrefix(path, "//")
	if path == "" || strings.HasPrefix(path, ":memory:") {
		return source{}, errors.New("dsn: want the path of a file after sqlite:, for example sqlite:/var/lib/lars/lars.db")
	}
	return source{dialect: sqliteDialect, path: path}, nil
}

func parseMySQL(rest string) (source, error) {
	rest, ok := strings.CutPrefix(rest, "//")
	if !ok {
		return source{}, errors.New("dsn: want mysql:// at its start")
	}
	rest, params, _ := strings.Cut(rest, "?")
	authority, database, _ := strings.Cut(rest, "/")
	at := strings.LastIndexByte(authority, '@')
	if at < 0 {
		return source{}, errors.New("dsn: want USER:PASSWORD@ before the host, each of / ? # @ % in them percent-encoded (/ is %2F)")
	}
	src := source{dialect: mysqlDialect, params: params}
	user, password, _ := strings.Cut(authority[:at], ":")
	for _, part := range []struct {
		name, text string
		to         *string
	}{
		{"user", user, &src.user},
		{"password", password, &src.password},
		{"database", database, &src.database},
	} {
		text, err := url.PathUnescape(part.text)
		if err != nil {
			return source{}, fmt.Errorf("dsn: the %s has a %% that starts no percent-encoding; write it as %%25", part.name)
		}
		*part.to = text
	}
	if src.database == "" {
		return source{}, errors.New("dsn: want /DATABASE after the hosts, for example /lars_dns")
	}
	for host := range strings.SplitSeq(authority[at+1:], ",") {
		addr, err := hostPort(host)
		if err != nil {
			return source{}, err
		}
		src.hosts = append(src.hosts, addr)
	}
	return src, nil
}

// hostPort returns a host with its port, 3306 if it has none.
func hostPort(s string) (string, error) {
	host, port := s, "3306"
	if h, p, err := net.SplitHostPort(s); err == nil {
		host, port = h, p
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", errors.New("dsn: a port after the @ is outside 1..65535; if it belongs to the password, percent-encode the @ in there as %40")
	}
	if host == "" || strings.ContainsAny(host, "[]") || strings.Contains(host, ":") && net.ParseIP(host) == nil {
		return "", errors.New("dsn: want HOST:PORT,... after the @, for example db1:3306,db2:3306")
	}
	return net.JoinHostPort(host, port), nil
}

// String returns the DSN without the password.
func (s source) String() string {
	if s.path != "" {
		return "sqlite:" + s.path
	}
	return fmt.Sprintf("mysql://%s@%s/%s", url.PathEscape(s.user), strings.Join(s.hosts, ","), url.PathEscape(s.database))
}

// migrateCommand returns the command that makes the tables, to be typed or
// copied. The password is for the reader to fill in.
func (s source) migrateCommand() string {
	if s.path != "" {
		return fmt.Sprintf("lars db migrate --dsn 'sqlite:%s'", s.path)
	}
	shown := strings.Replace(s.String(), "@", ":PASSWORD@", 1)
	return fmt.Sprintf("lars db migrate --dsn '%s'", shown)
}
