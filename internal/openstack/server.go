package openstack

import "quarantine/internal/quarantine"

// server is what an event says of a server, whatever its format.
type server struct {
	id, name, projectID, userID text
	flavor, host, zone          text
	createdAt, launchedAt       text
	image                       string // id; empty when it boots from a volume
	state, task, newTask        text
	metadata                    dictionary
	// The rest is in the versioned format only.
	request     text
	tags        []string
	addresses   []quarantine.Address
	bootsVolume bool     // its root disk is a volume
	volumes     []string // those that Nova deletes with it
}

// serverDeletions reads one of Nova's events.
func serverDeletions(cloud string, a act, inner []byte) ([]quarantine.Deletion, error) {
	m, s, err := readServer(inner)
	if err != nil {
		return nil, err
	}
	a, ok := s.settle(a)
	if !ok {
		return nil, nil
	}
	id := uuid(s.id)
	if id == "" {
		return nil, invalidf("the server's id is missing or no UUID")
	}
	request := first(s.request, m.RequestID)
	d := quarantine.Deletion{
		ID:    quarantine.DeletionID(cloud, a.kind, id, identifying(a.kind, request)),
		Cloud: cloud, CloudType: quarantine.CloudOpenStack, Kind: a.kind,
		ResourceKind: quarantine.ResourceVM, ResourceID: id, ResourceName: string(s.name),
		Project: m.project(s.projectID), User: m.owner(s.userID),
		Flavor: string(s.flavor), Host: string(s.host), AvailabilityZone: string(s.zone),
		Metadata: s.metadata, Tags: s.tags, Addresses: s.addresses,
		CreatedAt: utc(s.createdAt),
		RequestID: identifying(a.kind, request),
		Disks:     serverDisks(a.kind, id, s.requiresRoot(a)),
	}
	d.StartedAt, d.EndedAt = a.times(m)
	// The image that a rebuild reports is the new one; the disk it destroys was
	// made from another, which no message about the rebuild names.
	if a.kind != quarantine.KindRebuild {
		d.Image.ID = s.image
	}
	// An update is sent by whichever request saved the server, and that may be
	// another one than the deletion's: a build that is still running saves
	// "deleting" under its own. Only the act's own events say who acts.
	if a.phase != phaseUpdate {
		d.Deleter, d.RequestID = m.actor(), request
	}
	ds := []quarantine.Deletion{d}
	if a.kind == quarantine.KindDelete && a.phase == phaseWhole {
		ds = append(ds, s.volumeDeletions(cloud, id, d.Deleter)...)
	}
	return ds, nil
}

// settle decides what an event means that stands for several things, and
// whether it is about a deletion at all.
func (s *server) settle(a act) (act, bool) {
	switch a.phase {
	case phaseUpdate:
		// old_task_state is the new one already in the first update of a
		// delete; only new_task_state tells.
		switch {
		case s.newTask == "deleting":
			a.kind = quarantine.KindDelete
		case s.newTask == "soft-deleting":
			a.kind = quarantine.KindSoftDelete
		case s.state == "deleted":
			// Sent when the disks are gone: a late sign, but enough where
			// delete.end was lost.
			a.kind, a.end = quarantine.KindDelete, true
		default:
			return a, false
		}
	case phasePart:
		// A failed build is shut down too, with the same event.
		return a, s.task == "deleting" || s.task == "soft-deleting" || s.state == "soft-delete" || s.state == "deleted"
	}
	return a, true
}

// identifying is the part of the request in the Deletion's id. A server is
// deleted once, under one uuid: several requests (a delete that failed and was
// tried again, the reclaim after a soft delete) are one Deletion. The other
// acts can happen to one server again and again.
func identifying(kind quarantine.Kind, request string) string {
	if kind == quarantine.KindDelete {
		return ""
	}
	return request
}

// volumeDeletions says of the volumes that Nova deletes together with the
// server whose they were. Cinder's own events do not: the volume is detached
// by then.
//
// It names no disks. Whether Cinder will obey is not certain (it refuses for a
// volume with snapshots), and a Deletion with disks lets the service seize
// them in a pool without a guard; Cinder's events bring the disks.
func (s *server) volumeDeletions(cloud, serverID string, deleter quarantine.Principal) []quarantine.Deletion {
	var ds []quarantine.Deletion
	for _, volume := range s.volumes {
		ds = append(ds, quarantine.Deletion{
			ID:    quarantine.DeletionID(cloud, quarantine.KindVolumeDelete, volume, ""),
			Cloud: cloud, CloudType: quarantine.CloudOpenStack, Kind: quarantine.KindVolumeDelete,
			ResourceKind: quarantine.ResourceVolume, ResourceID: volume,
			ServerID: serverID, Addresses: s.addresses,
			Deleter: deleter, // it is in the name of the same user that Nova asks Cinder
		})
	}
	return ds
}
