package quarantine

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
)

// What a cloud can make of a disk.
const (
	AsVolume = "volume"
	AsImage  = "image"
	AsServer = "server"
)

// CloudOrder asks for a disk, or all disks of a VM, to be given back to a
// cloud.
type CloudOrder struct {
	// Disk is the id of the one disk; else VM selects the disks of a VM, by its
	// name or id, and Deletion one of its deletions, where there are several.
	Disk     string
	VM       string
	Deletion string
	// All includes swap and config drive of a VM.
	All bool

	// As is AsVolume, AsImage or AsServer. A VM can be volumes or a server.
	As string
	// Cloud is the configured name; empty: that of the disk, or the only one.
	Cloud string
	// Name is what the resource is to be called; empty: after what it was.
	Name string
	// Project, Domain and Owner: as in VolumeOrder.
	Project string
	Domain  string
	Owner   string
	// VolumeType is the type of the volumes; empty: the cloud's default.
	VolumeType string
	// Bootable makes a volume bootable that would not be one; a root disk's
	// volume, and the one that a server boots from, always is.
	Bootable bool
	// NoFlatten leaves the volumes copy-on-write clones of the disks, which are
	// there at once; the disks cannot be purged while they live.
	NoFlatten bool
	// Move gives the disk itself, not a copy. Only for one disk that is in the
	// pool of the cloud's volumes, and not under a hold.
	Move bool
	// Upload makes an image by sending its bytes. Without it the image is made
	// by its location, and sent only where the cloud does not allow that.
	Upload bool

	// Network, Flavor and Defanged: as in ServerOrder. A server needs one of
	// Network and Defanged.
	Network  string
	Flavor   string
	Defanged bool

	Reason string
}

// validate refuses what contradicts itself. The error wraps ErrInvalid.
func (o *CloudOrder) validate() error {
	switch {
	case o.As != AsVolume && o.As != AsImage && o.As != AsServer:
		return invalidf("as: %q is none of %s, %s, %s", o.As, AsVolume, AsImage, AsServer)
	case (o.Disk == "") == (o.VM == ""):
		return invalidf("exactly one of a disk and a VM is to be restored")
	case o.Deletion != "" && o.VM == "", o.All && o.VM == "":
		return invalidf("deletion and all are for a VM")
	case o.VM != "" && o.As == AsImage:
		return invalidf("a VM is restored as volumes or as a server; an image is made of one disk")
	case o.VM != "" && o.Move:
		return invalidf("move is for one disk: what was moved cannot be taken back when a later disk fails")
	case o.As == AsImage && (o.VolumeType != "" || o.Bootable || o.NoFlatten || o.Move):
		return invalidf("an image takes no volume type, bootable, no_flatten or move")
	case o.As != AsImage && o.Upload:
		return invalidf("upload is for an image")
	case o.As == AsServer && (o.Network == "") == !o.Defanged:
		return invalidf("a server needs either a network or defanged, which is without")
	case o.As != AsServer && (o.Network != "" || o.Flavor != "" || o.Defanged):
		return invalidf("network, flavor and defanged are for a server")
	case o.Move && o.NoFlatten:
		return invalidf("move copies nothing; it takes no no_flatten")
	case len(o.Name) > 200:
		return invalidf("the name has %d bytes; 200 are the most", len(o.Name))
	}
	return required(o.Reason, "the reason")
}

// CloudPlan is what a restore to a cloud will do.
type CloudPlan struct {
	Cloud string     `json:"cloud"`
	As    string     `json:"as"`
	Name  string     `json:"name"`
	Items []PlanItem `json:"items"`
	// LeftOut are disks of the VM that are not restored, with the reason.
	LeftOut []PlanItem `json:"left_out,omitempty"`
}

// PlanItem is one disk of a plan.
type PlanItem struct {
	Disk      string `json:"disk"`
	Name      string `json:"name"` // of the resource to be made
	Role      string `json:"role,omitempty"`
	SizeBytes int64  `json:"size_bytes"`
	Pool      string `json:"pool"`         // where the disk is
	To        string `json:"to,omitempty"` // the pool where the copy will be; empty: bytes are sent
	Bootable  bool   `json:"bootable,omitempty"`
	// How says how it is made: copy, clone (copy-on-write), move or upload.
	How    string `json:"how,omitempty"`
	Reason string `json:"reason,omitempty"` // why it is left out

	disk Disk
	dst  PoolRef
}

// The ways of PlanItem.How.
const (
	howCopy   = "copy"
	howClone  = "clone"
	howMove   = "move"
	howUpload = "upload"
)

// Plan says what Restore would do, and refuses what it would refuse. It changes
// nothing.
func (r *CloudRestorer) Plan(ctx context.Context, o CloudOrder) (CloudPlan, error) {
	if err := o.validate(); err != nil {
		return CloudPlan{}, err
	}
	disks, left, err := r.selected(ctx, o)
	if err != nil {
		return CloudPlan{}, err
	}
	cloud, err := r.cloud(o.Cloud, disks[0])
	if err != nil {
		return CloudPlan{}, err
	}
	if err := fits(cloud, o, disks); err != nil {
		return CloudPlan{}, err
	}
	p := CloudPlan{Cloud: cloud.Name(), As: o.As, Name: cmp.Or(o.Name, defaultName(disks[0])), Items: []PlanItem{}, LeftOut: left}
	for i, d := range disks {
		it := itemOf(d)
		it.Name = p.Name
		if o.VM != "" || o.As == AsServer {
			it.Name = p.Name + "-" + partName(disks, i)
		}
		it.Bootable = o.As != AsImage && (o.Bootable || d.Role == roleRoot || o.As == AsServer && i == 0)
		if err := r.destine(ctx, cloud, o, &it); err != nil {
			return p, err
		}
		if err := r.restorer.restorable(d); err != nil {
			return p, err
		}
		p.Items = append(p.Items, it)
	}
	return p, nil
}

