// Package lars_test holds the rules of the house as tests: what must hold in
// every folder of the module.
package lars_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const (
	maxFileLines = 600
	maxFuncLines = 80
	module       = "lars.internal"
)

// mayImport says which packages of this module a package may import, outside
// its tests. A folder is judged by the first part of its path; "*" allows all.
var mayImport = map[string][]string{
	"reactor":  {},
	"route":    {},
	"sql":      {},
	"internal": {},
	"larspb":   {"route"},
	"lb":       {"route", "call"},
	"history":  {"route"},
	"ledger":   {"route", "lb", "history"},
	"call":     {"route", "lb"},
	"keep":     {"route", "internal"},
	"engine":   {"route", "lb", "ledger"},
	"sim":      {"route", "lb", "call", "ledger", "engine", "internal"},
	"access":   {"reactor", "larspb"},
	"dns":      {"route", "larspb", "reactor", "access", "keep", "internal"},
	"reporter": {"route", "larspb", "reactor", "access", "keep", "internal"},
	"agent":    {"engine", "ledger", "lb", "route", "larspb", "reactor", "access", "keep", "internal"},
	"client":   {"larspb", "route", "lb", "call"},
	"admin":    {"route", "lb", "internal"},
	"store":    {"route", "sql", "admin", "internal"},
	"bench":    {"client", "larspb", "reactor", "sim", "internal"},
	"demo":     {"client", "larspb", "reactor", "internal"},
	"examples": {"client", "larspb", "reactor", "internal"},
	"cmd":      {"*"},
}

// goFile is one source file of the module, parsed.
type goFile struct {
	path string // from the root, with slashes
	text []byte
	fset *token.FileSet
	ast  *ast.File
}

func (f goFile) isTest() bool { return strings.HasSuffix(f.path, "_test.go") }

func (f goFile) isGenerated() bool { return ast.IsGenerated(f.ast) }

func (f goFile) line(p token.Pos) int { return f.fset.Position(p).Line }

// sources returns all Go files of the module; nested modules are not part of it.
func sources(t *testing.T) []goFile {
	t.Helper()
	files, err := parseAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 50 {
		t.Fatalf("only %d Go files found: the walk is broken", len(files))
	}
	return files
}

// parseAll reads the files once for all tests.
var parseAll = sync.OnceValues(func() ([]goFile, error) {
	var files []goFile
	fset := token.NewFileSet()
	err := walkFiles(func(name string) error {
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		tree, err := parser.ParseFile(fset, name, text, parser.ParseComments)
		files = append(files, goFile{path: name, text: text, fset: fset, ast: tree})
		return err
	})
	return files, err
})

// walk calls f with each file of the module that is not hidden.
func walk(t *testing.T, f func(name string)) {
	t.Helper()
	err := walkFiles(func(name string) error {
		f(name)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func walkFiles(f func(name string) error) error {
	return filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && skipped(name, d.Name()):
			return fs.SkipDir
		case d.Type().IsRegular():
			return f(filepath.ToSlash(name))
		}
		return nil
	})
}

func skipped(name, base string) bool {
	if strings.HasPrefix(base, ".") || base == "testdata" || base == "bin" {
		return true
	}
	_, err := os.Stat(filepath.Join(name, "go.mod"))
	return err == nil
}

func TestFilesAreFormatted(t *testing.T) {
	for _, f := range sources(t) {
		want, err := format.Source(f.text)
		if err != nil {
			t.Errorf("%s: %v", f.path, err)
		} else if !bytes.Equal(want, f.text) {
			t.Errorf("%s is not formatted: run gofmt -w %s", f.path, f.path)
		}
	}
}

func TestFilesAndFunctionsAreShort(t *testing.T) {
	for _, f := range sources(t) {
		if f.isGenerated() {
			continue
		}
		if n := bytes.Count(f.text, []byte("\n")); n > maxFileLines {
			t.Errorf("%s has %d lines, more than %d", f.path, n, maxFileLines)
		}
		for _, d := range f.ast.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if n := f.line(fn.End()) - f.line(fn.Pos()) + 1; n > maxFuncLines {
				t.Errorf("%s:%d: %s has %d lines, more than %d", f.path, f.line(fn.Pos()), fn.Name.Name, n, maxFuncLines)
			}
		}
	}
}

