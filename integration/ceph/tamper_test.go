package cephlab

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"quarantine/internal/cephcaps"
)

const ebusy = 16

// sealed makes a disk with known bytes that is sealed and in the trash, and
// returns its id and its bytes.
func (g guarded) sealed(name string) (id string, data []byte) {
	g.t.Helper()
	data = bytes.Repeat([]byte("evidence"), 1<<20) // two objects of 4 MiB
	file := filepath.Join(g.t.TempDir(), "data")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		g.t.Fatal(err)
	}
	g.rbd(Cloud, "import", "--no-progress", file, g.in(name))
	g.rbd(Quarantine, "snap", "create", "--no-progress", g.in(name)+"@quarantine")
	g.rbd(Cloud, "rm", "--no-progress", g.in(name))
	id = g.trash()[name].id
	if id == "" {
		g.t.Fatalf("%s is not in the trash", name)
	}
	return id, data
}

// shows reads the seal of a disk.
func (g guarded) shows(id string) []byte {
	g.t.Helper()
	g.rbd(Quarantine, "trash", "restore", "--pool", g.pool, "--image-id", id, "--image", "shown-"+id)
	return []byte(g.rbd(Quarantine, "export", "--no-progress", g.in("shown-"+id)+"@quarantine", "-"))
}

func (g guarded) rados(user string, args ...string) string {
	g.t.Helper()
	out, err := g.l.Rados(g.ctx, user, append([]string{"-p", g.pool}, args...)...)
	if err != nil {
		g.t.Fatal(err)
	}
	return out
}

// headerSnapshot is the key of the only snapshot in the image's header.
func (g guarded) headerSnapshot(id string) string {
	g.t.Helper()
	for _, key := range strings.Fields(g.rados(Cloud, "listomapkeys", "rbd_header."+id)) {
		if strings.HasPrefix(key, "snapshot_") {
			return key
		}
	}
	g.t.Fatalf("image %s has no snapshot", id)
	return ""
}

// Who writes through librbd does not reach what is sealed.
func TestLibrbdWritesDoNotReachTheSeal(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	id, data := g.sealed("disk")
	g.rbd(Cloud, "trash", "restore", "--pool", g.pool, "--image-id", id, "--image", "back")
	g.rbd(Cloud, "bench", "--io-type", "write", "--io-total", "65536", "--io-size", "4096", g.in("back"))
	g.rbd(Cloud, "resize", "--no-progress", "--allow-shrink", "--size", "4M", g.in("back"))
	if got := g.rbd(Quarantine, "export", "--no-progress", g.in("back")+"@quarantine", "-"); got != string(data) {
		t.Error("the seal shows other bytes")
	}
}

// A seal binds librbd's writers, which name the image's snapshots with every
// write. Who writes an object without naming any, with the caps that every
// running machine needs, alters or destroys the sealed bytes themselves, and
// nothing in Ceph tells of it. Only another pool, with another key, keeps from it.
func TestTheCloudsKeyCanAlterSealedBytes(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	id, data := g.sealed("disk")
	epoch, err := g.l.OSDMapEpoch(g.ctx)
	if err != nil {
		t.Fatal(err)
	}
	forged := filepath.Join(t.TempDir(), "forged")
	if err := os.WriteFile(forged, []byte("innocent"), 0o600); err != nil {
		t.Fatal(err)
	}
	g.rados(Cloud, "put", fmt.Sprintf("rbd_data.%s.%016x", id, 0), forged)
	g.rados(Cloud, "rm", fmt.Sprintf("rbd_data.%s.%016x", id, 1))
	got := g.shows(id)
	if bytes.Equal(got, data) || !bytes.HasPrefix(got, []byte("innocent")) || len(bytes.Trim(got[4<<20:], "\x00")) != 0 {
		t.Error("the sealed bytes are not altered: the threat model says more than is true")
	}
	t.Logf("OSD map: epoch %d before", epoch)
}

// The cloud's key removes a seal and forces the disk out: tidily, as librbd does
// it, or by writing the image's header.
func TestTheCloudsKeyCanForceADiskOut(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	tidy, _ := g.sealed("tidy")
	raw, _ := g.sealed("raw")
	headless, _ := g.sealed("headless")
	g.rbd(Cloud, "snap", "rm", "--no-progress", "--pool", g.pool, "--image-id", tidy, "--snap", "quarantine")
	g.rados(Cloud, "rmomapkey", "rbd_header."+raw, g.headerSnapshot(raw))
	for _, id := range []string{tidy, raw} {
		g.rbd(Cloud, "trash", "rm", "--no-progress", "--force", "--pool", g.pool, id)
	}
	g.rados(Cloud, "rm", "rbd_header."+headless)
	if left := g.rados(Admin, "ls"); strings.Contains(left, "rbd_data."+tidy) || strings.Contains(left, "rbd_data."+raw) ||
		!strings.Contains(left, "rbd_data."+headless) {
		t.Errorf("the pool has %s", left)
	}
}

