// Modulepath renames the Go module in a folder, nested modules included:
//
//	go run ./modulepath example.com/lars ..
//
// It replaces the path in go.mod files, imports, the option go_package and
// every other text that names it, and formats the Go files that it changed. The
// generated messages are left out: run make generate after it.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"go/format"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: modulepath NEW-PATH FOLDER")
		os.Exit(2)
	}
	if err := rename(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "modulepath:", err)
		os.Exit(1)
	}
}

func rename(to, root string) error {
	if err := module.CheckPath(to); err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		return err
	}
	from := modfile.ModulePath(text)
	if from == "" {
		return errors.New("go.mod names no module")
	}
	return filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == ".git" || d.Name() == "bin"):
			return fs.SkipDir
		case !d.Type().IsRegular() || strings.HasSuffix(name, ".pb.go"):
			return nil
		}
		return rewrite(name, from, to)
	})
}

// rewrite replaces the path in one file, unless it is no text.
func rewrite(name, from, to string) error {
	text, err := os.ReadFile(name)
	if err != nil || bytes.IndexByte(text, 0) >= 0 {
		return err
	}
	changed := replace(text, from, to)
	if bytes.Equal(changed, text) {
		return nil
	}
	if strings.HasSuffix(name, ".go") {
		if changed, err = format.Source(changed); err != nil { // sorts the imports
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	return os.WriteFile(name, changed, info.Mode())
}

// replace replaces from where it is a path or the beginning of one.
func replace(text []byte, from, to string) []byte {
	var out []byte
	for rest, before := text, byte(' '); ; {
		i := bytes.Index(rest, []byte(from))
		if i < 0 {
			return append(out, rest...)
		}
		if i > 0 {
			before = rest[i-1]
		}
		out = append(out, rest[:i]...)
		rest = rest[i+len(from):]
		if inPath(before) || before == '/' || goesOn(rest) {
			out = append(out, from...)
		} else {
			out = append(out, to...)
		}
		before = from[len(from)-1]
	}
}

// goesOn reports whether the last element of a path is longer than the part
// that was read; the full stop of a sentence does not count.
func goesOn(rest []byte) bool {
	if len(rest) == 0 || rest[0] == '.' && (len(rest) == 1 || !inPath(rest[1])) {
		return false
	}
	return inPath(rest[0])
}

func inPath(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || strings.IndexByte("._-~", b) >= 0
}
