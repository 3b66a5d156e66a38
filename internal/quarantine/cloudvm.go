package quarantine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Roles of a VM's disks that decide in which order they are shown and restored.
// The adapters give them (DiskRef.Role).
const (
	roleRoot   = "root"
	roleSwap   = "swap"
	roleConfig = "config"
	roleRescue = "rescue"
	roleVolume = "volume"
)

// roleOrder is the order of a VM's disks. What is not in it comes before
// volumes.
var roleOrder = [...]string{roleRoot, "ephemeral", roleSwap, roleConfig, roleRescue}

// RoleRank is the place of a disk with that role among the disks of its VM:
// root, ephemeral, swap, config, rescue, others, volumes. Lower comes first.
func RoleRank(role string) int {
	if i := slices.Index(roleOrder[:], role); i >= 0 {
		return i
	}
	if role == roleVolume {
		return len(roleOrder) + 1
	}
	return len(roleOrder)
}

// vmKey identifies a VM.
type vmKey struct{ cloud, id string }

// vmOf is the VM that the disk was of: that which was deleted, or the one that a
// deleted volume was attached to.
func vmOf(d Disk) vmKey {
	switch {
	case d.Deletion == nil:
		return vmKey{}
	case d.Deletion.ResourceKind == ResourceVM:
		return vmKey{d.Deletion.Cloud, d.Deletion.ResourceID}
	}
	return vmKey{d.Deletion.Cloud, d.Deletion.ServerID}
}

// selected returns the disks of the order, the one that boots first, and those
// of the VM that are left out.
func (r *CloudRestorer) selected(ctx context.Context, o CloudOrder) ([]Disk, []PlanItem, error) {
	if o.Disk != "" {
		d, err := r.ledger.disks.Disk(ctx, o.Disk)
		return []Disk{d}, nil, err
	}
	disks, images, err := r.ofVM(ctx, o.VM)
	if err != nil {
		return nil, nil, err
	}
	var left []PlanItem
	leaveOut := func(d Disk, why string) {
		it := itemOf(d)
		it.Name, it.Reason = d.OriginalName, why
		left = append(left, it)
	}
	for _, d := range images {
		leaveOut(d, "an image that says of itself that it was made from this VM, which whoever made it could write; restore it by its id")
	}
	if disks, err = ofDeletion(o, disks); err != nil {
		return nil, nil, err
	}
	boot, err := r.bootVolumes(ctx, disks)
	if err != nil {
		return nil, nil, err
	}
	rank := func(d Disk) int {
		switch {
		case d.Role == roleRoot:
			return -2
		case d.Deletion != nil && boot[d.Deletion.ResourceID]:
			return -1
		}
		return RoleRank(d.Role)
	}
	slices.SortStableFunc(disks, func(a, b Disk) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.OriginalName, b.OriginalName), cmp.Compare(a.ID, b.ID))
	})
	if !o.All {
		disks = slices.DeleteFunc(disks, func(d Disk) bool {
			if d.Role != roleSwap && d.Role != roleConfig && d.Role != roleRescue {
				return false
			}
			leaveOut(d, "its role is "+d.Role)
			return true
		})
	}
	if len(disks) == 0 {
		return nil, left, fmt.Errorf("VM %s has no disks in quarantine but those that are left out: %w", o.VM, ErrNotFound)
	}
	if o.As == AsServer && rank(disks[0]) >= 0 && len(disks) > 1 {
		return nil, left, invalidf("which disk VM %s booted from is not known; restore it as volumes:\n%s", o.VM, strings.Join(lines(disks), "\n"))
	}
	return disks, left, nil
}

