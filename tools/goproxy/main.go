// Goproxy writes a Go module into a folder that go takes as a GOPROXY:
//
//	go run ./goproxy .. /srv/goproxy
//	GOPROXY=file:///srv/goproxy,$(go env GOPROXY) GONOSUMDB=lars.internal go get lars.internal
//
// It writes the commit that is checked out. Its version is the tag of that
// commit, if there is one of the form v1.2.3, else a pseudo-version. It prints
// the module and its version. Versions that the folder holds already stay.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
	"golang.org/x/mod/zip"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: goproxy REPOSITORY FOLDER")
		os.Exit(2)
	}
	if err := publish(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "goproxy:", err)
		os.Exit(1)
	}
}

// info is what go reads of a version.
type info struct {
	Version string
	Time    time.Time
}

func publish(repo, dir string) error {
	gomod, err := git(repo, "show", "HEAD:go.mod")
	if err != nil {
		return fmt.Errorf("%w: a version is made of a commit, so %s has to be a git repository", err, repo)
	}
	path := modfile.ModulePath(gomod)
	v, err := versionOf(repo)
	if err != nil {
		return err
	}
	m := module.Version{Path: path, Version: v.Version}
	if err := module.Check(m.Path, m.Version); err != nil {
		return err // such as v2.0.0 of a path without /v2
	}
	escaped, err := module.EscapePath(path)
	if err != nil {
		return err
	}
	at := filepath.Join(dir, filepath.FromSlash(escaped))
	if err := write(repo, at, m, v, gomod); err != nil {
		return err
	}
	if changes, err := git(repo, "status", "--porcelain"); err != nil || len(changes) > 0 {
		fmt.Fprintln(os.Stderr, "goproxy: what is not committed is not in it")
	}
	fmt.Println(m)
	return nil
}

// versionOf returns the version of the commit that is checked out.
func versionOf(repo string) (info, error) {
	out, err := git(repo, "log", "-1", "--format=%H %ct")
	if err != nil {
		return info{}, err
	}
	var commit string
	var seconds int64
	if _, err := fmt.Sscan(string(out), &commit, &seconds); err != nil {
		return info{}, fmt.Errorf("git log: %q: %w", out, err)
	}
	at := time.Unix(seconds, 0).UTC()
	if tag := newestTag(repo, "--points-at", "HEAD"); tag != "" {
		return info{tag, at}, nil
	}
	older := newestTag(repo, "--merged", "HEAD")
	return info{module.PseudoVersion(semver.Major(older), older, at, commit[:12]), at}, nil
}

// newestTag returns the newest tag that is a version, empty if there is none.
func newestTag(repo string, which ...string) string {
	out, err := git(repo, append([]string{"tag"}, which...)...)
	if err != nil {
		return ""
	}
	tags := slices.DeleteFunc(strings.Fields(string(out)), func(t string) bool {
		return semver.Canonical(t) != t || module.IsPseudoVersion(t)
	})
	if len(tags) == 0 {
		return ""
	}
	return slices.MaxFunc(tags, semver.Compare)
}

// write writes the files of a version.
func write(repo, at string, m module.Version, v info, gomod []byte) error {
	versions := filepath.Join(at, "@v")
	if err := os.MkdirAll(versions, 0o755); err != nil {
		return err
	}
	archive, err := zipOf(repo, m)
	if err != nil {
		return err
	}
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	file := filepath.Join(versions, v.Version)
	return errors.Join(
		os.WriteFile(file+".zip", archive, 0o644),
		os.WriteFile(file+".mod", gomod, 0o644),
		os.WriteFile(file+".info", text, 0o644),
		os.WriteFile(filepath.Join(at, "@latest"), text, 0o644),
		list(versions))
}

// zipOf returns the commit that is checked out as go wants it: without nested
// modules, whose go.mod it would refuse.
func zipOf(repo string, m module.Version) ([]byte, error) {
	tmp, err := os.MkdirTemp("", "goproxy")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp)
	top, err := git(repo, "rev-parse", "--show-toplevel")
	if err != nil {
		return nil, err
	}
	tar, source := filepath.Join(tmp, "source.tar"), filepath.Join(tmp, "source")
	if _, err := git(strings.TrimSpace(string(top)), "archive", "-o", tar, "HEAD"); err != nil {
		return nil, err
	}
	if err := os.Mkdir(source, 0o755); err != nil {
		return nil, err
	}
	if out, err := exec.Command("tar", "-xf", tar, "-C", source).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("tar: %w: %s", err, out)
	}
	var archive bytes.Buffer
	err = zip.CreateFromDir(&archive, m, source)
	return archive.Bytes(), err
}

// list writes the list of versions, which leaves pseudo-versions out.
func list(versions string) error {
	files, err := filepath.Glob(filepath.Join(versions, "*.info"))
	if err != nil {
		return err
	}
	var all []string
	for _, f := range files {
		if v := strings.TrimSuffix(filepath.Base(f), ".info"); !module.IsPseudoVersion(v) {
			all = append(all, v+"\n")
		}
	}
	return os.WriteFile(filepath.Join(versions, "list"), []byte(strings.Join(all, "")), 0o644)
}

func git(repo string, args ...string) ([]byte, error) {
	cmd := exec.Command("git", args...)
	cmd.Dir = repo
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil, fmt.Errorf("git %s: %w: %s", args[0], err, bytes.TrimSpace(exit.Stderr))
	}
	return out, err
}
