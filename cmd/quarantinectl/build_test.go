package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The program builds without cgo, so that it runs on a laptop without Ceph's
// libraries, and the binary starts.
func TestBuildsWithoutCgo(t *testing.T) {
	t.Parallel()
	bin := filepath.Join(t.TempDir(), "quarantinectl")
	build := exec.Command("go", "build", "-ldflags", "-X main.version=9.9.9", "-o", bin, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := exec.Command(bin, "version").Output()
	if err != nil || !strings.HasPrefix(string(out), "quarantinectl 9.9.9 ") {
		t.Errorf("version: %q, %v", out, err)
	}
}

// The daemon's heavy parts are not in the program: Ceph, the database, the
// message bus, the HTTP server's framework.
func TestImportsNothingOfTheDaemon(t *testing.T) {
	t.Parallel()
	list := exec.Command("go", "list", "-deps", ".")
	list.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	deps := strings.Fields(string(out))
	if len(deps) < 100 {
		t.Fatalf("go list found only %d packages", len(deps))
	}
	for _, dep := range deps {
		for _, heavy := range []string{
			"github.com/ceph/", "sqlite", "amqp091", "danielgtaylor/huma", "pressly/goose", "client_golang", "robfig/cron",
			"quarantine/internal/ceph/", "quarantine/internal/catalog", "quarantine/internal/custody", "quarantine/internal/openstack",
		} {
			if strings.Contains(dep+"/", heavy) {
				t.Errorf("it imports %s", dep)
			}
		}
	}
}
