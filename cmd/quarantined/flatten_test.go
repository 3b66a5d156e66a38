package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	cephlab "quarantine/integration/ceph"
	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

// A base image of the image service pins nothing any more when the policy has
// the disks flattened that stand on it: with clones of either format, with
// deep-flatten and without, the cloud deletes it with its own steps. The disks
// keep their bytes, one is given back, and the other is purged.
func TestFlattenFreesTheBase(t *testing.T) {
	t.Parallel()
	const shallow = "layering,exclusive-lock,object-map,fast-diff"
	for _, format := range []string{"1", "2"} {
		for _, features := range []string{"", shallow} {
			t.Run(fmt.Sprintf("format %s shallow %v", format, features != ""), func(t *testing.T) {
				t.Parallel()
				s := newSite(t, siteOptions{})
				images, err := s.lab.NewPool(s.ctx, "images")
				if err != nil {
					t.Fatal(err)
				}
				write(t, s.policyPath, "default: {retain: 10d, flatten: when-parent-blocked}\n")
				s.flattenSite(images, format, features)
			})
		}
	}
}

func (s *site) flattenSite(images, format, features string) {
	t := s.t
	t.Helper()
	p := s.start()
	data := s.image("tmp")
	base := images + "/base"
	s.rbd("cp", "--no-progress", s.spec+"/tmp", base)
	s.rbd("snap", "create", "--no-progress", base+"@snap")
	s.rbd("snap", "protect", base+"@snap")
	for _, name := range []string{"vm-1_disk", "vm-2_disk"} {
		args := []string{"clone", "--rbd-default-clone-format", format, base + "@snap", s.spec + "/" + name}
		if features != "" {
			args = append(args, "--image-feature", features)
		}
		s.rbd(args...)
		s.remove(name)
	}
	disks := p.wait(2, quarantine.Quarantined)
	for _, d := range disks {
		if d.Parent == nil || d.Parent.Name != "base" || d.Parent.Pool != images {
			t.Fatalf("disk %s stands on %+v", d.OriginalName, d.Parent)
		}
		same(t, d.OriginalName, p.bytesOf(d.ID), data)
	}
	p.job(quarantine.JobReconcile) // measures
	list, err := p.Parents(s.ctx)
	if err != nil || len(list) != 1 || list[0].Blocked || list[0].Where != quarantine.PlaceLive || len(list[0].Children) != 2 || list[0].CopyBytes < 2<<20 {
		t.Fatalf("parents: %+v, %v", list, err)
	}
	// Nobody wants it gone: nothing is flattened. Then the image service tries
	// to delete it, in vain, and says so.
	if rep := p.tryJob(quarantine.JobFlatten); len(rep.Items) != 0 {
		t.Fatalf("not blocked, and flattened: %+v", rep.Items)
	}
	if err := s.deleteBase(base); err == nil {
		t.Fatal("the base is gone, with disks on it")
	}
	p.post(deletion{Kind: "image-delete", ResourceID: "base", Disks: []ref{{Name: "base", Role: "image"}}})
	list, err = p.Parents(s.ctx)
	if err != nil || len(list) != 1 || !list[0].Blocked || list[0].Why == "" {
		t.Fatalf("parents: %+v, %v", list, err)
	}
	p.job(quarantine.JobFlatten)
	if list, err = p.Parents(s.ctx); err != nil || len(list) != 0 {
		t.Fatalf("parents after the flatten: %+v, %v", list, err)
	}
	if err := s.deleteBase(base); err != nil {
		t.Fatalf("the base cannot be deleted: %v", err)
	}
	for _, d := range p.disks(quarantine.Quarantined) {
		if d.Parent == nil || d.Parent.FlattenedAt.IsZero() || !d.Sealed {
			t.Errorf("disk %s stands on %+v, sealed %v", d.OriginalName, d.Parent, d.Sealed)
		}
		same(t, d.OriginalName, p.bytesOf(d.ID), data)
	}
	i := slices.IndexFunc(disks, func(d wire.Disk) bool { return d.OriginalName == "vm-1_disk" })
	if _, err := p.Restore(s.ctx, disks[i].ID, wire.RestoreRequest{Name: "copy", Reason: "a look"}, nil); err != nil {
		t.Fatal(err)
	}
	same(t, "the copy", s.content(s.spec+"/copy"), data)
	if _, err := p.Restore(s.ctx, disks[i].ID, wire.RestoreRequest{InPlace: true, Reason: "given back"}, nil); err != nil {
		t.Fatal(err)
	}
	same(t, "vm-1_disk", s.content(s.spec+"/vm-1_disk"), data)
	s.shiftClock(11 * 24 * time.Hour)
	p.job(quarantine.JobCollect)
	s.shiftClock(13 * 24 * time.Hour)
	p.job(quarantine.JobCollect)
	p.wait(1, quarantine.Purged)
}

// deleteBase is what the image service does to delete an image.
func (s *site) deleteBase(base string) error {
	for _, args := range [][]string{{"snap", "unprotect", base + "@snap"}, {"snap", "rm", "--no-progress", base + "@snap"}, {"rm", "--no-progress", base}} {
		_, err := s.lab.RBD(s.ctx, cephlab.Cloud, args...)
		if err != nil && args[0] == "snap" && (strings.Contains(err.Error(), "No such file") || strings.Contains(err.Error(), "not protected") || strings.Contains(err.Error(), "Invalid argument")) {
			continue // gone with an earlier try
		}
		if err != nil {
			return err
		}
	}
	return nil
}
