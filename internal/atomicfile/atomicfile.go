// Package atomicfile replaces a file as a whole: whoever opens it finds the
// old content or the new one, also after a crash or a full disk.
//
//	err := atomicfile.Write("/var/lib/lars/routes", func(w io.Writer) error {
//		return route.WriteSnapshot(w, table, loaded)
//	})
//
// The new content grows in a file beside the old one, named as it with TempSuffix
// behind. It goes away on every error; after a crash, the next Write takes it
// over.
//
// Different paths may be written at the same time. One path has one writer at
// a time, in one process: two could publish each other's half.
//
// It does not lock, make folders, or keep the owner and mode of the old file.
package atomicfile

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// TempSuffix ends the name of the file that is being written.
const TempSuffix = ".tmp"

// Write makes the file at path hold what write writes, mode 0644 before the
// umask. When it returns nil, the content is on the disk. On an error the file
// at path is as it was. The writer given to write is buffered.
func Write(path string, write func(io.Writer) error) error {
	temp := path + TempSuffix
	err := fill(temp, write)
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		return fmt.Errorf("atomicfile: write %s: %w", path, tidy(temp, err))
	}
	if err := syncFolder(filepath.Dir(path)); err != nil {
		return fmt.Errorf("atomicfile: write %s: %w", path, err)
	}
	return nil
}

// fill makes a file with the content, on the disk.
func fill(name string, write func(io.Writer) error) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	b := bufio.NewWriterSize(f, 64<<10)
	err = write(b)
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
