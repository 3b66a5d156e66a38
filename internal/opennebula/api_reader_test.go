package opennebula_test

import (
	"fmt"
	"slices"
	"testing"

	"quarantine/internal/opennebula"
	"quarantine/internal/quarantine"
)

// recordedFrontEnd answers listings with what was recorded of a front-end with two
// living VMs, sixteen dead ones and nineteen images.
func recordedFrontEnd(t testing.TB) *replay {
	t.Helper()
	living := elementsOf(t, recordedDoc(t, "vmpool_infoextended_any_not_done"), "VM")
	dead := elementsOf(t, recordedDoc(t, "vmpool_info_done"), "VM")
	extended := map[string]string{}
	for _, vm := range append(elementsOf(t, recordedDoc(t, "vmpool_infoextended_done"), "VM"), living...) {
		extended[idOf(t, vm)] = vm
	}
	images := elementsOf(t, recordedDoc(t, "imagepool_info"), "IMAGE")
	if len(living) != 2 || len(dead) != 16 || len(extended) != 18 || len(images) != 19 {
		t.Fatalf("the recordings have %d living and %d dead VMs (%d extended), %d images", len(living), len(dead), len(extended), len(images))
	}
	return newReplay(t, func(c asked) string {
		switch c.method {
		case "one.vmpool.infoextended":
			if c.args[3] == "-1" {
				return pageOf(t, "VM_POOL", living, c)
			}
		case "one.vmpool.info":
			if c.args[3] == "6" {
				return pageOf(t, "VM_POOL", dead, c)
			}
		case "one.imagepool.info":
			return pageOf(t, "IMAGE_POOL", images, c)
		case "one.vmpool.infoset":
			return infoset(t, extended, c)
		case "one.vmpool.accounting":
			return accounting(t, c)
		}
		return ""
	})
}

// What lives is told with all that its death would be, and no time but its
// beginning; no disk is required, because that a VM has one is not known yet.
func TestLiving(t *testing.T) {
	t.Parallel()
	want := []string{
		"delete of vm 14 rec1 (experiment/alice) on node2: one/one-1-14-0*(root) one/one-sys-14-2*(ephemeral) one/one-sys-14-3*(swap) one/one-sys-14-checkpoint(disk)",
		"delete of vm 16 det1 (experiment/alice) on node1: one/one-sys-16-3*(swap) one/one-sys-16-checkpoint(disk)",
	}
	want = append(want, "image-delete of image 0 data-pers (oneadmin/oneadmin): one/one-0(image)", "image-delete of image 1 debian12-base (oneadmin/oneadmin): one/one-1(image)")
	for i := 3; i <= 19; i++ {
		want = append(want, fmt.Sprintf("image-delete of image %d pers-%d (experiment/alice): one/one-%d(image)", i, i-1, i))
	}
	slices.Sort(want)
	for _, size := range []int{1, 2, 3, 7, 200} {
		f := recordedFrontEnd(t)
		api := newAPI(t, f.url, func(c *opennebula.APIConfig) { c.PageSize = size })
		got, err := collected(func(each func(quarantine.Deletion) error) error { return api.Living(t.Context(), each) })
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(lines(got), want) {
			t.Fatalf("with pages of %d got\n%q\nwant\n%q", size, lines(got), want)
		}
		for _, d := range got {
			kind := quarantine.KindDelete
			if d.ResourceKind == quarantine.ResourceImage {
				kind = quarantine.KindImageDelete
			}
			if d.ID != quarantine.DeletionID(cloud, kind, d.ResourceID, "") || d.Cloud != cloud || d.CreatedAt.IsZero() {
				t.Errorf("%s: id %s, cloud %s, created at %s", line(d), d.ID, d.Cloud, d.CreatedAt)
			}
		}
		if size == 200 && len(f.made()) != 4 {
			t.Errorf("got %q", f.made())
		}
	}
}
