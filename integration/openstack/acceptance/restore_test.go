//go:build openstack

package acceptance

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	cephlab "quarantine/integration/ceph"
	openstacklab "quarantine/integration/openstack"
	"quarantine/internal/api/wire"
)

// restored runs quarantinectl restore and returns what it made.
func (s *site) restored(t *testing.T, args ...string) wire.CloudResult {
	t.Helper()
	out := s.mustCtl(t, append([]string{"restore", "--reason", "acceptance", "-o", "json"}, args...)...)
	var r wire.CloudResult
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("quarantinectl restore %q: %v\n%s", args, err, out)
	}
	return r
}

// exported returns the SHA-256 of the disk's sealed bytes, and the bytes at 1
// MiB, where the guest has written.
func (s *site) exported(t *testing.T, id string) (sum string, written []byte) {
	t.Helper()
	path := s.path("export-" + id)
	s.mustCtl(t, "export", id, "--reason", "acceptance", path)
	defer os.Remove(path)
	return sumOf(t, path)
}

func sumOf(t *testing.T, path string) (sum string, written []byte) {
	t.Helper()
	f, err := os.Open(path)
	must(t, err)
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	must(t, err)
	written = make([]byte, 8)
	if n, err := f.ReadAt(written, 1<<20); err != nil {
		written = written[:n] // it is shorter
	}
	return hex.EncodeToString(h.Sum(nil)), written
}

// imageSum returns the SHA-256 of the first size bytes of an RBD image.
func (s *site) imageSum(t *testing.T, pool, name string, size int64) string {
	t.Helper()
	path := s.path("image-" + strings.ReplaceAll(name, "/", "-"))
	if _, err := s.lab.Ceph.RBD(t.Context(), cephlab.Admin, "export", "--no-progress", pool+"/"+name, path); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(path)
	must(t, os.Truncate(path, size))
	sum, _ := sumOf(t, path)
	return sum
}

// adminIn gives the cloud's administrator a role in the project, as an operator
// does for the quarantine's own user.
func (s *site) adminIn(t *testing.T, project string) {
	t.Helper()
	admin := s.session(t, openstacklab.Admin())
	var roles struct{ Roles []struct{ ID string } }
	must(t, admin.Do(t.Context(), http.MethodGet, "identity", "/roles?name=admin", nil, &roles))
	must(t, admin.Do(t.Context(), http.MethodPut, "identity", "/projects/"+project+"/users/"+admin.UserID+"/roles/"+roles.Roles[0].ID, nil, nil))
}

// leftovers are the live images of the pools that a restore has made and not
// handed over.
func (s *site) leftovers(t *testing.T) []string {
	t.Helper()
	var left []string
	for _, pool := range []string{s.lab.Pools().VMs, s.lab.Pools().Volumes, s.lab.Pools().Images} {
		out, err := s.lab.Ceph.RBD(t.Context(), cephlab.Admin, "ls", pool)
		must(t, err)
		for name := range strings.FieldsSeq(out) {
			if strings.HasPrefix(name, "quarantine") {
				left = append(left, pool+"/"+name)
			}
		}
	}
	return left
}

// deleted boots a server of alice's, with a data volume, deletes both and
// returns the server, the volume's id, and the disks.
func (s *site) deleted(t *testing.T, alice *openstacklab.Session) (server openstacklab.Server, root, data wire.Disk) {
	t.Helper()
	ctx := t.Context()
	v, err := alice.Boot(ctx, openstacklab.ServerSpec{Name: "to be given back", Flavor: openstacklab.TE, ConfigDrive: true})
	must(t, err)
	vol, err := alice.CreateVolume(ctx, openstacklab.VolumeSpec{Name: "its data"})
	must(t, err)
	s.scribble(t, s.lab.Pools().Volumes, "volume-"+vol.ID)
	must(t, alice.Attach(ctx, v.ID, vol.ID))
	s.booted(t, v.ID+"_disk")
	// With the server on it: the guest does not answer an unplug, and Nova would
	// wait minutes for that.
	must(t, alice.Delete(ctx, v.ID))
	must(t, alice.WaitGone(ctx, v.ID))
	_, err = alice.WaitVolume(ctx, vol.ID, "available")
	must(t, err)
	must(t, alice.DeleteVolume(ctx, vol.ID))
	must(t, alice.WaitVolumeGone(ctx, vol.ID))
	return v, s.captured(t, v.ID+"_disk", "delete"), s.captured(t, "volume-"+vol.ID, "volume-delete")
}

// scribble writes something into a live image.
func (s *site) scribble(t *testing.T, pool, name string) {
	t.Helper()
	if _, err := s.lab.Ceph.RBD(t.Context(), cephlab.Admin, "bench", "--io-type", "write", "--io-size", "4096", "--io-total", "65536", "--io-threads", "1", pool+"/"+name); err != nil {
		t.Fatal(err)
	}
}

