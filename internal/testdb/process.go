package testdb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Free ports are taken below the range that the kernel uses for outgoing
// connections, so that a port stays free while its server is stopped.
const (
	firstPort = 20000
	lastPort  = 32000
)

// guardScript waits for a line. The end of the input instead means that the
// test binary has died: then the server goes, and its folder.
const guardScript = `read -r _ || { kill -KILL "$1"; rm -rf "$2"; }`

// process is one MariaDB server. Its methods are for one goroutine at a time;
// addr and open are for any.
type process struct {
	// Immutable after newProcess.
	dir     string // holds everything of the server
	port    int
	account string   // that the server runs as if this process is root's; "": root
	extra   []string // arguments that only this server has

	// Set while the server runs, nil otherwise.
	server     *exec.Cmd
	guard      *exec.Cmd
	guardInput io.WriteCloser // the guard's input
}

// needBinaries ends the test early when this machine has no MariaDB.
func needBinaries(t testing.TB) {
	t.Helper()
	_, errServer := find("mariadbd")
	_, errInstall := find("mariadb-install-db")
	err := errors.Join(errServer, errInstall)
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatalf("testdb: CI=true forbids skipping the MySQL tests: %v", err)
	default:
		t.Skipf("MySQL tests skipped: no MariaDB server on this machine; install mariadb-server (%v)", err)
	}
}

// find looks for a program also where servers are kept, which is not in the
// PATH of all users.
func find(name string) (string, error) {
	path, err := exec.LookPath(name)
	for _, dir := range []string{"/usr/sbin", "/usr/local/sbin", "/usr/libexec"} {
		if err == nil {
			break
		}
		path, err = exec.LookPath(filepath.Join(dir, name))
	}
	if err != nil {
		return "", fmt.Errorf("%s is not installed", name)
	}
	return path, nil
}

// newProcess installs and starts a server.
func newProcess() (*process, error) {
	dir, err := os.MkdirTemp("", "lars-testdb-")
	if err != nil {
		return nil, fmt.Errorf("folder for a server: %w", err)
	}
	p := &process{dir: dir}
	if err := p.install(); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	// Somebody may take the port between the look and the start.
	for range 3 {
		if p.port, err = freePort(); err != nil {
			break
		}
		if err = p.start(); err == nil {
			return p, nil
		}
	}
	p.remove()
	return nil, err
}

// install makes the system tables and the statements that every start runs
// before the first connection.
func (p *process) install() error {
	installer, err := find("mariadb-install-db")
	if err != nil {
		return err
	}
	out, err := exec.Command(installer, append(p.commonArgs(),
		"--skip-test-db", "--auth-root-authentication-method=normal")...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("install a server in %s: %w: %s", p.dir, err, tail(out))
	}
	script := fmt.Sprintf("CREATE USER IF NOT EXISTS %s@'%%' IDENTIFIED BY '%s';\n"+
		"GRANT ALL ON *.* TO %[1]s@'%%' WITH GRANT OPTION;\n"+
		"ALTER USER root@localhost IDENTIFIED BY '%[2]s';\n", User, Password)
	return os.WriteFile(p.initFile(), []byte(script), 0o600)
}

