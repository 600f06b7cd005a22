// The tests of this folder build the example that is a module of its own, in the
// ways in which programs of other repositories get at this module.
package examples_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// root is the folder of the repository.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// run runs a command in a folder and returns what it prints.
func run(t *testing.T, dir string, environ []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), "GOFLAGS=-buildvcs=false", "GOWORK=off"), environ...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// copyOf copies a folder as it is checked out: nothing hidden, nothing built.
func copyOf(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, name) // both are absolute
		switch {
		case d.IsDir() && rel != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "bin"):
			return fs.SkipDir
		case d.IsDir():
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		case !d.Type().IsRegular():
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), text, info.Mode())
	})
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// A program requires the module by a replace of its path.
func TestRequiredByReplace(t *testing.T) {
	dir := copyOf(t, filepath.Join(root(t), "examples", "pick"))
	run(t, dir, nil, "go", "mod", "edit", "-replace", "lars.internal="+root(t))
	run(t, dir, nil, "go", "vet", ".")
	run(t, dir, nil, "go", "build", "-o", t.TempDir(), ".")
}

// A program requires it from a folder that make goproxy wrote, which holds the
// commit that is checked out.
func TestRequiredFromAProxy(t *testing.T) {
	if out, err := exec.Command("git", "rev-parse", "HEAD").CombinedOutput(); err != nil {
		t.Skipf("there is no commit to make a version of: %s", out)
	}
	proxy, cache := t.TempDir(), t.TempDir()
	fields := strings.Split(strings.TrimSpace(run(t, root(t), nil, "make", "-s", "goproxy", "DIR="+proxy)), "\n")
	module := fields[len(fields)-1]
	if !strings.HasPrefix(module, "lars.internal@v") {
		t.Fatalf("make goproxy prints %q, want the module and its version", module)
	}
	mine := strings.TrimSpace(run(t, ".", nil, "go", "env", "GOMODCACHE"))
	environ := []string{
		"GOPROXY=file://" + proxy + ",file://" + filepath.Join(mine, "cache", "download"),
		"GOMODCACHE=" + cache, "GOFLAGS=-mod=mod -modcacherw -buildvcs=false", "GOSUMDB=off", // no network: all else is in the module cache of this machine
	}
	for _, version := range []string{module, "lars.internal@latest"} {
		dir := copyOf(t, filepath.Join(root(t), "examples", "pick"))
		run(t, dir, environ, "go", "mod", "edit", "-dropreplace", "lars.internal", "-droprequire", "lars.internal")
		run(t, dir, environ, "go", "get", version)
		run(t, dir, environ, "go", "build", "-o", t.TempDir(), ".")
		if list := run(t, dir, environ, "go", "list", "-m", "lars.internal"); !strings.Contains(list, strings.ReplaceAll(module, "@", " ")) {
			t.Errorf("go get %s took %q, want %s", version, list, module)
		}
	}
}

// make module-path gives the module another path, and nothing of the old one is
// left.
func TestModulePath(t *testing.T) {
	if testing.Short() {
		t.Skip("it compiles the whole module")
	}
	dir := copyOf(t, root(t))
	run(t, dir, nil, "make", "module-path", "MODULE=example.com/team/lars")
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(name)
		if i := strings.Index(string(text), "lars.internal"); i >= 0 {
			t.Errorf("%s: %.60q", name, text[i:])
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	run(t, dir, nil, "go", "build", "-o", t.TempDir()+"/", "./...")
	run(t, dir, nil, "go", "test", "./larspb", ".")
	run(t, filepath.Join(dir, "tools"), nil, "go", "vet", "./...")
	run(t, filepath.Join(dir, "examples", "pick"), nil, "go", "vet", ".")
}