func TestEachPackageHasOneDoc(t *testing.T) {
	docs := map[string][]string{}
	for _, f := range sources(t) {
		dir := path.Dir(f.path)
		if f.isTest() && dir != "." {
			continue
		}
		docs[dir] = append(docs[dir], "")
		if f.ast.Doc != nil {
			docs[dir] = append(docs[dir], f.path)
		}
	}
	for dir, files := range docs {
		files = slices.DeleteFunc(files, func(s string) bool { return s == "" })
		if len(files) != 1 {
			t.Errorf("package in %s has %d package docs, want 1 %v", dir, len(files), files)
		}
	}
}

func TestImportsFollowTheLayout(t *testing.T) {
	for _, f := range sources(t) {
		if f.isTest() {
			continue
		}
		for _, spec := range f.ast.Imports {
			target, ok := inModule(spec)
			if ok && !allowed(path.Dir(f.path), target) {
				t.Errorf("%s:%d imports %s/%s, which the layout does not allow", f.path, f.line(spec.Pos()), module, target)
			}
		}
	}
}

func inModule(spec *ast.ImportSpec) (string, bool) {
	p, _ := strconv.Unquote(spec.Path.Value)
	return strings.CutPrefix(p, module+"/")
}

// allowed reports whether the package in folder from may import the one in to.
// Packages of one subtree may import each other.
func allowed(from, to string) bool {
	top, _, _ := strings.Cut(from, "/")
	targets, known := mayImport[top]
	toTop, _, _ := strings.Cut(to, "/")
	if top == "internal" {
		return false
	}
	return known && (toTop == top || slices.Contains(targets, "*") || slices.Contains(targets, toTop))
}

func TestAllowedImports(t *testing.T) {
	cases := []struct {
		name, from, to string
		want           bool
	}{
		{"the reactor knows nothing of Lars", "reactor", "larspb", false},
		{"a service uses the reactor", "dns", "reactor", true},
		{"a service does not know the store", "dns", "store", false},
		{"a service uses what is internal", "agent", "internal/atomicfile", true},
		{"access speaks the protocol", "access", "reactor", true},
		{"access knows no service", "access", "dns", false},
		{"internal packages stand alone", "internal/debug", "internal/config", false},
		{"a command imports anything", "cmd/lars", "store", true},
		{"a subtree imports its own parts", "bench/agent", "bench/measure", true},
		{"an unknown folder imports nothing", "extra", "route", false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := allowed(c.from, c.to); got != c.want {
				t.Errorf("allowed(%q, %q) = %v, want %v", c.from, c.to, got, c.want)
			}
		})
	}
}

// A library that prints writes past the log of the program: defect row 38 in
// another form.
func TestLibrariesDoNotPrint(t *testing.T) {
	for _, f := range sources(t) {
		if f.isTest() || f.ast.Name.Name == "main" || strings.HasPrefix(f.path, "bench/") {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok && prints(call.Fun) {
				t.Errorf("%s:%d: a library prints", f.path, f.line(n.Pos()))
			}
			return true
		})
	}
}

// prints reports whether a function is print, println or one of fmt.Print.
func prints(fun ast.Expr) bool {
	switch f := fun.(type) {
	case *ast.Ident:
		return f.Name == "print" || f.Name == "println"
	case *ast.SelectorExpr:
		x, ok := f.X.(*ast.Ident)
		return ok && x.Name == "fmt" && strings.HasPrefix(f.Sel.Name, "Print")
	}
	return false
}

func TestExportedNamesAreDocumented(t *testing.T) {
	for _, f := range sources(t) {
		if f.isTest() || f.isGenerated() || f.ast.Name.Name == "main" {
			continue
		}
		for _, d := range f.ast.Decls {
			for _, name := range undocumented(d) {
				t.Errorf("%s:%d: exported %s has no doc comment", f.path, f.line(d.Pos()), name)
			}
		}
	}
}

