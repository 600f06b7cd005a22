package atomicfile_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"lars.internal/internal/atomicfile"
)

func text(s string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, s)
		return err
	}
}

func checkFolder(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		got, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if w, ok := want[e.Name()]; !ok || w != string(got) {
			t.Errorf("%s holds %q, want %q (of %v)", e.Name(), got, w, want)
		}
	}
	if len(entries) != len(want) {
		t.Errorf("%d files, want %d", len(entries), len(want))
	}
}

func TestWriteReplaces(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	for _, content := range []string{"old and long", "new", ""} {
		if err := atomicfile.Write(path, text(content)); err != nil {
			t.Fatal(err)
		}
		checkFolder(t, dir, map[string]string{"f": content})
	}
}

func TestWriteFailureKeepsOld(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	if err := atomicfile.Write(path, text("old")); err != nil {
		t.Fatal(err)
	}
	full := errors.New("no space left")
	err := atomicfile.Write(path, func(w io.Writer) error {
		if err := text(strings.Repeat("x", 1<<20))(w); err != nil {
			return err
		}
		return full
	})
	if !errors.Is(err, full) || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v, want %v with the path", err, full)
	}
	checkFolder(t, dir, map[string]string{"f": "old"})
}

// A small file system of its own is full soon.
func TestWriteFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("no file system to fill: mount: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, 0) })
	path := filepath.Join(dir, "f")
	if err := atomicfile.Write(path, text("old")); err != nil {
		t.Fatal(err)
	}
	if err := atomicfile.Write(path, text(strings.Repeat("x", 1<<20))); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("error %v from a full disk, want %v", err, syscall.ENOSPC)
	}
	checkFolder(t, dir, map[string]string{"f": "old"})
}

// What lay at the name of the temporary file was written through: whoever may
// make links in the folder could have any file of the server's user replaced.
func TestFinding55TemporaryFileFollowsNoLink(t *testing.T) {
	dir := t.TempDir()
	path, victim := filepath.Join(dir, "f"), filepath.Join(dir, "victim")
	if err := os.WriteFile(victim, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(victim, path+atomicfile.TempSuffix); err != nil {
		t.Fatal(err)
	}
	if err := atomicfile.Write(path, text("new")); err != nil {
		t.Fatal(err)
	}
	if err := atomicfile.CreateAt(path + atomicfile.TempSuffix); !errors.Is(err, os.ErrExist) {
		t.Errorf("a name that is taken by a link: error %v, want %v", err, os.ErrExist)
	}
	checkFolder(t, dir, map[string]string{"f": "new", "victim": "precious", "f" + atomicfile.TempSuffix: "precious"})
}

func TestSweepRemovesWhatACrashLeft(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"f", "f.0123456789abcdef.tmp", "f.0123.tmp", "g.0123456789abcdef.tmp"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	atomicfile.Sweep(filepath.Join(dir, "f"))
	checkFolder(t, dir, map[string]string{"f": "x", "f.0123.tmp": "x", "g.0123456789abcdef.tmp": "x"})
}

func TestWriteNoFolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "absent", "f")
	if err := atomicfile.Write(path, text("x")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v, want ErrNotExist", err)
	}
}

func TestWriteOverFolder(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	if err := os.Mkdir(path, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := atomicfile.Write(path, text("x")); err == nil {
		t.Error("no error for a path that is a folder")
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("the new content is still there: %v, %v", entries, err)
	}
}
