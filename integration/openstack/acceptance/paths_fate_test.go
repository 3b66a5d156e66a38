//go:build openstack

package acceptance

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	openstacklab "quarantine/integration/openstack"
	"quarantine/internal/api/wire"
)

// object is a JSON object of the APIs.
type object = map[string]any

// fate is what became of an image: under which name it died, the kind of the
// deletion, and what it was to its machine.
type fate struct{ name, kind, role string }

// until asks until the complaint is empty.
func until(t *testing.T, complaint func() string) {
	t.Helper()
	for deadline := time.Now().Add(4 * time.Minute); ; wait(t) {
		switch last := complaint(); {
		case last == "":
			return
		case time.Now().After(deadline):
			t.Fatal(last)
		}
	}
}

// died waits until exactly these images, of those that the resources' ids
// begin, are in quarantine and are known as the fates say, and returns them in
// that order. It is called when the cloud says that it is over: then the trash
// of the lab's pools must hold the same, so that nothing can be taken later.
func (s *site) died(t *testing.T, ids []string, want ...fate) []wire.Disk {
	t.Helper()
	inOrder := func(a, b fate) int {
		return cmp.Or(strings.Compare(a.name, b.name), strings.Compare(a.kind, b.kind), strings.Compare(a.role, b.role))
	}
	names := []string{}
	for _, f := range want {
		names = append(names, f.name)
	}
	slices.Sort(names)
	if trash := s.trash(t, ids); !slices.Equal(trash, names) {
		t.Errorf("the trash holds %q, want %q", trash, names)
	}
	var disks []wire.Disk
	until(t, func() string {
		disks = nil
		var have []fate
		for _, id := range ids {
			for _, d := range s.disks(t, "--name", id) {
				have = append(have, fate{d.OriginalName, d.Kind, d.Role})
				disks = append(disks, d)
				if d.State != "quarantined" || !d.Sealed || d.Capture != "guard" {
					have[len(have)-1].kind = "still " + d.State
				}
			}
		}
		sorted := slices.SortedFunc(slices.Values(want), inOrder)
		slices.SortFunc(have, inOrder)
		if slices.Equal(have, sorted) {
			return ""
		}
		return fmt.Sprintf("in quarantine are %q\nwant %q\nthe daemon's log:\n%s", have, sorted, s.about(ids))
	})
	var out []wire.Disk
	for _, f := range want {
		i := slices.IndexFunc(disks, func(d wire.Disk) bool { return d.OriginalName == f.name && d.Kind == f.kind })
		out = append(out, disks[i])
		disks = slices.Delete(disks, i, i+1)
	}
	return out
}

