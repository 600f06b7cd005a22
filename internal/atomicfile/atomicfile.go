// Package atomicfile replaces a file in one step: a reader finds the old
// content or the new one, also after a crash or a full disk.
//
//	err := atomicfile.Write("/var/lib/lars/routes", func(w io.Writer) error {
//		return route.WriteSnapshot(w, table, loaded)
//	})
//
// The new content grows in a new file in the same folder, whose name is that of
// the old one, some random letters, and TempSuffix. What lies at that name
// already, a symbolic link for example, is neither followed nor changed. The
// file goes away on every error; Sweep removes what a crash left.
//
// Write may be called at any time from anywhere; of two for one path the last to
// end wins. Call Sweep only while no Write of the same path runs.
//
// It does not lock, make folders, or keep the owner and mode of the old file.
package atomicfile

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// TempSuffix ends the name of the file that is being written.
const TempSuffix = ".tmp"

// tempLetters is how many random letters stand before it.
const tempLetters = 16

// tempTries is how many names of temporary files are tried. Each is one of 2^64.
const tempTries = 3

// Write makes the file at path hold what write writes, mode 0644 before the
// umask. When it returns nil, the content is on the disk. On an error the file
// at path is as it was. The writer given to write is buffered.
func Write(path string, write func(io.Writer) error) error {
	f, err := create(path)
	if err != nil {
		return fmt.Errorf("atomicfile: write %s: %w", path, err)
	}
	err = fill(f, write)
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("atomicfile: write %s: %w", path, tidy(f.Name(), err))
	}
	if err := syncFolder(filepath.Dir(path)); err != nil {
		return fmt.Errorf("atomicfile: write %s: %w", path, err)
	}
	return nil
}

// Sweep removes the temporary files of writes to path that a crash ended. It
// is for tidiness alone, so what cannot be removed stays.
func Sweep(path string) {
	entries, _ := os.ReadDir(filepath.Dir(path))
	for _, e := range entries {
		middle, ok := strings.CutPrefix(e.Name(), filepath.Base(path)+".")
		middle, temp := strings.CutSuffix(middle, TempSuffix)
		if ok && temp && len(middle) == tempLetters {
			_ = os.Remove(filepath.Join(filepath.Dir(path), e.Name()))
		}
	}
}

// create makes a new file in the folder of path.
func create(path string) (*os.File, error) {
	var err error
	for range tempTries {
		var f *os.File
		f, err = openNew(fmt.Sprintf("%s.%0*x%s", path, tempLetters, rand.Uint64(), TempSuffix))
		if !errors.Is(err, fs.ErrExist) {
			return f, err
		}
	}
	return nil, err
}

// openNew makes the file. It fails if anything has that name, whatever it is.
func openNew(name string) (*os.File, error) {
	return os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, 0o644)
}

// fill puts the content into the file, on the disk, and closes it.
func fill(f *os.File, write func(io.Writer) error) error {
	b := bufio.NewWriterSize(f, 64<<10)
	err := write(b)
	if err == nil {
		err = b.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}

// tidy takes away what a failed write left, and returns why it failed.
func tidy(temp string, cause error) error {
	if err := os.Remove(temp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%w; what it left is still there: %w", cause, err)
	}
	return cause
}

// syncFolder brings a rename to the disk.
func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close() // nothing is written through it
	return f.Sync()
}
