package openstack

import (
	"time"

	"quarantine/internal/quarantine"
)

// volumePayload is what the payload of one of Cinder's volume events says.
type volumePayload struct {
	id, name, projectID, userID text
	kind, host, zone            text
	createdAt, launchedAt       text
	metadata                    dictionary
	// image is what Cinder noted of the image that the volume was made from.
	image dictionary
	// server is the id of the one that it is attached to, the first by its id if
	// there are several; else empty.
	server string
}

// read reads a member of the payload.
func (v *volumePayload) read(s *scanner, key []byte) {
	switch string(key) {
	case "volume_id":
		v.id = s.text()
	case "tenant_id":
		v.projectID = s.text()
	case "user_id":
		v.userID = s.text()
	case "display_name":
		v.name = s.text()
	case "volume_type":
		v.kind = s.text()
	case "host":
		v.host = s.text()
	case "availability_zone":
		v.zone = s.text()
	case "created_at":
		v.createdAt = s.text()
	case "launched_at":
		v.launchedAt = s.text()
	case "metadata":
		v.metadata = s.dictionary()
	case "glance_metadata":
		v.image = s.dictionary()
	case "volume_attachment":
		v.server = ""
		s.array(func() { v.readAttachment(s) })
	default:
		s.skip()
	}
}

// readAttachment reads an element of volume_attachment.
func (v *volumePayload) readAttachment(s *scanner) {
	s.object(func(key []byte) {
		if string(key) != "instance_uuid" {
			s.skip()
			return
		}
		if server := uuid(s.text()); server != "" && (v.server == "" || server < v.server) {
			v.server = server
		}
	})
}

// volumeDeletions reads one of Cinder's events.
func volumeDeletions(cloud string, a act, inner []byte) ([]quarantine.Deletion, error) {
	var v volumePayload
	m, err := read(inner, v.read)
	if err != nil {
		return nil, err
	}
	id := uuid(v.id)
	if id == "" {
		return nil, invalidf("the volume's id is missing or no UUID")
	}
	sent := utc(m.Timestamp)
	d := quarantine.Deletion{
		ID:    quarantine.DeletionID(cloud, a.kind, id, ""),
		Cloud: cloud, CloudType: quarantine.CloudOpenStack, Kind: a.kind,
		ResourceKind: quarantine.ResourceVolume, ResourceID: id, ResourceName: string(v.name),
		Project: m.project(v.projectID), User: m.owner(v.userID), Deleter: m.actor(),
		Flavor: string(v.kind), // a volume's type is to it what a flavor is to a server
		Image:  quarantine.Principal{ID: uuid(text(v.image["image_id"])), Name: v.image["image_name"]},
		Host:   string(v.host), AvailabilityZone: string(v.zone), Metadata: v.metadata,
		RequestID: string(m.RequestID), ServerID: v.server,
		CreatedAt: v.known(v.createdAt, sent),
		Disks: []quarantine.DiskRef{{
			// A prefix, because Cinder renames a volume that has clones to
			// volume-<id>.deleted and removes it when the last clone goes.
			Name: "volume-" + id, Prefix: true, Role: roleVolume,
			Required: a.end && v.host != "" && !v.known(v.launchedAt, sent).IsZero(),
		}},
	}
	d.StartedAt, d.EndedAt = a.times(m)
	return []quarantine.Deletion{d}, nil
}

// known is the time, or zero where Cinder does not know it: it then writes the
// time of the message, and without a zone, which its database's times have. A
// volume whose launch is not known was never made (its creation failed), and a
// volume without a host was never scheduled: both are deleted with the same
// events as any other, and neither had a disk.
func (v *volumePayload) known(t text, sent time.Time) time.Time {
	at := utc(t)
	if !zoned(t) && sent.Sub(at).Abs() < time.Second {
		return time.Time{}
	}
	return at
}