func (p *process) start() error {
	binary, err := find("mariadbd")
	if err != nil {
		return err
	}
	log, err := os.OpenFile(p.logFile(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("log of the server: %w", err)
	}
	defer log.Close()
	p.server = exec.Command(binary, slices.Concat(p.commonArgs(), p.serverArgs(), p.extra)...)
	p.server.Stdout, p.server.Stderr = log, log
	p.server.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.server.Start(); err != nil {
		p.server = nil
		return fmt.Errorf("start %s: %w", binary, err)
	}
	if err := p.startGuard(); err != nil {
		return errors.Join(err, p.kill())
	}
	if err := p.waitReady(); err != nil {
		return errors.Join(err, p.kill())
	}
	return nil
}

// startGuard starts the process that outlives us by as long as it takes to
// remove the server.
func (p *process) startGuard() error {
	guard := exec.Command("sh", "-c", guardScript, "guard", strconv.Itoa(p.server.Process.Pid), p.dir)
	guard.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt of the terminal is not for it
	guardInput, err := guard.StdinPipe()
	if err != nil {
		return fmt.Errorf("guard of the server: %w", err)
	}
	if err := guard.Start(); err != nil {
		return fmt.Errorf("guard of the server: %w", err)
	}
	p.guard, p.guardInput = guard, guardInput
	return nil
}

// waitReady returns when the server answers, or cannot any more.
func (p *process) waitReady() error {
	db, err := p.open("")
	if err != nil {
		return err
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(context.Background(), maxWait)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		if err = db.PingContext(ctx); err == nil {
			return nil
		}
		if p.dead() {
			return fmt.Errorf("the server ended at its start: %s", p.logTail())
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return fmt.Errorf("the server does not answer: %w: %s", err, p.logTail())
		}
	}
}

// dead reports whether the server has ended, and leaves it to be waited for.
func (p *process) dead() bool {
	var info unix.Siginfo
	err := unix.Waitid(unix.P_PID, p.server.Process.Pid, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	return err == nil && info.Signo != 0
}

func (p *process) stop() error {
	if err := p.signal(unix.SIGTERM); err != nil {
		return err
	}
	late := time.AfterFunc(maxWait, func() { p.server.Process.Kill() })
	defer late.Stop()
	return p.reap()
}

func (p *process) kill() error {
	if err := p.signal(unix.SIGKILL); err != nil {
		return err
	}
	p.reap() // says only that the server was killed
	return nil
}

// reap waits for the server, then ends the guard.
func (p *process) reap() error {
	err := p.server.Wait()
	p.server = nil
	if p.guard != nil {
		io.WriteString(p.guardInput, "done\n")
		p.guardInput.Close()
		p.guard.Wait()
		p.guard, p.guardInput = nil, nil
	}
	return err
}

func (p *process) freeze() error {
	if err := p.signal(unix.SIGSTOP); err != nil {
		return err
	}
	// The kill returns before the last thread has stopped; the wait does not.
	return os.NewSyscallError("waitid", unix.Waitid(unix.P_PID, p.server.Process.Pid, nil, unix.WSTOPPED|unix.WNOWAIT, nil))
}

func (p *process) thaw() error { return p.signal(unix.SIGCONT) }

func (p *process) signal(sig syscall.Signal) error {
	if p.server == nil {
		return errors.New("the server does not run")
	}
	return p.server.Process.Signal(sig)
}

// remove ends the server, if it runs, and removes its folder.
func (p *process) remove() {
	if p.server != nil {
		p.kill()
	}
	os.RemoveAll(p.dir)
}

func (p *process) addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(p.port)) }

func (p *process) dataDir() string { return filepath.Join(p.dir, "data") }

func (p *process) initFile() string { return filepath.Join(p.dir, "init.sql") }

func (p *process) logFile() string { return filepath.Join(p.dir, "log") }

// commonArgs are the arguments of installer and server: no configuration of
// this machine, small files, no trust in the disk.
func (p *process) commonArgs() []string {
	args := []string{
		"--no-defaults", // has to be the first
		"--datadir=" + p.dataDir(),
		"--tmpdir=" + p.dir, // a server that starts removes all temporary tables that lie there
		"--innodb-log-file-size=8M",
		"--innodb-buffer-pool-size=64M",
		"--innodb-flush-log-at-trx-commit=2", // what was committed survives Kill
		"--innodb-use-native-aio=0",          // its kernel resource is shared with the whole machine
	}
	if os.Geteuid() == 0 {
		args = append(args, "--user="+cmp.Or(p.account, "root"))
	}
	return args
}

func (p *process) serverArgs() []string {
	return []string{
		"--bind-address=127.0.0.1",
		"--port=" + strconv.Itoa(p.port),
		"--socket=s", // in the data folder; an absolute path may be too long for a socket
		"--init-file=" + p.initFile(),
		"--skip-name-resolve",
		"--skip-log-bin",
		"--performance-schema=off",
		"--character-set-server=utf8mb4",
	}
}

func (p *process) logTail() string {
	log, err := os.ReadFile(p.logFile())
	if err != nil {
		return err.Error()
	}
	return tail(log)
}

// tail returns the last lines of an output, in one line.
func tail(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], " | ")
}

// freePort returns a port of 127.0.0.1 on which nobody listens.
func freePort() (int, error) {
	var err error
	for range 100 {
		port := firstPort + rand.IntN(lastPort-firstPort)
		var l net.Listener
		if l, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			return port, l.Close()
		}
	}
	return 0, fmt.Errorf("find a free port: %w", err)
}
