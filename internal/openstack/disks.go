package openstack

import "quarantine/internal/quarantine"

// The roles of a server's disks.
const (
	roleRoot      = "root"
	roleConfig    = "config"
	roleEphemeral = "ephemeral"
	roleSwap      = "swap"
	roleRescue    = "rescue"
	roleVolume    = "volume"
	roleImage     = "image"
)

// serverDisks names the RBD images that an act on the server may destroy.
// Nova's libvirt driver calls them <uuid>_disk, and _disk.config, .eph0 …
// beside it; neither the events nor the API say the pool. Of a delete, required
// is for the root disk; which other disks a server had nobody says.
func serverDisks(kind quarantine.Kind, id string, required bool) []quarantine.DiskRef {
	root := id + "_disk"
	switch kind {
	case quarantine.KindResize:
		// The root disk stays; what is made anew for the new flavor goes.
		return []quarantine.DiskRef{
			{Name: root + ".config", Role: roleConfig},
			{Name: root + ".eph0", Role: roleEphemeral},
			{Name: root + ".swap", Role: roleSwap},
		}
	case quarantine.KindUnrescue:
		return []quarantine.DiskRef{
			{Name: root + ".rescue", Role: roleRescue},
			{Name: root + ".config.rescue", Role: roleRescue},
		}
	}
	return []quarantine.DiskRef{
		{Name: id, Prefix: true}, // whatever else begins with it, Nova removes too
		{Name: root, Role: roleRoot, Required: required},
		{Name: root + ".config", Role: roleConfig},
		{Name: root + ".eph0", Role: roleEphemeral},
		{Name: root + ".swap", Role: roleSwap},
		{Name: root + ".rescue", Role: roleRescue},
	}
}

// requiresRoot reports whether the server's root disk must be found when the
// act is over: if it is missing, that is an alarm.
//
// So it is required for a delete only, and there only by an event of the act
// itself (an update does not know the volumes) that says all of this: the
// server was launched, is on a host, was booted from an image, and is in a
// state in which its disk exists. So there is none for a server that boots from
// a volume, was never built, failed, or is shelved (its disk may be gone with
// the offload); and none if only delete.end arrived, which does not say in
// what state the server was. A delete that Nova begins and does not finish, or
// that nova-api does alone while the host is down, leaves the disk live under
// its name, and the reconciler waits for it. A soft delete destroys nothing
// yet, and may be taken back; the reclaim is a delete with events of its own.
// After a rebuild there is a new disk of the same name, and an evacuation
// sends the same events and destroys nothing.
func (s *server) requiresRoot(a act) bool {
	return a.kind == quarantine.KindDelete && a.phase != phaseUpdate && s.hasRootDisk()
}

// hasRootDisk reports whether the payload proves that the server has a disk of
// its own just now.
func (s *server) hasRootDisk() bool {
	if s.host == "" || s.image == "" || s.bootsVolume || utc(s.launchedAt).IsZero() {
		return false
	}
	switch s.state {
	case "active", "stopped", "paused", "suspended", "rescued", "resized", "soft-delete":
		return true
	}
	return false
}