// undocumented returns the exported names of a declaration that has no comment.
func undocumented(d ast.Decl) []string {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Doc == nil && d.Name.IsExported() && exportedReceiver(d) {
			return []string{d.Name.Name}
		}
	case *ast.GenDecl:
		if d.Doc == nil {
			return undocumentedSpecs(d.Specs)
		}
	}
	return nil
}

func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	exported := false
	ast.Inspect(d.Recv.List[0].Type, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok {
			exported = exported || id.IsExported()
			return false
		}
		return true
	})
	return exported
}

func undocumentedSpecs(specs []ast.Spec) []string {
	var names []string
	for _, s := range specs {
		switch s := s.(type) {
		case *ast.TypeSpec:
			if s.Doc == nil && s.Comment == nil && s.Name.IsExported() {
				names = append(names, s.Name.Name)
			}
		case *ast.ValueSpec:
			for _, id := range s.Names {
				if s.Doc == nil && s.Comment == nil && id.IsExported() {
					names = append(names, id.Name)
				}
			}
		}
	}
	return names
}

// unfinished finds marks of work that was left for later. It is put together so
// that this file does not find itself.
var unfinished = regexp.MustCompile(`\b(` + "TO" + `DO|FIX` + `ME|XX` + `X|HA` + `CK)\b`)

func TestNothingIsLeftForLater(t *testing.T) {
	walk(t, func(name string) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if at := unfinished.FindIndex(text); at != nil {
			t.Errorf("%s:%d: %s", name, 1+bytes.Count(text[:at[0]], []byte("\n")), text[at[0]:at[1]])
		}
	})
}

// TestTestsDoNotSleep: a test that sleeps is slow on a fast machine and fails on
// a slow one. It waits for the event with a deadline instead.
func TestTestsDoNotSleep(t *testing.T) {
	for _, f := range sources(t) {
		if !f.isTest() {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if ok && sel.Sel.Name == "Sleep" && fmt.Sprint(sel.X) == "time" {
				t.Errorf("%s:%d: a test sleeps", f.path, f.line(sel.Pos()))
			}
			return true
		})
	}
}

// TestFolderNamesSayWhatIsInside: a package is one noun of the problem.
func TestFolderNamesSayWhatIsInside(t *testing.T) {
	for _, f := range sources(t) {
		switch name := path.Base(path.Dir(f.path)); name {
		case "util", "utils", "common", "helper", "helpers", "base", "manager", "misc":
			t.Errorf("%s: a folder named %s says nothing", f.path, name)
		}
	}
}

// TestFinding38MessagesNameTheirPackage: a line of the log begins with the package that
// writes it, in all servers, so that one pattern finds the lines of each. The agent
// once had no such beginning, and the line with which a server is up differed.
func TestFinding38MessagesNameTheirPackage(t *testing.T) {
	levels := []string{"Debug", "Info", "Warn", "Error"}
	seen := 0
	for _, f := range sources(t) {
		top, _, _ := strings.Cut(f.path, "/")
		if f.isTest() || top == "cmd" || top == "bench" || top == "demo" || top == "examples" {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || len(call.Args) == 0 || !slices.Contains(levels, sel.Sel.Name) {
				return true
			}
			if text, ok := firstText(call.Args[0]); ok {
				seen++
				if !strings.HasPrefix(text, f.ast.Name.Name+": ") {
					t.Errorf("%s:%d: the line %q of the log does not begin with %q", f.path, f.line(n.Pos()), text, f.ast.Name.Name+": ")
				}
			}
			return true
		})
	}
	if seen < 20 {
		t.Errorf("only %d lines of the log found: the walk is broken", seen)
	}
	for _, server := range []string{"agent/agent.go", "dns/server.go", "reporter/server.go"} {
		text, err := os.ReadFile(server)
		if err != nil {
			t.Fatal(err)
		}
		if want := path.Dir(server) + `: listening"`; !bytes.Contains(text, []byte(want)) {
			t.Errorf("%s does not log %q", server, want)
		}
	}
}

// firstText returns the text literal with which an expression begins.
func firstText(e ast.Expr) (string, bool) {
	for {
		sum, ok := e.(*ast.BinaryExpr)
		if !ok {
			break
		}
		e = sum.X
	}
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", false
	}
	text, err := strconv.Unquote(lit.Value)
	return text, err == nil
}
