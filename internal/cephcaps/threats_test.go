package cephcaps

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every line of the threat model that says what somebody can or cannot do names
// the tests that show it, and all tests that the text names are there.
func TestThreatsNameTheirTests(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	text, err := os.ReadFile(filepath.Join(root, "integration", "ceph", "THREATS.md"))
	if err != nil {
		t.Fatal(err)
	}
	tests := testNames(t, root)
	name := regexp.MustCompile("`(Test\\w+)`")
	claims := 0
	for line := range strings.Lines(string(text)) {
		for _, m := range name.FindAllStringSubmatch(line, -1) {
			if !tests[m[1]] {
				t.Errorf("there is no test %s: %s", m[1], line)
			}
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if what := strings.TrimSpace(cells[0]); what != "can" && what != "cannot" {
			continue
		}
		claims++
		if len(cells) != 4 || !name.MatchString(cells[3]) || strings.TrimSpace(cells[2]) == "" {
			t.Errorf("no test, or not when it is noticed, in: %s", line)
		}
	}
	if claims < 20 {
		t.Errorf("only %d claims are read: has the table another form?", claims)
	}
}

// testNames are the names of all test functions of the module.
func testNames(t *testing.T, root string) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Test") {
				names[f.Name.Name] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
