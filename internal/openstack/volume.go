package openstack

import (
	"time"

	"quarantine/internal/quarantine"
)

// volumePayload is the payload of Cinder's volume events.
type volumePayload struct {
	ID         text       `json:"volume_id"`
	ProjectID  text       `json:"tenant_id"`
	UserID     text       `json:"user_id"`
	Name       text       `json:"display_name"`
	Type       text       `json:"volume_type"`
	Host       text       `json:"host"`
	Zone       text       `json:"availability_zone"`
	CreatedAt  text       `json:"created_at"`
	LaunchedAt text       `json:"launched_at"`
	Metadata   dictionary `json:"metadata"`
	// Image is what Cinder noted of the image that the volume was made from.
	Image       dictionary `json:"glance_metadata"`
	Attachments lenient[[]lenient[struct {
		Server text `json:"instance_uuid"`
	}]] `json:"volume_attachment"`
}

// volumeDeletions reads one of Cinder's events.
func volumeDeletions(cloud string, a act, inner []byte) ([]quarantine.Deletion, error) {
	m, v, err := read[volumePayload](inner)
	if err != nil {
		return nil, err
	}
	id := uuid(v.ID)
	if id == "" {
		return nil, invalidf("the volume's id is missing or no UUID")
	}
	sent := utc(m.Timestamp)
	d := quarantine.Deletion{
		ID:    quarantine.DeletionID(cloud, a.kind, id, ""),
		Cloud: cloud, CloudType: quarantine.CloudOpenStack, Kind: a.kind,
		ResourceKind: quarantine.ResourceVolume, ResourceID: id, ResourceName: string(v.Name),
		Project: m.project(v.ProjectID), User: m.owner(v.UserID), Deleter: m.actor(),
		Flavor: string(v.Type), // a volume's type is to it what a flavor is to a server
		Image:  quarantine.Principal{ID: uuid(text(v.Image["image_id"])), Name: v.Image["image_name"]},
		Host:   string(v.Host), AvailabilityZone: string(v.Zone), Metadata: v.Metadata,
		RequestID: string(m.RequestID),
		CreatedAt: v.known(v.CreatedAt, sent),
		Disks: []quarantine.DiskRef{{
			// A prefix, because Cinder renames a volume that has clones to
			// volume-<id>.deleted and removes it when the last clone goes.
			Name: "volume-" + id, Prefix: true, Role: roleVolume,
			Required: a.end && v.Host != "" && !v.known(v.LaunchedAt, sent).IsZero(),
		}},
	}
	for _, attachment := range v.Attachments.value {
		if server := uuid(attachment.value.Server); server != "" && (d.ServerID == "" || server < d.ServerID) {
			d.ServerID = server
		}
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
