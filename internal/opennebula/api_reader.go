package opennebula

import (
	"context"
	"fmt"
	"strings"

	"quarantine/internal/quarantine"
)

var _ quarantine.CloudReader = (*API)(nil)

// The pools of OpenNebula. A VM of the short form (vmpool.info) has no names of
// its disks' images, and no attributes but its labels.
var (
	pathVMs    = [2]string{"VM_POOL", "VM"}
	pathImages = [2]string{"IMAGE_POOL", "IMAGE"}
)

// Which VMs a listing has.
const (
	filterNotDone = -1
	filterDone    = 6 // stateDone
)

// Living implements quarantine.CloudReader. VMs come first, then images. An
// image that is not on RBD is told of without a disk.
func (a *API) Living(ctx context.Context, each func(quarantine.Deletion) error) error {
	vms := listing{method: "one.vmpool.infoextended", short: "one.vmpool.info", path: pathVMs, filter: []any{filterNotDone}}
	err := list(ctx, a, vms, func(v *vmXML) error {
		switch v.State {
		case "":
			return unreadable("VM %s has no state", v.ID)
		case stateDone:
			return nil
		}
		return each(v.death().of(a.cfg.Cloud))
	})
	if err != nil {
		return err
	}
	images := listing{method: "one.imagepool.info", path: pathImages}
	return list(ctx, a, images, func(i *imageXML) error {
		d := i.death()
		if len(d.Disks) > 0 && d.Disks[0].Name == "" {
			d.Disks = nil
		}
		return each(d.of(a.cfg.Cloud))
	})
}

// Suspect implements quarantine.CloudReader. It knows the images and the disks
// that OpenNebula names itself: one-<image>, one-<image>-<vm>-<disk>,
// one-sys-<vm>-<disk>, one-sys-<vm>-checkpoint, and what a revert to a disk
// snapshot leaves of a disk, with -<snapshot ids> after its name. A disk of an
// image that was adopted under another name it does not.
func (a *API) Suspect(name string) (quarantine.Deletion, bool) {
	rest, ok := strings.CutPrefix(name, "one-")
	if !ok || len(name) > maxName {
		return quarantine.Deletion{}, false
	}
	d := &deletion{}
	d.Kind, d.ResourceKind = quarantine.KindDelete, quarantine.ResourceVM
	role := "disk"
	parts := strings.Split(rest, "-")
	switch {
	case len(parts) == 1:
		d.Kind, d.ResourceKind, d.ResourceID = quarantine.KindImageDelete, quarantine.ResourceImage, parts[0]
		role = "image"
		parts = nil
	case parts[0] == "sys" && len(parts) == 3 && parts[2] == "checkpoint":
		d.ResourceID = parts[1]
		parts = nil
	case parts[0] == "sys" && len(parts) >= 3:
		d.ResourceID = parts[1]
		role = "ephemeral"
		parts = parts[2:]
	case len(parts) >= 3:
		if checkNumber("", parts[0]) != nil {
			return quarantine.Deletion{}, false
		}
		d.ResourceID = parts[1]
		parts = parts[2:]
	}
	// What is left is the disk, and after a revert the ids of its snapshots.
	if len(parts) > 0 && (checkNumber("", parts[0]) != nil || !snapshotIDs(parts[1:])) || checkNumber("", d.ResourceID) != nil {
		return quarantine.Deletion{}, false
	}
	d.Disks = []quarantine.DiskRef{{Name: name, Role: role}}
	return d.of(a.cfg.Cloud), true
}

// snapshotIDs reports whether all are numbers, or several with colons between.
func snapshotIDs(parts []string) bool {
	for _, p := range parts {
		for id := range strings.SplitSeq(p, ":") {
			if checkNumber("", id) != nil {
				return false
			}
		}
	}
	return true
}

func (a *API) about(d quarantine.Deletion, err error) error {
	return fmt.Errorf("complete the deletion of %s %s: %w", d.ResourceKind, d.ResourceID, err)
}
