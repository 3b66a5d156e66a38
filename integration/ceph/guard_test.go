package cephlab

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
)

// guarded is a pool of its own with the guard on.
type guarded struct {
	t    *testing.T
	ctx  context.Context
	l    *Lab
	pool string
}

func newGuarded(t *testing.T) guarded {
	t.Helper()
	ctx := testContext(t)
	l, pool := newPool(t, ctx)
	guard(t, ctx, l, pool)
	return guarded{t, ctx, l, pool}
}

// rbd runs `rbd` as a user and fails the test if that fails.
func (g guarded) rbd(user string, args ...string) string {
	g.t.Helper()
	return must(g.t, g.ctx, g.l)(user, args...)
}

// in is the spec of an image in the pool.
func (g guarded) in(name string) string { return g.pool + "/" + name }

// create lets the cloud make an image with some data.
func (g guarded) create(name string) {
	g.t.Helper()
	g.rbd(Cloud, "create", "--size", "8M", g.in(name))
	g.rbd(Cloud, "bench", "--io-type", "write", "--io-total", "8192", "--io-size", "4096", g.in(name))
}

// trash returns the ids of the pool's trash by name, and whether each is
// protected.
func (g guarded) trash() map[string]trashEntry {
	g.t.Helper()
	var entries []struct {
		ID, Name, Status string
	}
	out := g.rbd(Cloud, "trash", "ls", "--long", "--format", "json", g.pool)
	if err := json.Unmarshal([]byte(out), &entries); err != nil {
		g.t.Fatalf("read %q: %v", out, err)
	}
	byName := map[string]trashEntry{}
	for _, e := range entries {
		byName[e.Name] = trashEntry{e.ID, strings.HasPrefix(e.Status, "protected until")}
	}
	return byName
}

type trashEntry struct {
	id        string
	protected bool
}

// holds checks that the guard still works: an image that the cloud removes is
// in the trash, protected.
func (g guarded) holds(name string) {
	g.t.Helper()
	g.rbd(Cloud, "create", "--size", "4M", g.in(name))
	g.rbd(Cloud, "rm", "--no-progress", g.in(name))
	if e := g.trash()[name]; !e.protected {
		g.t.Errorf("the guard does not hold any more: %s is in the trash as %+v", name, e)
	}
}

// A sealed disk outlasts whatever the cloud's key does to remove it, whether
// its entry is protected or, as OpenNebula's and Cinder's own moves leave it,
// not: rbd rm, trash rm, trash rm --force and trash purge.
func TestSealedDisksCannotBeRemoved(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	for _, name := range []string{"protected", "bare", "live"} {
		g.create(name)
		// By name: this rbd has no `snap create --image-id`.
		g.rbd(Quarantine, "snap", "create", "--no-progress", g.in(name)+"@quarantine")
	}
	g.rbd(Cloud, "rm", "--no-progress", g.in("protected"))
	g.rbd(Cloud, "trash", "mv", g.in("bare"))
	before := g.trash()
	if !before["protected"].protected || before["bare"].protected || before["bare"].id == "" {
		t.Fatalf("the trash has %+v", before)
	}
	refused := func(status int, args ...string) {
		t.Helper()
		_, err := g.l.RBD(g.ctx, Cloud, args...)
		wantStatus(t, err, status)
	}
	for name, e := range before {
		plain := enotempty
		if e.protected {
			plain = eperm
		}
		refused(plain, "trash", "rm", "--no-progress", "--pool", g.pool, e.id)
		refused(enotempty, "trash", "rm", "--no-progress", "--force", "--pool", g.pool, e.id)
		refused(2, "rm", "--no-progress", g.in(name)) // it has no name any more
	}
	for _, args := range [][]string{{}, {"--expired-before", "2100-01-01"}, {"--threshold", "0"}} {
		// Whatever it says: it must not remove.
		_, err := g.l.RBD(g.ctx, Cloud, append([]string{"trash", "purge", "--no-progress", g.pool}, args...)...)
		t.Logf("trash purge %q: %v", args, err)
	}
	if after := g.trash(); after["protected"] != before["protected"] || after["bare"] != before["bare"] {
		t.Errorf("the trash had %+v, and has %+v", before, after)
	}
	for _, e := range before {
		if snaps := g.rbd(Quarantine, "snap", "ls", "--pool", g.pool, "--image-id", e.id); !strings.Contains(snaps, "quarantine") {
			t.Errorf("the seal is gone: %s", snaps)
		}
	}

	// Without the guard, a removal of a live sealed image is refused.
	g.rbd(Quarantine, "config", "pool", "remove", g.pool, "rbd_move_to_trash_on_remove")
	refused(enotempty, "rm", "--no-progress", g.in("live"))
	g.rbd(Cloud, "info", g.in("live"))
}

// Whatever the cloud removes from a guarded pool is in the trash, protected:
// plain images, images with snapshots (protected ones too),
// clones, bases of clones, and images of fewer features.
func TestGuardKeepsEveryKindOfImage(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	for _, name := range []string{"plain", "snapped", "base"} {
		g.create(name)
	}
	g.rbd(Cloud, "snap", "create", "--no-progress", g.in("snapped")+"@one")
	g.rbd(Cloud, "snap", "create", "--no-progress", g.in("base")+"@snap")
	g.rbd(Cloud, "snap", "protect", g.in("base")+"@snap")
	g.rbd(Cloud, "clone", "--rbd-default-clone-format", "1", g.in("base")+"@snap", g.in("clone1"))
	g.rbd(Cloud, "clone", "--rbd-default-clone-format", "2", g.in("base")+"@snap", g.in("clone2"))
	g.rbd(Cloud, "create", "--size", "4M", "--image-feature", "layering", g.in("layering"))
	names := []string{"plain", "snapped", "clone1", "clone2", "base", "layering"}
	for _, name := range names {
		g.rbd(Cloud, "rm", "--no-progress", g.in(name))
	}
	trash := g.trash()
	if len(trash) != len(names) {
		t.Errorf("the trash has %d entries, want %d", len(trash), len(names))
	}
	for _, name := range names {
		e := trash[name]
		if !e.protected {
			t.Errorf("%s is in the trash as %+v", name, e)
		}
	}
	if live := g.rbd(Cloud, "ls", g.pool); live != "" {
		t.Errorf("after the removals there is still %q", live)
	}
}