// No caps keep the cloud's key from a seal and let the cloud work. The monitors
// ask only whether a key may write into the pool before they make or remove a
// snapshot. Making an image is a write of its header, as removing a header is. And
// it is one operation that makes the object and calls rbd.create, which a clause
// allows only as a whole: one that names a method gives no right to write, and one
// that gives that right names no method. So that caps by method, without
// snapshot_remove, leave no image to be made, and a header to be written all the
// same.
func TestNoCapsKeepASeal(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	whole := cephcaps.CloudCaps([]string{g.pool})
	header := "allow rwx pool=" + g.pool + " object_prefix rbd_header."
	on := "allow pool=" + g.pool + " object_prefix rbd_header. " // the match first: Ceph takes a word after the class for a method
	// All but snapshot_remove of what a cloud calls.
	methods := []string{on + "rw class-read", on + "class lock", on + "class journal"}
	for _, m := range []string{
		"create", "set_features", "set_size", "snapshot_add", "snapshot_rename", "set_parent", "remove_parent", "parent_attach", "parent_detach",
		"set_protection_status", "set_flags", "metadata_set", "metadata_remove", "child_attach", "child_detach", "snapshot_trash_add",
		"set_access_timestamp", "set_modify_timestamp", "op_features_set", "set_stripe_unit_count", "snapshot_set_limit",
	} {
		methods = append(methods, on+"class rbd "+m)
	}
	users := map[string]cephcaps.Caps{
		"readmon-" + g.pool:  {Mon: "allow r", OSD: whole.OSD},
		"nowrite-" + g.pool:  {Mon: whole.Mon, OSD: strings.Replace(whole.OSD, header, strings.Replace(header, "rwx", "rx", 1), 1)},
		"nomethod-" + g.pool: {Mon: whole.Mon, OSD: strings.Replace(whole.OSD, header, strings.Join(methods, ", "), 1)},
	}
	addUsers(t, g.ctx, g.l, users)

	readmon := "readmon-" + g.pool
	id, _ := g.sealed("readmon")
	g.rbd(readmon, "snap", "rm", "--no-progress", "--pool", g.pool, "--image-id", id, "--snap", "quarantine")

	_, err := g.l.RBD(g.ctx, "nowrite-"+g.pool, "create", "--size", "4M", g.in("new"))
	wantStatus(t, err, eperm)

	nomethod := "nomethod-" + g.pool
	_, err = g.l.RBD(g.ctx, nomethod, "create", "--size", "4M", g.in("new"))
	wantStatus(t, err, eperm)
	id, _ = g.sealed("nomethod")
	g.rados(nomethod, "rmomapkey", "rbd_header."+id, g.headerSnapshot(id))
	g.rbd(Cloud, "trash", "rm", "--no-progress", "--force", "--pool", g.pool, id)
}

// A protected seal, or one with a clone, is more than librbd removes at the first
// word: `snap rm` is refused, or takes the name only. The cloud's key can take
// off the protection; with the clone in a pool of another key, librbd has no way
// to get rid of the seal.
func TestWhatHoldsLibrbdOff(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	other, err := g.l.NewPool(g.ctx, "evidence")
	if err != nil {
		t.Fatal(err)
	}
	rm := func(id string) error {
		_, err := g.l.RBD(g.ctx, Cloud, "snap", "rm", "--no-progress", "--pool", g.pool, "--image-id", id, "--snap", "quarantine")
		return err
	}
	g.create("protected")
	g.rbd(Quarantine, "snap", "create", "--no-progress", g.in("protected")+"@quarantine")
	g.rbd(Quarantine, "snap", "protect", g.in("protected")+"@quarantine")
	g.create("cloned")
	g.rbd(Quarantine, "snap", "create", "--no-progress", g.in("cloned")+"@quarantine")
	g.rbd(Quarantine, "clone", "--rbd-default-clone-format", "2", g.in("cloned")+"@quarantine", other+"/anchor")
	for _, name := range []string{"protected", "cloned"} {
		g.rbd(Cloud, "rm", "--no-progress", g.in(name))
	}
	protected, cloned := g.trash()["protected"].id, g.trash()["cloned"].id
	wantStatus(t, rm(protected), ebusy)
	if err := rm(cloned); err != nil {
		t.Error(err)
	}
	for _, id := range []string{protected, cloned} {
		_, err := g.l.RBD(g.ctx, Cloud, "trash", "rm", "--no-progress", "--force", "--pool", g.pool, id)
		wantStatus(t, err, enotempty)
	}
	g.rbd(Cloud, "trash", "restore", "--pool", g.pool, "--image-id", protected, "--image", "back")
	g.rbd(Cloud, "snap", "unprotect", g.in("back")+"@quarantine")
}

