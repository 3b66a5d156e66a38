package cephlab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"quarantine/internal/cephcaps"
)

// askMonitors does, with one key, what the service asks of the monitors.
func askMonitors(ctx context.Context, l *Lab, user string) error {
	steps := &script{ctx: ctx, l: l, user: user}
	steps.do(l.CephAs, "health")
	steps.do(l.CephAs, "df")
	steps.do(l.CephAs, "osd", "blocklist", "add", "127.0.0.1:0/1", "1")
	return steps.err
}

// work does, with one key, each kind of act that the service does on a pool.
func work(ctx context.Context, l *Lab, user, pool, id string) error {
	steps := &script{ctx: ctx, l: l, user: user}
	in := func(name string) string { return pool + "/" + name + "-" + id }
	rbd := func(args ...string) string { return steps.do(l.RBD, args...) }
	rados := func(args ...string) string { return steps.do(l.Rados, append([]string{"-p", pool}, args...)...) }

	// The guard.
	rbd("config", "pool", "set", pool, "rbd_move_to_trash_on_remove_expire_seconds", "86400")

	// A canary. It and the next come early because they need most of the caps,
	// and one that is missing ends the work.
	rbd("create", "--size", "8M", in("canary"))
	rbd("bench", "--io-type", "write", "--io-total", "4096", "--io-size", "4096", in("canary"))
	rbd("rm", "--no-progress", in("canary"))

	// Purge of a disk that is a clone of the old format.
	cloud := &script{ctx: ctx, l: l, user: Admin, err: steps.err}
	cloud.do(l.RBD, "create", "--size", "8M", in("base"))
	cloud.do(l.RBD, "snap", "create", "--no-progress", in("base")+"@snap")
	cloud.do(l.RBD, "snap", "protect", in("base")+"@snap")
	cloud.do(l.RBD, "clone", "--rbd-default-clone-format", "1", in("base")+"@snap", in("old"))
	old := steps.imageID(cloud.do(l.RBD, "info", "--format", "json", in("old")))
	if cloud.err != nil {
		return cloud.err
	}
	rbd("children", "--all", in("base")+"@snap")
	rbd("trash", "mv", in("old"))
	rbd("trash", "rm", "--no-progress", "--pool", pool, old)

	// Adoption and the trash.
	rbd("create", "--size", "8M", in("disk"))
	rbd("bench", "--io-type", "write", "--io-total", "4096", "--io-size", "4096", in("disk"))
	rados("listomapkeys", "rbd_directory") // the look-up by name
	rbd("image-meta", "set", in("disk"), "quarantine.record", "x")
	image := steps.imageID(rbd("info", "--format", "json", in("disk")))
	// By name: this rbd has no `snap create --image-id`. librbd's acts are the same.
	rbd("snap", "create", "--no-progress", in("disk")+"@quarantine")
	rbd("trash", "mv", in("disk"), "--expires-at", "1 day")
	rbd("trash", "ls", "--long", pool)
	rados("watch", "rbd_trash") // its standard input is empty: it ends at once

	// Restore as a clone, flattened; export.
	rbd("trash", "restore", "--pool", pool, "--image-id", image, "--image", "out-"+id)
	rbd("clone", "--rbd-default-clone-format", "2", in("out")+"@quarantine", in("clone"))
	rbd("flatten", "--no-progress", in("clone"))
	rbd("export", "--no-progress", in("out")+"@quarantine", "-")
	rbd("du", in("out"))
	rbd("status", in("out"))
	rbd("children", "--all", in("out")+"@quarantine")

	// Purge.
	rbd("trash", "mv", in("out"))
	rbd("snap", "rm", "--no-progress", "--pool", pool, "--image-id", image, "--snap", "quarantine")
	rbd("trash", "rm", "--no-progress", "--pool", pool, image)
	rbd("rm", "--no-progress", in("clone"))
	return steps.err
}

// script runs commands of one user until the first that fails.
type script struct {
	ctx  context.Context
	l    *Lab
	user string
	err  error
}

func (s *script) do(program func(ctx context.Context, user string, args ...string) (string, error), args ...string) string {
	if s.err != nil {
		return ""
	}
	var out string
	ctx, cancel := context.WithTimeout(s.ctx, 30*time.Second)
	defer cancel()
	out, s.err = program(ctx, s.user, args...)
	return out
}

// imageID reads the id from `rbd info --format json`.
func (s *script) imageID(info string) string {
	_, rest, _ := strings.Cut(info, `"id":"`)
	id, _, ok := strings.Cut(rest, `"`)
	if !ok && s.err == nil {
		s.err = fmt.Errorf("no image id in %q", info)
	}
	return id
}

// The service's key does all that the service does, and each part of its caps
// is needed: with any one of them taken away, something fails.
func TestQuarantineCapsAreEnoughAndNeeded(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	l, pool := newPool(t, ctx)
	if err := errors.Join(askMonitors(ctx, l, Quarantine), work(ctx, l, Quarantine, pool, "whole")); err != nil {
		t.Fatalf("with all of its caps: %v", err)
	}
	whole := cephcaps.QuarantineCaps(pool)
	type part struct {
		name string
		caps cephcaps.Caps
		work func(user string) error
	}
	parts := []part{
		// Reading alone, without which no client can connect.
		{"mon " + whole.Mon, cephcaps.Caps{Mon: "allow r", OSD: whole.OSD}, func(user string) error { return askMonitors(ctx, l, user) }},
	}
	grants := strings.Split(whole.OSD, ", ")
	for i, g := range grants {
		rest := append(append([]string{}, grants[:i]...), grants[i+1:]...)
		parts = append(parts, part{"osd " + g, cephcaps.Caps{Mon: whole.Mon, OSD: strings.Join(rest, ", ")},
			func(user string) error { return work(ctx, l, user, pool, fmt.Sprint("part", i)) }})
	}
	users := map[string]cephcaps.Caps{}
	for i, p := range parts {
		users[fmt.Sprintf("part%d-%s", i, pool)] = p.caps
	}
	addUsers(t, ctx, l, users)
	for i, p := range parts {
		t.Run("Without "+p.name, func(t *testing.T) {
			t.Parallel()
			user := fmt.Sprintf("part%d-%s", i, pool)
			err := p.work(user)
			var refused *CommandError
			if !errors.As(err, &refused) {
				t.Fatalf("got %v, want a refusal: if all of it still works, the caps are larger than needed", err)
			}
			t.Log(err)
			if _, err := l.Rados(ctx, user, "lspools"); err != nil {
				t.Errorf("the key does not work at all: %v", err)
			}
		})
	}
}

// addUsers makes keys with their keyrings.
func addUsers(t *testing.T, ctx context.Context, l *Lab, users map[string]cephcaps.Caps) {
	t.Helper()
	var add, remove []string
	for user, caps := range users {
		add = append(add, "auth get-or-create client."+user+quoted(caps))
		remove = append(remove, "auth rm client."+user)
	}
	t.Cleanup(func() {
		// The test's context is over by now.
		if err := l.script(context.WithoutCancel(ctx), remove...); err != nil {
			t.Error(err)
		}
	})
	if err := l.script(ctx, add...); err != nil {
		t.Fatal(err)
	}
	all, err := l.Ceph(ctx, "auth", "export")
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range strings.Split("\n"+all, "\n[client.")[1:] {
		user, _, _ := strings.Cut(text, "]")
		if _, ours := users[user]; !ours {
			continue
		}
		if err := os.WriteFile(l.Keyring(user), []byte("[client."+text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
