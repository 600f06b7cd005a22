package testdb

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { Main(m) }

func TestMariaDBGivesFreshDatabasesOnOneServer(t *testing.T) {
	a, b := MariaDB(t), MariaDB(t)
	if a.Addr() != b.Addr() || a.Database() == b.Database() {
		t.Fatalf("got %s on %s and %s on %s", a.Database(), a.Addr(), b.Database(), b.Addr())
	}
	if _, err := a.DB().Exec("CREATE TABLE x (id int)"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.DB().Exec("SELECT * FROM x"); err == nil {
		t.Error("the second database sees a table of the first")
	}
	if strings.Contains(a.DSN(), Password) {
		t.Errorf("DSN %s: the password is not escaped", a.DSN())
	}
}

// A server removes the temporary tables that it finds when it starts. In a folder
// that servers shared, one took away those of another that was being installed.
func TestServersShareNoTemporaryFiles(t *testing.T) {
	s := MariaDB(t)
	var folder string
	if err := s.DB().QueryRow("SELECT @@tmpdir").Scan(&folder); err != nil || folder != s.proc.dir {
		t.Errorf("temporary files are in %q, %v; want %s", folder, err, s.proc.dir)
	}
}

func TestStartMariaDBKeepsDataOverStopAndKill(t *testing.T) {
	defer goleak.VerifyNone(t)
	t.Run("server", func(t *testing.T) {
		s := StartMariaDB(t)
		db := s.DB()
		mustExec := func(query string) {
			t.Helper()
			if _, err := db.Exec(query); err != nil {
				t.Fatal(err)
			}
		}
		mustExec("CREATE TABLE x (id int) ENGINE=InnoDB")
		s.Stop()
		if err := db.Ping(); err == nil {
			t.Error("a stopped server answers")
		}
		s.Start()
		mustExec("INSERT INTO x VALUES (1)")
		s.Kill()
		if c, err := net.Dial("tcp", s.Addr()); err == nil {
			c.Close()
			t.Error("a killed server accepts")
		}
		s.Start()
		mustExec("SELECT * FROM x")
	})
}

func TestFrozenServerAcceptsAndIsSilent(t *testing.T) {
	s := StartMariaDB(t)
	db := s.DB()
	s.Freeze()
	c, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatalf("dial a frozen server: %v", err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := db.PingContext(ctx); err == nil {
		t.Error("a frozen server answers")
	}
	s.Thaw()
	ctx, cancel = context.WithTimeout(t.Context(), maxWait)
	defer cancel()
	if err := db.PingContext(ctx); err != nil {
		t.Errorf("a thawed server does not answer: %v", err)
	}
}

// The guard has to remove the server of a test binary that dies without a
// chance to clean up: this test is that binary, run as a child and killed.
func TestGuardRemovesTheServerOfADeadBinary(t *testing.T) {
	if os.Getenv("TESTDB_CHILD") != "" {
		s := StartMariaDB(t)
		os.Stdout.WriteString("\nserver " + s.proc.dir + " " + s.Addr() + "\n")
		os.Stdin.Read(make([]byte, 1)) // until killed
		return
	}
	needBinaries(t)
	child := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$")
	child.Env = append(os.Environ(), "TESTDB_CHILD=1")
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := child.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	dir, addr := readServerLine(t, out)
	child.Process.Kill()
	child.Wait()
	eventually(t, "the server ends", func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	eventually(t, "the folder is removed", func() bool {
		_, err := os.Stat(filepath.Join(dir, "data"))
		return os.IsNotExist(err)
	})
}

func readServerLine(t *testing.T, out interface{ Read([]byte) (int, error) }) (dir, addr string) {
	t.Helper()
	var text strings.Builder
	buf := make([]byte, 4096)
	for {
		n, err := out.Read(buf)
		text.Write(buf[:n])
		for line := range strings.Lines(text.String()) {
			if f := strings.Fields(line); strings.HasSuffix(line, "\n") && len(f) == 3 && f[0] == "server" {
				return f[1], f[2]
			}
		}
		if err != nil {
			t.Fatalf("child ended: %s", text.String())
		}
	}
}

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	deadline := time.After(maxWait)
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for !cond() {
		select {
		case <-again.C:
		case <-deadline:
			t.Fatalf("waited in vain until %s", what)
		}
	}
}
