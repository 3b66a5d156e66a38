package openstack

import "quarantine/internal/quarantine"

// imagePayload is the payload of Glance's image events.
type imagePayload struct {
	ID         text            `json:"id"`
	Name       text            `json:"name"`
	Owner      text            `json:"owner"`
	CreatedAt  text            `json:"created_at"`
	DeletedAt  text            `json:"deleted_at"`
	Properties dictionary      `json:"properties"`
	Tags       lenient[[]text] `json:"tags"`
}

// imageDeletions reads Glance's image.delete, its only event of a deletion.
// Glance sends no context, so who deleted it is not known.
//
// Glance keeps the image <id> in its RBD pool, but need not (it has other
// stores, and the event does not say which), so the disk is not required.
func imageDeletions(cloud string, a act, inner []byte) ([]quarantine.Deletion, error) {
	m, p, err := read[imagePayload](inner)
	if err != nil {
		return nil, err
	}
	id := uuid(p.ID)
	if id == "" {
		return nil, invalidf("the image's id is missing or no UUID")
	}
	_, sent := a.times(m)
	return []quarantine.Deletion{{
		ID:    quarantine.DeletionID(cloud, a.kind, id, ""),
		Cloud: cloud, CloudType: quarantine.CloudOpenStack, Kind: a.kind,
		ResourceKind: quarantine.ResourceImage, ResourceID: id, ResourceName: string(p.Name),
		// Of a snapshot or a shelved server, Nova notes whose disk it is: the
		// image of a shelved server is all that is left of it.
		ServerID:  uuid(text(p.Properties["instance_uuid"])),
		Project:   m.project(p.Owner),
		Deleter:   m.actor(),
		Metadata:  p.Properties,
		Tags:      stringsOf(p.Tags.value),
		RequestID: string(m.RequestID),
		CreatedAt: utc(p.CreatedAt),
		StartedAt: utc(p.DeletedAt),
		EndedAt:   sent,
		Disks:     []quarantine.DiskRef{{Name: id, Role: roleImage}},
	}}, nil
}
