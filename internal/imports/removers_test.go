package imports_test

import (
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// domain type-checks internal/quarantine.
func domain(t *testing.T) *types.Package {
	t.Helper()
	fset := token.NewFileSet()
	var files []*ast.File
	names, err := filepath.Glob("../quarantine/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	conf := types.Config{Importer: importer.ForCompiler(fset, "source", nil)}
	p, err := conf.Check("quarantine/internal/quarantine", fset, files, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// reaches reports whether a value of the type can be brought to remove an
// image: it has a method of Remover, or a field from which one is reached.
func reaches(typ types.Type, verbs []string, seen map[types.Type]bool) bool {
	if seen[typ] {
		return false
	}
	seen[typ] = true
	for m := range types.NewMethodSet(typ).Methods() {
		if slices.Contains(verbs, m.Obj().Name()) {
			return true
		}
	}
	switch u := typ.Underlying().(type) {
	case *types.Pointer:
		return reaches(u.Elem(), verbs, seen)
	case *types.Struct:
		for f := range u.Fields() {
			if reaches(f.Type(), verbs, seen) {
				return true
			}
		}
	case *types.Slice:
		return reaches(u.Elem(), verbs, seen)
	case *types.Map:
		return reaches(u.Elem(), verbs, seen)
	}
	return false
}

// removing are the methods of Remover that destroy.
func removing(t *testing.T, p *types.Package) []string {
	t.Helper()
	r, ok := p.Scope().Lookup("Remover").Type().Underlying().(*types.Interface)
	if !ok {
		t.Fatal("Remover is no interface")
	}
	var verbs []string
	for m := range r.Methods() {
		if m.Name() != "Inspect" { // looks only
			verbs = append(verbs, m.Name())
		}
	}
	if len(verbs) < 3 {
		t.Fatalf("Remover has only %q", verbs)
	}
	return verbs
}

// Of all types of the domain only the Collector can reach a removing method,
// and only its constructor takes one that can.
func TestOnlyTheCollectorRemoves(t *testing.T) {
	p := domain(t)
	verbs := removing(t, p)
	var who, takers []string
	for _, name := range p.Scope().Names() {
		switch o := p.Scope().Lookup(name).(type) {
		case *types.TypeName:
			// A Removal comes from a Remover alone.
			if name != "Remover" && name != "Removal" && reaches(types.NewPointer(o.Type()), verbs, map[types.Type]bool{}) {
				who = append(who, name)
			}
		case *types.Func:
			for v := range o.Signature().Params().Variables() {
				if reaches(v.Type(), verbs, map[types.Type]bool{}) {
					takers = append(takers, name)
				}
			}
		}
	}
	if !slices.Equal(who, []string{"Collector"}) {
		t.Errorf("these types reach a removing method: %q; only the Collector may", who)
	}
	if !slices.Equal(takers, []string{"NewCollector"}) {
		t.Errorf("these functions take what removes: %q; only NewCollector may", takers)
	}
}

// The calls of go-ceph that destroy stand in the files named here and nowhere
// else, and the Remover is made in one place of the program.
func TestDestroyingCallsStandInOnePlace(t *testing.T) {
	allowed := map[string][]string{
		"RemoveImage":        {"internal/ceph/canary.go"}, // the canary, of its own name and id
		"TrashRemove":        {"internal/ceph/remover.go"},
		"TrashPurge":         nil,
		"NewRemover":         {"cmd/quarantined/build.go"},
		"NewCollector":       {"cmd/quarantined/build.go"},
		"RemoveSnapByID":     nil,
		"DeletePool":         nil,
		"RemoveWithProgress": nil,
	}
	found := map[string]bool{}
	root := "../.."
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil || strings.HasPrefix(rel, "integration") { // labs and benches act as the cloud does
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			files, watched := allowed[sel.Sel.Name]
			if !watched {
				return true
			}
			found[sel.Sel.Name] = true
			if !slices.Contains(files, filepath.ToSlash(rel)) {
				t.Errorf("%s calls %s", rel, sel.Sel.Name)
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, files := range allowed {
		if len(files) > 0 && !found[name] {
			t.Errorf("nobody calls %s: the rule looks for the wrong name", name)
		}
	}
}
