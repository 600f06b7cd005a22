package atomicfile_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
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

// /dev/full fails each write with ENOSPC, as a full disk does.
func TestWriteFullDisk(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	if err := atomicfile.Write(path, text("old")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/full", path+atomicfile.TempSuffix); err != nil {
		t.Fatal(err)
	}
	if err := atomicfile.Write(path, text("new")); err == nil {
		t.Error("no error from a full disk")
	}
	checkFolder(t, dir, map[string]string{"f": "old"})
}

func TestWriteAfterCrash(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	if err := os.WriteFile(path+atomicfile.TempSuffix, []byte("half of a very long"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := atomicfile.Write(path, text("new")); err != nil {
		t.Fatal(err)
	}
	checkFolder(t, dir, map[string]string{"f": "new"})
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
	if _, err := os.Lstat(path + atomicfile.TempSuffix); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the new content was left behind: %v", err)
	}
}