// Under the caps for data pools a cloud makes, writes, snapshots and removes
// images whose data is elsewhere, and under those for journals ones with a
// journal; without them it cannot.
func TestCapsOfDataPoolsAndJournalsWork(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	data, err := g.l.NewPool(g.ctx, "data")
	if err != nil {
		t.Fatal(err)
	}
	plain := cephcaps.CloudCaps([]string{g.pool})
	with, without := "with-"+g.pool, "without-"+g.pool
	addUsers(t, g.ctx, g.l, map[string]cephcaps.Caps{with: plain.WithDataPools(data).WithJournaling(g.pool), without: plain})
	for name, how := range map[string][]string{"apart": {"--data-pool", data}, "journaled": {"--image-feature", "layering,exclusive-lock,journaling"}} {
		create := append([]string{"create", "--size", "8M", g.in(name)}, how...)
		_, err := g.l.RBD(g.ctx, without, create...)
		wantStatus(t, err, eperm)
		g.rbd(with, create...)
		g.rbd(with, "bench", "--io-type", "write", "--io-total", "8192", "--io-size", "4096", g.in(name))
		g.rbd(with, "snap", "create", "--no-progress", g.in(name)+"@one")
		g.rbd(with, "clone", "--rbd-default-clone-format", "2", g.in(name)+"@one", g.in(name+"-clone"))
		g.rbd(with, "flatten", "--no-progress", g.in(name+"-clone"))
		g.rbd(with, "snap", "rm", "--no-progress", g.in(name)+"@one")
		g.rbd(with, "rm", "--no-progress", g.in(name))
		if e := g.trash()[name]; !e.protected {
			t.Errorf("%s is in the trash as %+v", name, e)
		}
	}
}

// An image of format 1, which the guard would not keep, can be made no more.
func TestNoNewImagesOfFormat1(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	if _, err := g.l.RBD(g.ctx, Admin, "create", "--size", "4M", "--image-format", "1", g.in("old")); err == nil {
		t.Error("an image of format 1 was made")
	}
}

// A key that cannot read the pool's settings does not get its image removed for
// real either.
func TestWhoCannotReadTheGuardCannotRemove(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	blind := "blind-" + g.pool
	caps := cephcaps.CloudCaps([]string{g.pool})
	caps.OSD = strings.Replace(caps.OSD, "allow r class-read pool="+g.pool+", ", "", 1)
	addUsers(t, g.ctx, g.l, map[string]cephcaps.Caps{blind: caps})
	g.create("disk")
	_, err := g.l.RBD(g.ctx, blind, "rm", "--no-progress", g.in("disk"))
	wantStatus(t, err, eperm)
	g.rbd(Cloud, "info", g.in("disk"))
}

// Who has the service's key has the pools in its care, and nothing else: no
// other pool, no key, no caps, no settings of the monitors, and no pool to delete.
func TestTheServicesKeyIsConfined(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	other, err := g.l.NewPool(g.ctx, "other")
	if err != nil {
		t.Fatal(err)
	}
	own := "own-" + g.pool
	addUsers(t, g.ctx, g.l, map[string]cephcaps.Caps{own: cephcaps.QuarantineCaps(g.pool)})
	g.rbd(Admin, "create", "--size", "4M", other+"/image")
	for _, args := range [][]string{{"info", other + "/image"}, {"rm", "--no-progress", other + "/image"}, {"create", "--size", "4M", other + "/new"}} {
		if _, err := g.l.RBD(g.ctx, own, args...); err == nil {
			t.Errorf("rbd %q is not refused", args)
		}
	}
	g.rbd(Admin, "info", other+"/image")
	for _, args := range [][]string{
		{"auth", "ls"}, {"auth", "caps", "client." + own, "mon", "allow *"}, {"config", "set", "client", "rbd_move_to_trash_on_remove", "false"},
		{"osd", "pool", "delete", g.pool, g.pool, "--yes-i-really-really-mean-it"},
	} {
		if _, err := g.l.CephAs(g.ctx, own, args...); err == nil {
			t.Errorf("ceph %q is not refused", args)
		}
	}
}