// booted waits until the guest of a server has written to its disk: the first
// object of the copy-on-write clone is there then.
func (s *site) booted(t *testing.T, name string) {
	t.Helper()
	pool := s.lab.Pools().VMs
	out, err := s.lab.Ceph.RBD(t.Context(), cephlab.Admin, "info", "--format", "json", pool+"/"+name)
	must(t, err)
	var info struct {
		Prefix string `json:"block_name_prefix"`
	}
	must(t, json.Unmarshal([]byte(out), &info))
	for object := info.Prefix + ".0000000000000000"; ; wait(t) {
		if _, err := s.lab.Ceph.Rados(t.Context(), cephlab.Admin, "-p", pool, "stat", object); err == nil {
			return
		}
	}
}

// A deleted disk comes back as a volume of its owner's project: with its bytes,
// bootable, and a server boots from it; a data volume attaches. Quarantine keeps
// its own.
func TestRestoreAsVolume(t *testing.T) {
	s := running(t)
	alice := s.session(t, openstacklab.Alice())
	s.adminIn(t, alice.ProjectID)
	_, root, data := s.deleted(t, alice)
	for _, d := range []wire.Disk{root, data} {
		want, written := s.exported(t, d.ID)
		if d.ID == root.ID && !bytes.HasPrefix(written, []byte("BEAT")) {
			t.Errorf("the disk in quarantine has %q where its guest has written", written)
		}
		r := s.restored(t, d.ID, "--as", "volume", "--name", "back", "--project", "alice", "--domain", "research")
		if len(r.Made) != 1 || r.Made[0].Transfer != nil || r.Made[0].Kind != "volume" {
			t.Fatalf("made %s", asJSON(r))
		}
		id := r.Made[0].ID
		v, err := alice.Volume(t.Context(), id)
		must(t, err)
		if v.Status != "available" || v.Name != "back" {
			t.Errorf("alice has the volume %+v", v)
		}
		if got := s.imageSum(t, s.lab.Pools().Volumes, "volume-"+id, d.SizeBytes); got != want {
			t.Errorf("the %s disk: the volume's bytes are %s, the disk's %s", d.Role, got, want)
		}
		spec := openstacklab.ServerSpec{Name: "again"}
		if d.ID == root.ID {
			spec.BlockDevices = []map[string]any{{"boot_index": 0, "uuid": id, "source_type": "volume", "destination_type": "volume"}}
		}
		server, err := alice.Boot(t.Context(), spec)
		must(t, err)
		if d.ID == data.ID {
			must(t, alice.Attach(t.Context(), server.ID, id))
		}
		if got := s.show(t, d.ID); got.State != "quarantined" || !got.Sealed {
			t.Errorf("the disk is %s, sealed %v", got.State, got.Sealed)
		}
		must(t, alice.Delete(t.Context(), server.ID))
		must(t, alice.WaitGone(t.Context(), server.ID))
	}
	if left := s.leftovers(t); len(left) > 0 {
		t.Errorf("left in the pools: %q", left)
	}
}

// A deleted root disk comes back as a Glance image, by its location and by its
// bytes, and a server boots from each.
func TestRestoreAsImage(t *testing.T) {
	s := running(t)
	alice := s.session(t, openstacklab.Alice())
	s.adminIn(t, alice.ProjectID)
	_, root, _ := s.deleted(t, alice)
	want, _ := s.exported(t, root.ID)
	for _, way := range [][]string{nil, {"--upload"}} {
		name := fmt.Sprintf("back%v", way)
		r := s.restored(t, append([]string{root.ID, "--as", "image", "--name", name, "--project", "alice", "--domain", "research"}, way...)...)
		if len(r.Made) != 1 {
			t.Fatalf("made %s", asJSON(r))
		}
		if _, err := alice.WaitImage(t.Context(), r.Made[0].ID, "active"); err != nil {
			t.Fatal(err)
		}
		out, err := s.lab.Ceph.RBD(t.Context(), cephlab.Admin, "ls", s.lab.Pools().Images)
		must(t, err)
		if slices.Contains(strings.Fields(out), r.Made[0].ID) {
			if got := s.imageSum(t, s.lab.Pools().Images, r.Made[0].ID, root.SizeBytes); got != want {
				t.Errorf("%s: the image's bytes are %s, the disk's %s", name, got, want)
			}
		}
		server, err := alice.Boot(t.Context(), openstacklab.ServerSpec{Name: "from the image", Image: r.Made[0].ID})
		must(t, err)
		s.booted(t, server.ID+"_disk")
		must(t, alice.Delete(t.Context(), server.ID))
		must(t, alice.WaitGone(t.Context(), server.ID))
		must(t, alice.DeleteImage(t.Context(), r.Made[0].ID))
	}
}