// The cloud's key does not get round the guard, by the pool's settings, by the
// object that they are in, by the image's or the client's own settings, or by
// the monitors.
func TestTheCloudCannotSwitchTheGuardOff(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	const option = "rbd_move_to_trash_on_remove"
	settings := g.rbd(Quarantine, "config", "pool", "ls", "--format", "json", g.pool)
	rados := func(args ...string) func(user string) error {
		return func(user string) error {
			_, err := g.l.Rados(g.ctx, user, append([]string{"-p", g.pool}, args...)...)
			return err
		}
	}
	rbd := func(args ...string) func(user string) error {
		return func(user string) error { _, err := g.l.RBD(g.ctx, user, args...); return err }
	}
	ceph := func(args ...string) func(user string) error {
		return func(user string) error { _, err := g.l.CephAs(g.ctx, user, args...); return err }
	}
	key := "metadata_conf_" + option
	for name, way := range map[string]func(user string) error{
		"PoolSet":      rbd("config", "pool", "set", g.pool, option, "false"),
		"PoolRemove":   rbd("config", "pool", "remove", g.pool, option),
		"ExpireSet":    rbd("config", "pool", "set", g.pool, option+"_expire_seconds", "0"),
		"ExpireRemove": rbd("config", "pool", "remove", g.pool, option+"_expire_seconds"),
		"ObjectRemove": rados("rm", "rbd_info"),
		"OmapSet":      rados("setomapval", "rbd_info", key, "false"),
		"OmapRemove":   rados("rmomapkey", "rbd_info", key),
		"OmapClear":    rados("clearomap", "rbd_info"),
		"ObjectWrite":  rados("truncate", "rbd_info", "0"),
		"ObjectCopy":   rados("cp", "rbd_directory", "rbd_info"),
		"PoolDelete":   ceph("osd", "pool", "delete", g.pool, g.pool, "--yes-i-really-really-mean-it"),
		"OwnCaps":      ceph("auth", "caps", "client."+Cloud, "mon", "allow *", "osd", "allow *"),
		"MonConfig":    ceph("config", "set", "client", option, "false"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var refused *CommandError
			if err := way(Cloud); !errors.As(err, &refused) || !slices.Contains([]int{eperm, eacces}, refused.Status) {
				t.Errorf("got %v, want EPERM or EACCES", err)
			}
		})
	}
	t.Run("ClientOption", func(t *testing.T) {
		t.Parallel()
		g.rbd(Cloud, "create", "--size", "4M", g.in("by-option"))
		g.rbd(Cloud, "rm", "--no-progress", "--rbd-move-to-trash-on-remove=false", g.in("by-option"))
		if e := g.trash()["by-option"]; !e.protected {
			t.Errorf("it is in the trash as %+v", e)
		}
	})
	t.Run("ImageSetting", func(t *testing.T) {
		t.Parallel()
		g.rbd(Cloud, "create", "--size", "4M", g.in("by-image"))
		g.rbd(Cloud, "config", "image", "set", g.in("by-image"), option, "false")
		g.rbd(Cloud, "rm", "--no-progress", g.in("by-image"))
		if e := g.trash()["by-image"]; !e.protected {
			t.Errorf("it is in the trash as %+v", e)
		}
	})
	t.Cleanup(func() { // after the parallel subtests
		g.ctx = context.WithoutCancel(g.ctx)
		g.holds("canary")
		if after := g.rbd(Quarantine, "config", "pool", "ls", "--format", "json", g.pool); after != settings {
			t.Errorf("the pool's settings were %s, and are %s", settings, after)
		}
	})
}

// With the usual caps the cloud can switch the guard off: the caps by prefix
// are what holds, and the tests above would see it if they did not.
func TestTheClassicKeyCanSwitchTheGuardOff(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	g.holds("before")
	const option = "rbd_move_to_trash_on_remove"
	for name, way := range map[string]func() error{
		"pool-set": func() error {
			_, err := g.l.RBD(g.ctx, ClassicCloud, "config", "pool", "set", g.pool, option, "false")
			return err
		},
		"pool-remove": func() error {
			_, err := g.l.RBD(g.ctx, ClassicCloud, "config", "pool", "remove", g.pool, option)
			return err
		},
		"omap-remove": func() error {
			_, err := g.l.Rados(g.ctx, ClassicCloud, "-p", g.pool, "rmomapkey", "rbd_info", "metadata_conf_"+option)
			return err
		},
		"object-remove": func() error {
			_, err := g.l.Rados(g.ctx, ClassicCloud, "-p", g.pool, "rm", "rbd_info")
			return err
		},
	} {
		guard(t, g.ctx, g.l, g.pool)
		if err := way(); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		g.rbd(ClassicCloud, "create", "--size", "4M", g.in(name))
		g.rbd(ClassicCloud, "rm", "--no-progress", g.in(name))
		if e, ok := g.trash()[name]; ok {
			t.Errorf("%s: the guard still works: %+v", name, e)
		}
	}
}
