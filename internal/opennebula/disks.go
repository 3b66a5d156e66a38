package opennebula

import (
	"slices"
	"strings"

	"quarantine/internal/quarantine"
)

// diskRefs names the RBD images that the act destroys: of a detach the disk
// that is going, else all that are not persistent.
func (v *vmXML) diskRefs(a act) []quarantine.DiskRef {
	var refs []quarantine.DiskRef
	for _, d := range v.Disks {
		if a.kind == quarantine.KindDiskDetach && d.Attach != "YES" {
			continue
		}
		ref, ok := d.ref(v.ID)
		if !ok {
			continue
		}
		ref.Required = a.proven && d.TMMad == "ceph"
		switch {
		case d.volatile():
			if strings.EqualFold(d.Type, "swap") {
				ref.Role = "swap"
			}
		case d.ID == v.bootDisk() && d.Type != "RBD_CDROM":
			ref.Role = "root"
		}
		refs = append(refs, ref)
	}
	if a.kind != quarantine.KindDiskDetach && v.onCeph() && len(refs) > 0 {
		refs = append(refs, v.checkpoint())
	}
	return refs
}

// checkpoint names the memory of a VM that is suspended or stopped. It is where
// the volatile disks are.
func (v *vmXML) checkpoint() quarantine.DiskRef {
	c := quarantine.DiskRef{Name: "one-sys-" + v.ID + "-checkpoint", Role: "disk"}
	for _, d := range v.Disks {
		if ref, ok := d.ref(v.ID); ok && d.volatile() {
			c.Pool, c.Namespace = ref.Pool, ref.Namespace
		}
	}
	return c
}

// onCeph reports whether the VM's system datastore is on Ceph.
func (v *vmXML) onCeph() bool {
	last, _ := v.lastRecords()
	return last != nil && last.TMMad == "ceph"
}

// bootDisk is the DISK_ID of the first disk in the boot order, or else the
// smallest one.
func (v *vmXML) bootDisk() string {
	for dev := range strings.SplitSeq(v.Boot, ",") {
		if id, ok := strings.CutPrefix(strings.TrimSpace(dev), "disk"); ok {
			return id
		}
	}
	if len(v.Disks) == 0 {
		return ""
	}
	return slices.MinFunc(v.Disks, func(a, b diskXML) int {
		if len(a.ID) != len(b.ID) {
			return len(a.ID) - len(b.ID)
		}
		return strings.Compare(a.ID, b.ID)
	}).ID
}

// volatile disks have neither SOURCE nor CLONE.
func (d *diskXML) volatile() bool { return d.Source == "" && d.Clone == "" }

// rbd reports whether the disk is an RBD image. A datastore on Ceph may be
// used with disks in files (DISK_TYPE FILE).
func (d *diskXML) rbd() bool {
	kind := d.DiskType
	if kind == "" {
		kind = d.Type
	}
	return kind == "RBD" || kind == "RBD_CDROM"
}

// ref names the image of a disk that dies with its VM; false for a persistent
// one and for what is not on RBD. The reference is a prefix because a revert to
// a disk snapshot renames the old image to "<name>-<snapshot ids>".
func (d *diskXML) ref(vm string) (quarantine.DiskRef, bool) {
	if !d.rbd() || checkNumber("DISK_ID", d.ID) != nil {
		return quarantine.DiskRef{}, false
	}
	switch {
	case d.volatile():
		pool, namespace := poolName(d.PoolName)
		return quarantine.DiskRef{Pool: pool, Namespace: namespace, Name: "one-sys-" + vm + "-" + d.ID, Prefix: true, Role: "ephemeral"}, true
	case d.Clone == "YES" && d.Source != "":
		ref := source(d.Source, d.PoolName)
		if ref.Name == "" {
			return quarantine.DiskRef{}, false
		}
		ref.Name += "-" + vm + "-" + d.ID
		ref.Prefix, ref.Role = true, "disk"
		return ref, true
	}
	return quarantine.DiskRef{}, false
}

// source splits "pool/image", or "pool/namespace/image"; an image alone is in
// the pool of the datastore.
func source(src, pool string) quarantine.DiskRef {
	src = cut(src, 2*maxName)
	parts := strings.SplitN(src, "/", 3)
	switch len(parts) {
	case 1:
		ref := quarantine.DiskRef{Name: parts[0]}
		ref.Pool, ref.Namespace = poolName(pool)
		return ref
	case 2:
		return quarantine.DiskRef{Pool: parts[0], Name: parts[1]}
	}
	return quarantine.DiskRef{Pool: parts[0], Namespace: parts[1], Name: parts[2]}
}