// about are the lines of the daemon's log that name one of the ids.
func (s *site) about(ids []string) string {
	var lines []string
	for line := range strings.Lines(s.daemon.text()) {
		if slices.ContainsFunc(ids, func(id string) bool { return strings.Contains(line, id) }) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

// trash returns the names in the trash of the lab's pools that begin with one
// of the ids, sorted.
func (s *site) trash(t *testing.T, ids []string) []string {
	t.Helper()
	names := []string{}
	pools := s.lab.Pools()
	for _, pool := range []string{pools.VMs, pools.Volumes, pools.Images} {
		out, err := s.lab.Ceph.RBD(t.Context(), "admin", "trash", "ls", "--format", "json", pool)
		must(t, err)
		var entries []struct{ Name string }
		if err := json.Unmarshal([]byte(out), &entries); err != nil {
			t.Fatalf("read %q: %v", out, err)
		}
		for _, e := range entries {
			if slices.ContainsFunc(ids, func(id string) bool { return strings.HasPrefix(e.Name, id) }) {
				names = append(names, e.Name)
			}
		}
	}
	slices.Sort(names)
	return names
}

// lives reports whether the pool has a live image of the name.
func (s *site) lives(t *testing.T, pool, name string) bool {
	t.Helper()
	out, err := s.lab.Ceph.RBD(t.Context(), "admin", "ls", pool)
	must(t, err)
	return slices.Contains(strings.Fields(out), name)
}

// together checks that quarantinectl list --vm gives exactly these disks.
func (s *site) together(t *testing.T, vm string, disks ...wire.Disk) {
	t.Helper()
	want := []string{}
	for _, d := range disks {
		want = append(want, d.ID)
	}
	slices.Sort(want)
	until(t, func() string {
		have := []string{}
		for _, d := range s.disks(t, "--vm", vm) {
			have = append(have, d.ID)
		}
		slices.Sort(have)
		if slices.Equal(have, want) {
			return ""
		}
		return fmt.Sprintf("list --vm %s gives %q, want %q", vm, have, want)
	})
}

// person is a signed-in user, whose project is called as the user is.
type person struct {
	*openstacklab.Session
	name string
}

func (s *site) person(t *testing.T, who openstacklab.Identity) person {
	t.Helper()
	return person{s.session(t, who), who.User}
}

// owned waits until the disk is known as the owner's, deleted by the deleter
// (whose name "" means that the cloud does not tell), with all the addresses
// and, where given, the resource's name.
func (s *site) owned(t *testing.T, disk wire.Disk, owner, deleter person, name string, addresses []string) {
	t.Helper()
	until(t, func() string {
		d := s.show(t, disk.ID).Disk
		whose := d.Project == owner.name && d.ProjectID == owner.ProjectID && d.User == owner.name && d.UserID == owner.UserID
		by := deleter.name == "" && d.Deleter == "" || deleter.name != "" && d.Deleter == deleter.name && d.DeleterID == deleter.UserID
		had := !slices.ContainsFunc(addresses, func(ip string) bool { return !slices.Contains(d.Addresses, ip) })
		if whose && by && had && d.ResourceName == name {
			return ""
		}
		return fmt.Sprintf("want a disk of %q of %s (%s), deleted by %q, with the addresses %q; it is known as %s", name, owner.name, owner.UserID, deleter.name, addresses, asJSON(d))
	})
}

var blockPrefix = regexp.MustCompile(`block_name_prefix: (\S+)`)

// beats waits until the guest on the image has written: its boot sector writes
// "BEAT" to the sector at 1 MiB of the disk that it was booted from.
func (s *site) beats(t *testing.T, pool, image string) {
	t.Helper()
	out, err := s.lab.Ceph.RBD(t.Context(), "admin", "info", pool+"/"+image)
	must(t, err)
	prefix := blockPrefix.FindStringSubmatch(out)
	if prefix == nil {
		t.Fatalf("rbd info says no prefix: %s", out)
	}
	until(t, func() string {
		file := filepath.Join(t.TempDir(), "block")
		// The first object of the image: its first 4 MiB.
		_, err := s.lab.Ceph.Rados(t.Context(), "admin", "-p", pool, "get", prefix[1]+".0000000000000000", file)
		if err == nil && bytes.Equal(at(t, file, 1<<20, 4), []byte("BEAT")) {
			return ""
		}
		return fmt.Sprintf("the guest on %s/%s has written nothing: %v", pool, image, err)
	})
}

// at reads n bytes of the file at the offset; fewer if it ends before.
func at(t *testing.T, file string, offset int64, n int) []byte {
	t.Helper()
	f, err := os.Open(file)
	must(t, err)
	defer f.Close()
	b := make([]byte, n)
	read, _ := f.ReadAt(b, offset) // the end of the file is found by what was read
	return b[:read]
}

// signs are what a disk of a role bears, and where.
var signs = map[string]struct {
	offset int64
	bytes  string
}{
	"root":      {1 << 20, "BEAT"},    // what the guest wrote
	"rescue":    {1 << 20, "BEAT"},    // it ran from the rescue disk
	"volume":    {1 << 20, "BEAT"},    // a boot volume's
	"ephemeral": {1080, "\x53\xef"},   // ext4's superblock
	"swap":      {4086, "SWAPSPACE2"}, // its signature
	"config":    {32769, "CD001"},     // ISO 9660
}

// holds exports the disk and checks that it bears what a disk of its role does.
func (s *site) holds(t *testing.T, d wire.Disk) {
	t.Helper()
	sign, ok := signs[d.Role]
	if !ok {
		t.Fatalf("no sign is known of a disk that is %q", d.Role)
	}
	s.bears(t, d, sign.offset, sign.bytes)
}

// bears exports the disk and checks what it has at the offset.
func (s *site) bears(t *testing.T, d wire.Disk, offset int64, want string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), d.ID)
	s.mustCtl(t, "export", d.ID, file, "--reason", "acceptance")
	if have := at(t, file, offset, len(want)); string(have) != want {
		t.Errorf("the %s disk %s has %q at %d, want %q", d.Role, d.OriginalName, have, offset, want)
	}
	must(t, os.Remove(file)) // up to a GiB
}

// cleanly is a context for the clean-up of a test, which outlives it.
func cleanly(t *testing.T) context.Context { return context.WithoutCancel(t.Context()) }
