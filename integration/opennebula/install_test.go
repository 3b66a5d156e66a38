package frontend

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

const original = "#!/bin/sh\n# the package's own\n"

// host is a front-end with OpenNebula's own scripts.
func host(t *testing.T) *Installer {
	t.Helper()
	i := &Installer{Root: t.TempDir()}
	for _, path := range []string{TMDeletePath, DatastoreRmPath} {
		put(t, i, path, original)
	}
	return i
}

func put(t *testing.T, i *Installer, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(i.at(path)), 0o755); err != nil {
		t.Fatal(err)
	}
	// As a package manager does it: a new file in place of the old.
	if err := os.WriteFile(i.at(path)+".tmp", []byte(content), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(i.at(path)+".tmp", i.at(path)); err != nil {
		t.Fatal(err)
	}
}

func has(t *testing.T, i *Installer, path, want string) {
	t.Helper()
	b, err := os.ReadFile(i.at(path))
	if err != nil || string(b) != want {
		t.Errorf("%s has %q, %v", path, b, err)
	}
}

func acts(changes []Change) string {
	var out []string
	for _, c := range changes {
		out = append(out, c.Act+" "+filepath.Base(c.Path))
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

// did runs a step of the installer and compares what it says.
func did(t *testing.T, what string, step func() ([]Change, error), want string) {
	t.Helper()
	changes, err := step()
	if err != nil || acts(changes) != want {
		t.Errorf("%s: %s, %v; want %s", what, acts(changes), err, want)
	}
}

// The wrapper is put in the way of both scripts, which stay beside it; a second
// run changes nothing; after an upgrade that put the originals back, the new ones
// are put aside; and at the end the originals are where they were.
func TestInstallDriver(t *testing.T) {
	i, ctx := host(t), t.Context()
	driver := func() ([]Change, error) { return i.Driver(ctx) }
	i.Dry = true
	did(t, "dry", driver, "move delete.distrib, move rm.distrib, write delete, write opennebula.conf, write rm")
	has(t, i, TMDeletePath, original)
	i.Dry = false
	did(t, "first", driver, "move delete.distrib, move rm.distrib, write delete, write opennebula.conf, write rm")
	for _, path := range []string{TMDeletePath, DatastoreRmPath} {
		has(t, i, path, DriverScript())
		has(t, i, path+Distrib, original)
		if st, err := os.Stat(i.at(path)); err != nil || st.Mode().Perm() != 0o755 {
			t.Errorf("%s: %v, %v", path, st.Mode(), err)
		}
	}
	did(t, "again", driver, "keep opennebula.conf")
	put(t, i, TMDeletePath, original+"# newer\n")
	did(t, "after an upgrade", driver, "keep opennebula.conf, move delete.distrib, write delete")
	has(t, i, TMDeletePath+Distrib, original+"# newer\n")
	has(t, i, TMDeletePath, DriverScript())
	put(t, i, DatastoreRmPath, strings.Replace(DriverScript(), "set -u", "set -u # an older release", 1))
	did(t, "over an older one of ours", driver, "keep opennebula.conf, write rm")
	has(t, i, DatastoreRmPath+Distrib, original)
	remove := func() ([]Change, error) { return i.RemoveDriver(ctx) }
	did(t, "remove", remove, "restore delete, restore rm")
	has(t, i, TMDeletePath, original+"# newer\n")
	has(t, i, DatastoreRmPath, original)
	did(t, "remove again", remove, "")
}

// Without OpenNebula's scripts nothing is installed, and the wrapper alone is
// not left in the way.
func TestInstallDriverNeedsTheOriginal(t *testing.T) {
	i := &Installer{Root: t.TempDir()}
	if changes, err := i.Driver(t.Context()); err == nil || len(changes) != 0 {
		t.Errorf("%v, %v", changes, err)
	}
	i = host(t)
	put(t, i, TMDeletePath, DriverScript())
	if _, err := i.Driver(t.Context()); err == nil || !strings.Contains(err.Error(), "reinstall") {
		t.Errorf("a wrapper whose original is lost: %v", err)
	}
}

// The files of the hooks are written once, brought up to date, and removed; a
// configuration is never touched.
func TestInstallHookFiles(t *testing.T) {
	i := &Installer{Root: t.TempDir()}
	did(t, "first", i.Hooks, "write opennebula.conf, write quarantine-drain.service, write quarantine-drain.timer, write quarantine-hook")
	put(t, i, ConfPath, "URL=http://quarantine:8840\n")
	put(t, i, HookPath, "#!/bin/sh\n# older\n")
	did(t, "again", i.Hooks, "keep opennebula.conf, write quarantine-hook")
	has(t, i, HookPath, HookScript())
	did(t, "remove", i.RemoveHooks, "remove quarantine-drain.service, remove quarantine-drain.timer, remove quarantine-hook")
	has(t, i, ConfPath, "URL=http://quarantine:8840\n")
}

// Two runs at once do not take the wrapper for the original: one of them does
// nothing, or comes after the other.
func TestInstallDriverTwiceAtOnce(t *testing.T) {
	i := host(t)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			one := &Installer{Root: i.Root}
			if _, err := one.Driver(t.Context()); err != nil && !errors.Is(err, syscall.EWOULDBLOCK) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for _, path := range []string{TMDeletePath, DatastoreRmPath} {
		has(t, i, path, DriverScript())
		has(t, i, path+Distrib, original)
	}
}

// A wrapper that lies where the original should is not taken for one.
func TestInstallDriverOverTwoWrappers(t *testing.T) {
	i := host(t)
	put(t, i, TMDeletePath, DriverScript())
	put(t, i, TMDeletePath+Distrib, DriverScript())
	if _, err := i.Driver(t.Context()); err == nil || !strings.Contains(err.Error(), "reinstall") {
		t.Errorf("got %v", err)
	}
}
