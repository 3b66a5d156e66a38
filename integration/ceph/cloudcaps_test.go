package cephlab

import (
	"strings"
	"testing"
)

// Under the caps by prefix a cloud does all that it does, in the guarded pool
// itself and between it and the pool of its base images.
func TestTheCloudWorksWithItsCaps(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	rbd := func(args ...string) string { t.Helper(); return g.rbd(Cloud, args...) }
	images, err := g.l.NewPool(g.ctx, "images")
	if err != nil {
		t.Fatal(err)
	}

	// A base image, and a machine's disk from it.
	rbd("create", "--size", "8M", images+"/base")
	rbd("bench", "--io-type", "write", "--io-total", "8192", "--io-size", "4096", images+"/base")
	rbd("snap", "create", "--no-progress", images+"/base@snap")
	rbd("snap", "protect", images+"/base@snap")
	rbd("clone", images+"/base@snap", g.in("disk"))
	rbd("bench", "--io-type", "write", "--io-total", "8192", "--io-size", "4096", g.in("disk"))
	rbd("resize", "--no-progress", "--size", "16M", g.in("disk"))
	rbd("resize", "--no-progress", "--allow-shrink", "--size", "12M", g.in("disk"))
	rbd("rename", g.in("disk"), g.in("renamed"))
	rbd("info", g.in("renamed"))
	rbd("status", g.in("renamed"))
	rbd("du", g.in("renamed"))
	rbd("ls", "--long", g.pool)
	rbd("children", images+"/base@snap")

	// Snapshots: back, renamed, cloned, removed.
	rbd("snap", "create", "--no-progress", g.in("renamed")+"@one")
	rbd("snap", "rollback", "--no-progress", g.in("renamed")+"@one")
	rbd("snap", "rename", g.in("renamed")+"@one", g.in("renamed")+"@two")
	rbd("snap", "protect", g.in("renamed")+"@two")
	rbd("clone", g.in("renamed")+"@two", g.in("clone"))
	rbd("flatten", "--no-progress", g.in("clone"))
	rbd("snap", "unprotect", g.in("renamed")+"@two")
	rbd("snap", "rm", "--no-progress", g.in("renamed")+"@two")
	rbd("flatten", "--no-progress", g.in("renamed"))
	rbd("snap", "unprotect", images+"/base@snap")
	rbd("snap", "purge", "--no-progress", images+"/base")

	// Copies, metadata, locks, features.
	rbd("cp", "--no-progress", g.in("clone"), images+"/copy")
	rbd("deep", "cp", "--no-progress", images+"/copy", g.in("deep"))
	rbd("export", "--no-progress", g.in("deep"), "-")
	rbd("image-meta", "set", g.in("deep"), "key", "value")
	rbd("image-meta", "get", g.in("deep"), "key")
	rbd("lock", "add", g.in("deep"), "lock")
	locks := strings.Fields(rbd("lock", "ls", g.in("deep")))
	at := len(locks) - 3 // "client.N ID ADDRESS" ends the table
	rbd("lock", "rm", g.in("deep"), "lock", locks[max(0, at)])
	rbd("feature", "disable", g.in("deep"), "fast-diff", "object-map")
	rbd("feature", "enable", g.in("deep"), "object-map", "fast-diff")
	rbd("object-map", "rebuild", "--no-progress", g.in("deep"))

	// The end of all: removed, restored, moved to the trash.
	for _, name := range []string{"renamed", "clone", "deep"} {
		rbd("rm", "--no-progress", g.in(name))
	}
	trash := g.trash()
	rbd("trash", "restore", "--pool", g.pool, "--image-id", trash["deep"].id, "--image", "restored")
	rbd("trash", "mv", g.in("restored"))
	rbd("trash", "rm", "--no-progress", "--pool", g.pool, trash["deep"].id)
	rbd("rm", "--no-progress", images+"/copy")
	rbd("rm", "--no-progress", images+"/base")
	if left := rbd("ls", g.pool) + rbd("ls", images); left != "" {
		t.Errorf("%q is left", left)
	}
	if after := g.trash(); len(after) != 2 || !after["renamed"].protected || !after["clone"].protected {
		t.Errorf("the trash has %+v", after)
	}
}
