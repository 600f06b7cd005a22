package lars_test

import (
	"go/ast"
	"path"
	"strconv"
	"strings"
	"testing"
)

// TestExportedNamesHoldNothingInternal: a program in another module cannot name
// a type of internal/, so it could not set a field or pass an argument of one.
func TestExportedNamesHoldNothingInternal(t *testing.T) {
	for _, f := range sources(t) {
		top, _, _ := strings.Cut(f.path, "/")
		if f.isTest() || f.ast.Name.Name == "main" || top == "internal" || top == "cmd" || top == "bench" {
			continue
		}
		internal := internalImports(f.ast)
		for _, d := range f.ast.Decls {
			for _, expr := range exportedTypes(d) {
				if name := mentions(expr, internal); name != "" {
					t.Errorf("%s:%d: an exported name has the type %s", f.path, f.line(expr.Pos()), name)
				}
			}
		}
	}
}

// internalImports returns the names under which a file knows packages of internal/.
func internalImports(f *ast.File) map[string]bool {
	names := map[string]bool{}
	for _, spec := range f.Imports {
		p, _ := strconv.Unquote(spec.Path.Value)
		if !strings.HasPrefix(p, module+"/internal/") {
			continue
		}
		name := path.Base(p)
		if spec.Name != nil {
			name = spec.Name.Name
		}
		names[name] = true
	}
	return names
}

// exportedTypes returns the expressions of a declaration that a program of
// another module sees: types of parameters, results, fields, variables, and the
// values of variables that have no type.
func exportedTypes(d ast.Decl) []ast.Expr {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && exportedReceiver(d) {
			return []ast.Expr{d.Type}
		}
	case *ast.GenDecl:
		var all []ast.Expr
		for _, s := range d.Specs {
			all = append(all, exportedOf(s)...)
		}
		return all
	}
	return nil
}

func exportedOf(s ast.Spec) []ast.Expr {
	switch s := s.(type) {
	case *ast.TypeSpec:
		if s.Name.IsExported() {
			return exportedParts(s.Type)
		}
	case *ast.ValueSpec:
		if !ast.IsExported(s.Names[0].Name) {
			return nil
		}
		if s.Type != nil {
			return []ast.Expr{s.Type}
		}
		return s.Values
	}
	return nil
}

// exportedParts returns a type, or the exported fields of a struct.
func exportedParts(e ast.Expr) []ast.Expr {
	st, ok := e.(*ast.StructType)
	if !ok {
		return []ast.Expr{e}
	}
	var all []ast.Expr
	for _, field := range st.Fields.List {
		if len(field.Names) == 0 || ast.IsExported(field.Names[0].Name) {
			all = append(all, exportedParts(field.Type)...)
		}
	}
	return all
}

// mentions returns the first name of one of the packages in an expression.
func mentions(e ast.Expr, packages map[string]bool) string {
	found := ""
	ast.Inspect(e, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok || found != "" {
			return found == ""
		}
		if x, ok := sel.X.(*ast.Ident); ok && packages[x.Name] {
			found = x.Name + "." + sel.Sel.Name
		}
		return found == ""
	})
	return found
}
