package imports_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "quarantine/"

// pkg is what `go list` tells of a package.
type pkg struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
}

// list returns all packages of the module.
func list(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-tags", "ceph_preview", "-json=ImportPath,Imports,TestImports,XTestImports", module+"...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var pkgs []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		p.ImportPath = strings.TrimPrefix(p.ImportPath, module)
		pkgs = append(pkgs, p)
	}
	if len(pkgs) < 10 {
		t.Fatalf("go list found only %d packages", len(pkgs))
	}
	return pkgs
}

// under reports whether the path is one of the roots, or below one.
func under(path string, roots ...string) bool {
	return slices.ContainsFunc(roots, func(r string) bool { return path == r || strings.HasPrefix(path, r+"/") })
}

// mayImport says which of the module's own packages a package may import: the
// domain none, an adapter the domain (and what is named here), cmd all.
func mayImport(from, to string) bool {
	switch {
	case under(from, "cmd", "integration"):
		return !under(to, "cmd")
	case from == "internal/quarantine":
		return false
	case under(from, "internal/quarantine"): // its fakes and conformance suites
		return under(to, "internal/quarantine")
	case under(from, "internal/api"):
		return under(to, "internal/quarantine", "internal/policy", "internal/api/wire")
	case from == "internal/catalog/catalogtest":
		return under(to, "internal/quarantine")
	case from == "internal/cephcaps", from == "internal/imports":
		return false
	}
	return to == "internal/quarantine"
}

// The dependency direction is that of the README: domain, adapters, cmd;
// adapters never import one another.
func TestDependencyDirection(t *testing.T) {
	for _, p := range list(t) {
		for _, imp := range p.Imports {
			own, ok := strings.CutPrefix(imp, module)
			if ok && !mayImport(p.ImportPath, own) {
				t.Errorf("%s imports %s", p.ImportPath, own)
			}
			if p.ImportPath == "internal/quarantine" && strings.Contains(strings.Split(imp, "/")[0], ".") {
				t.Errorf("the domain imports %s; it is for the standard library only", imp)
			}
		}
	}
}

// homes are the libraries and the packages that may use them.
var homes = map[string][]string{
	"github.com/ceph/go-ceph":                 {"internal/ceph"},
	"modernc.org/sqlite":                      {"internal/catalog"},
	"github.com/pressly/goose":                {"internal/catalog"},
	"github.com/go-json-experiment/json":      {"internal/catalog"},
	"cel.dev/cel-go":                          {"internal/policy"},
	"github.com/goccy/go-yaml":                {"internal/policy", "cmd/quarantined", "cmd/quarantinectl"},
	"github.com/rabbitmq/amqp091-go":          {"internal/openstack"},
	"github.com/gophercloud/gophercloud":      {"internal/openstack"},
	"github.com/OpenNebula/one":               {"internal/opennebula"}, // goca; kolo/xmlrpc is its own
	"github.com/go-zeromq/zmq4":               {"internal/opennebula"},
	"github.com/danielgtaylor/huma":           {"internal/api"},
	"github.com/prometheus":                   {"internal/metrics"},
	"github.com/robfig/cron":                  {"cmd/quarantined"},
	"github.com/coreos/go-systemd":            {"cmd/quarantined"},
	"github.com/spf13/cobra":                  {"cmd/quarantinectl"},
	"github.com/jedib0t/go-pretty":            {"cmd/quarantinectl"},
	"github.com/vbauerster/mpb":               {"cmd/quarantinectl"},
	"golang.org/x/text":                       {"internal/opennebula"},
	"github.com/rogpeppe/go-internal":         nil, // tests only
	"pgregory.net/rapid":                      nil,
	"quarantine/internal/quarantine/fakeceph": nil,
}

// benches may use the libraries of what they measure against.
var benches = []string{"integration/bench"}

// Each third-party library has one home, and one that is not named here has
// none.
func TestLibrariesHaveOneHome(t *testing.T) {
	used := map[string]bool{}
	for _, p := range list(t) {
		for _, imp := range p.Imports {
			if !strings.Contains(strings.Split(imp, "/")[0], ".") && !under(imp, "quarantine/internal/quarantine/fakeceph") {
				continue // standard library, or ours
			}
			lib := ""
			for l := range homes {
				if under(imp, l) {
					lib = l
				}
			}
			switch {
			case lib == "":
				t.Errorf("%s imports %s, which has no home", p.ImportPath, imp)
			case !slices.Contains(homes[lib], p.ImportPath) && !under(p.ImportPath, benches...) && !under(p.ImportPath, "internal/quarantine/fakeceph", "internal/quarantine/fakecloud", "internal/quarantine/cephtest", "internal/catalog/catalogtest"):
				t.Errorf("%s imports %s, which is at home in %q", p.ImportPath, imp, homes[lib])
			}
			used[lib] = true
		}
		for _, imp := range slices.Concat(p.TestImports, p.XTestImports) {
			for l := range homes {
				if under(imp, l) {
					used[l] = true
				}
			}
		}
	}
	for lib := range homes {
		if !used[lib] {
			t.Errorf("%s has a home and nobody uses it", lib)
		}
	}
}

// What runs on a laptop needs neither Ceph's libraries nor the daemon's
// engines.
func TestCLIIsAnAPIClient(t *testing.T) {
	cmd := exec.Command("go", "list", "-deps", module+"cmd/quarantinectl")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for dep := range strings.Lines(string(out)) {
		dep = strings.TrimSpace(dep)
		if under(dep, "github.com/ceph/go-ceph", "modernc.org/sqlite", "github.com/rabbitmq/amqp091-go", module+"internal/catalog", module+"internal/custody", module+"internal/ceph", "github.com/danielgtaylor/huma") {
			t.Errorf("quarantinectl depends on %s", dep)
		}
	}
}