// A VM comes back as a unit: a server that runs, with its data disk, in its
// project and network; and one for analysis that nothing of the outside reaches.
func TestRestoreAsServer(t *testing.T) {
	s := running(t)
	alice := s.session(t, openstacklab.Alice())
	s.adminIn(t, alice.ProjectID)
	old, root, _ := s.deleted(t, alice)
	r := s.restored(t, "--vm", old.ID, "--as", "server", "--name", "alive", "--project", "alice", "--domain", "research", "--network", "private")
	server := r.Made[len(r.Made)-1]
	v, err := alice.WaitServer(t.Context(), server.ID, "ACTIVE")
	must(t, err)
	if v.Name != "alive" || len(v.IPs()) == 0 {
		t.Errorf("the server is %s", asJSON(v))
	}
	if len(r.Made) != 3 { // root, ephemeral, server; swap and config drive are left out
		t.Errorf("made %s", asJSON(r.Made))
	}
	r = s.restored(t, root.ID, "--as", "server", "--defanged", "--project", "alice", "--domain", "research")
	v, err = alice.WaitServer(t.Context(), r.Made[len(r.Made)-1].ID, "ACTIVE")
	must(t, err)
	if len(v.IPs()) != 0 {
		t.Errorf("the server for analysis has the addresses %q", v.IPs())
	}
	for _, id := range []string{server.ID, v.ID} {
		must(t, alice.Delete(t.Context(), id))
		must(t, alice.WaitGone(t.Context(), id))
	}
}

// A volume moves out of quarantine without a copy; where the service has no
// role in the project, it waits for its new owner to accept it.
func TestRestoreMovesAndTransfers(t *testing.T) {
	s := running(t)
	demo := s.session(t, openstacklab.Demo())
	_, _, data := s.deleted(t, demo)
	want, _ := s.exported(t, data.ID)
	r := s.restored(t, data.ID, "--as", "volume", "--project", "demo", "--name", "handed over")
	if len(r.Made) != 1 || r.Made[0].Transfer == nil {
		t.Fatalf("made %s", asJSON(r.Made))
	}
	offer := r.Made[0].Transfer
	must(t, demo.Do(t.Context(), http.MethodPost, "volume", "/os-volume-transfer/"+offer.ID+"/accept", map[string]any{"accept": map[string]string{"auth_key": offer.AuthKey}}, nil))
	_, err := demo.WaitVolume(t.Context(), r.Made[0].ID, "available")
	must(t, err)

	r = s.restored(t, data.ID, "--as", "volume", "--move", "--yes", "--name", "moved")
	if got := s.imageSum(t, s.lab.Pools().Volumes, "volume-"+r.Made[0].ID, data.SizeBytes); got != want {
		t.Errorf("the moved volume's bytes are %s, the disk's were %s", got, want)
	}
	if d := s.show(t, data.ID); d.State != "restored" {
		t.Errorf("the moved disk is %s", d.State)
	}
	out, err := s.lab.Ceph.RBD(t.Context(), cephlab.Admin, "snap", "ls", "--all", s.lab.Pools().Volumes+"/volume-"+r.Made[0].ID)
	must(t, err)
	if in(out, "quarantine") {
		t.Errorf("the moved volume bears the seal still:\n%s", out)
	}
	// It dies again, and is taken again.
	admin := s.session(t, openstacklab.Admin())
	must(t, admin.DeleteVolume(t.Context(), r.Made[0].ID))
	must(t, admin.WaitVolumeGone(t.Context(), r.Made[0].ID))
	again := s.captured(t, "volume-"+r.Made[0].ID, "volume-delete")
	if sum, _ := s.exported(t, again.ID); sum != want {
		t.Errorf("taken again it has the bytes %s, want %s", sum, want)
	}
}

// A restore that fails leaves nothing behind: no volume, no image, no clone; and
// the disk is in quarantine as before.
func TestRestoreThatFailsLeavesNothing(t *testing.T) {
	s := running(t)
	alice := s.session(t, openstacklab.Alice())
	s.adminIn(t, alice.ProjectID)
	_, root, _ := s.deleted(t, alice)
	volumes := func() string {
		var all struct{ Volumes []struct{ ID string } }
		must(t, s.session(t, openstacklab.Admin()).Do(t.Context(), http.MethodGet, "volume", "/volumes?all_tenants=1", nil, &all))
		return asJSON(all)
	}
	before := volumes()
	for name, args := range map[string][]string{
		"no such network": {"--as", "server", "--network", "nowhere", "--project", "alice", "--domain", "research"},
		"no such flavor":  {"--as", "server", "--defanged", "--flavor", "nothing", "--project", "alice", "--domain", "research"},
		"no such project": {"--as", "volume", "--project", "nobody"},
		"no such type":    {"--as", "volume", "--volume-type", "nothing"},
	} {
		out, code := s.ctl(t, append([]string{"restore", root.ID, "--reason", "acceptance"}, args...)...)
		if code == 0 {
			t.Errorf("%s: it succeeded:\n%s", name, out)
		}
		if after := volumes(); after != before {
			t.Errorf("%s: volumes before %s, after %s", name, before, after)
		}
		if left := s.leftovers(t); len(left) > 0 {
			t.Errorf("%s: left in the pools: %q", name, left)
		}
		if d := s.show(t, root.ID); d.State != "quarantined" {
			t.Errorf("%s: the disk is %s", name, d.State)
		}
	}
}