// ofVM returns the disks of one VM, which are here still, and apart from them the
// images that say they are of it. ErrInvalid if the name means several VMs.
func (r *CloudRestorer) ofVM(ctx context.Context, vm string) (disks, images []Disk, err error) {
	find := func(vm string) ([]Disk, error) {
		found, err := r.ledger.disks.FindDisks(ctx, DiskFilter{VM: vm, States: []State{Pending, Quarantined, Expiring, Restoring}})
		if err != nil {
			return nil, fmt.Errorf("find the disks of VM %s: %w", vm, err)
		}
		return found, nil
	}
	found, err := find(vm)
	if err != nil {
		return nil, nil, err
	}
	byVM := map[vmKey][]Disk{}
	for _, d := range found {
		if key := vmOf(d); key.id != "" && d.Deletion.ResourceKind != ResourceImage {
			byVM[key] = append(byVM[key], d)
		}
	}
	if len(byVM) == 0 {
		return nil, nil, fmt.Errorf("VM %s has no disks in quarantine: %w", vm, ErrNotFound)
	}
	var text []string
	var one vmKey
	for key, of := range byVM {
		one = key
		text = append(text, fmt.Sprintf("%s of cloud %s, %s, deleted %s: %d disks", key.id, key.cloud, of[0].Deletion.ResourceName, of[0].DeletedAt.UTC().Format(time.RFC3339), len(of)))
	}
	if len(byVM) > 1 {
		slices.Sort(text)
		return nil, nil, invalidf("several VMs are called %s; name one by its id:\n%s", vm, strings.Join(text, "\n"))
	}
	if one.id != vm {
		// By its id, once more: the volumes know no name of the VM.
		if found, err = find(one.id); err != nil {
			return nil, nil, err
		}
	}
	for _, d := range found {
		switch {
		case vmOf(d) != one:
		case d.Deletion.ResourceKind == ResourceImage:
			images = append(images, d)
		default:
			disks = append(disks, d)
		}
	}
	return disks, images, nil
}

// ofDeletion keeps the disks that died by one act, and the volumes that died
// with the VM. ErrInvalid if the VM's disks died by several acts and none is
// chosen.
func ofDeletion(o CloudOrder, disks []Disk) ([]Disk, error) {
	acts := map[string]*Deletion{}
	for _, d := range disks {
		if d.Deletion.ResourceKind == ResourceVM {
			acts[d.Deletion.ID] = d.Deletion
		}
	}
	var chosen *Deletion
	for id, act := range acts {
		if o.Deletion == id || o.Deletion == "" && len(acts) == 1 {
			chosen = act
		}
	}
	switch {
	case chosen == nil && len(acts) > 0:
		var text []string
		for id, act := range acts {
			text = append(text, fmt.Sprintf("%s  %s at %s", id, act.Kind, act.FirstSign().UTC().Format(time.RFC3339)))
		}
		slices.Sort(text)
		if o.Deletion != "" {
			return nil, fmt.Errorf("VM %s has no disks of the deletion %s: %w; there are:\n%s", o.VM, o.Deletion, ErrNotFound, strings.Join(text, "\n"))
		}
		return nil, invalidf("the disks of VM %s died by %d acts; choose one of these deletions:\n%s", o.VM, len(acts), strings.Join(text, "\n"))
	case chosen == nil && o.Deletion != "":
		return nil, fmt.Errorf("VM %s has no disks of the deletion %s: %w", o.VM, o.Deletion, ErrNotFound)
	}
	return slices.DeleteFunc(disks, func(d Disk) bool {
		if d.Deletion.ResourceKind != ResourceVM {
			return chosen != nil && !endsVM(chosen.Kind)
		}
		return d.Deletion.ID != chosen.ID
	}), nil
}

// endsVM reports whether the VM is gone after the act, and its volumes may have
// died with it.
func endsVM(k Kind) bool { return k == KindDelete || k == KindSoftDelete || k == KindRecoverDelete }

// bootVolumes are the ids of the volumes that the VM booted from, as far as its
// own deletion says.
func (r *CloudRestorer) bootVolumes(ctx context.Context, disks []Disk) (map[string]bool, error) {
	boot := map[string]bool{}
	if len(disks) == 1 && disks[0].Deletion.ResourceKind == ResourceVolume {
		boot[disks[0].Deletion.ResourceID] = true // it has no other
	}
	asked := map[string]bool{}
	for _, d := range disks {
		vm := vmOf(d)
		for _, kind := range []Kind{KindDelete, KindSoftDelete} {
			id := DeletionID(vm.cloud, kind, vm.id, "")
			if asked[id] {
				continue
			}
			asked[id] = true
			del, err := r.deletions.Deletion(ctx, id)
			if errors.Is(err, ErrNotFound) {
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("read the deletion of VM %s: %w", vm.id, err)
			}
			for _, v := range del.Volumes {
				if v.Boot {
					boot[v.ID] = true
				}
			}
		}
	}
	return boot, nil
}

// lines tells of each disk in a line.
func lines(disks []Disk) []string {
	var text []string
	for _, d := range disks {
		text = append(text, fmt.Sprintf("%s  %s  %s", d.ID, cmp.Or(d.Role, "disk"), d.OriginalName))
	}
	return text
}