// fits refuses what the cloud cannot do.
func fits(cloud CloudWriter, o CloudOrder, disks []Disk) error {
	t := cloud.Traits()
	switch {
	case o.Owner != "" && !t.Owners:
		return invalidf("cloud %s gives what it makes to projects, and takes no owner", cloud.Name())
	case o.Upload && t.NoUpload:
		return invalidf("cloud %s takes no bytes; its images are made by their location", cloud.Name())
	case t.Whole && o.NoFlatten:
		return invalidf("cloud %s takes no copy-on-write clones: it removes an image's parents with the image", cloud.Name())
	case t.Whole && o.Move && disks[0].Pins():
		return refusedf("disk %s is a clone of %s/%s, which cloud %s would remove with it; restore a copy, or have a policy flatten the disk first", disks[0].ID, disks[0].Parent.Key.PoolRef(), disks[0].Parent.Name, cloud.Name())
	}
	return nil
}

// destine finds out where the item's image is to be made, and how.
func (r *CloudRestorer) destine(ctx context.Context, cloud CloudWriter, o CloudOrder, it *PlanItem) (err error) {
	d := it.disk
	if o.As == AsImage {
		if o.Upload {
			it.How = howUpload
			return nil
		}
		it.How, it.dst, err = howCopy, PoolRef{}, nil
		if it.dst, err = cloud.ImagePool(ctx); err != nil {
			return fmt.Errorf("find the pool of the images of cloud %s: %w", cloud.Name(), err)
		}
	} else {
		it.How = howCopy
		if o.NoFlatten {
			it.How = howClone
		}
		if it.dst, err = cloud.VolumePool(ctx, o.VolumeType); err != nil {
			return fmt.Errorf("find the pool of the volumes of cloud %s: %w", cloud.Name(), err)
		}
	}
	if it.dst.FSID == "" {
		it.dst.FSID = d.Key.FSID
	}
	it.To = it.dst.String()
	switch {
	case it.dst.FSID != d.Key.FSID:
		what, hint := "volumes", "; it can be uploaded as an image"
		if o.As == AsImage {
			what = "images"
		}
		if cloud.Traits().NoUpload {
			hint = ""
		}
		return refusedf("disk %s is in another Ceph cluster than the %s of cloud %s%s", d.ID, what, cloud.Name(), hint)
	case !slices.ContainsFunc(r.restorer.clusters.Pools(), func(p Pool) bool { return p.PoolRef == it.dst }):
		// Else nobody would find what a crash leaves behind.
		return invalidf("pool %s of cloud %s is not among the pools in this service's care", it.dst, cloud.Name())
	}
	if !o.Move {
		return nil
	}
	it.How = howMove
	if it.dst != d.Key.PoolRef() {
		return refusedf("disk %s is in %s and the volumes of cloud %s are in %s: it cannot be moved, only copied", d.ID, d.Key.PoolRef(), cloud.Name(), it.dst)
	}
	if d.Held() {
		return refusedf("disk %s is under the hold of case %s; restore a copy of it, or release the hold", d.ID, d.OpenHolds()[0].CaseID)
	}
	return nil
}

// cloud is the one that the name means.
func (r *CloudRestorer) cloud(name string, d Disk) (CloudWriter, error) {
	if len(r.clouds) == 0 {
		return nil, invalidf("no cloud is configured that can be restored to")
	}
	var names []string
	for _, c := range r.clouds {
		names = append(names, c.Name())
		if c.Name() == name || name == "" && d.Deletion != nil && d.Deletion.Cloud == c.Name() {
			return c, nil
		}
	}
	if name == "" && len(r.clouds) == 1 {
		return r.clouds[0], nil
	}
	slices.Sort(names)
	if name == "" {
		return nil, invalidf("which cloud is not said: one of %s", strings.Join(names, ", "))
	}
	return nil, invalidf("cloud %q is none that can be restored to: %s", name, strings.Join(names, ", "))
}

func itemOf(d Disk) PlanItem {
	return PlanItem{Disk: d.ID, Role: d.Role, SizeBytes: d.SizeBytes, Pool: d.Key.PoolRef().String(), disk: d}
}

// maxLabel bounds what of a dead resource's name is used in a new name.
const maxLabel = 100

// defaultName is what a resource made of the disk is called.
func defaultName(d Disk) string {
	label := d.OriginalName
	if d.Deletion != nil && d.Deletion.ResourceName != "" {
		label = d.Deletion.ResourceName
	}
	label = strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f || c == 0xfffd {
			return -1
		}
		return c
	}, label)
	if runes := []rune(label); len(runes) > maxLabel {
		label = string(runes[:maxLabel])
	}
	return "restored-" + label
}

// partName tells the disks of one VM apart.
func partName(disks []Disk, i int) string {
	role := cmp.Or(disks[i].Role, "disk")
	same := func(d Disk) bool { return cmp.Or(d.Role, "disk") == role }
	if n := len(slices.Collect(filter(disks, same))); n < 2 {
		return role
	}
	return fmt.Sprintf("%s-%d", role, len(slices.Collect(filter(disks[:i], same)))+1)
}

func filter(disks []Disk, keep func(Disk) bool) func(yield func(Disk) bool) {
	return func(yield func(Disk) bool) {
		for _, d := range disks {
			if keep(d) && !yield(d) {
				return
			}
		}
	}
}
