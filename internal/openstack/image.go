package openstack

import "quarantine/internal/quarantine"

// imagePayload is what the payload of one of Glance's image events says.
type imagePayload struct {
	id, name, owner      text
	createdAt, deletedAt text
	properties           dictionary
	tags                 []string
}

// read reads a member of the payload.
func (p *imagePayload) read(s *scanner, key []byte) {
	switch string(key) {
	case "id":
		p.id = s.text()
	case "name":
		p.name = s.text()
	case "owner":
		p.owner = s.text()
	case "created_at":
		p.createdAt = s.text()
	case "deleted_at":
		p.deletedAt = s.text()
	case "properties":
		p.properties = s.dictionary()
	case "tags":
		p.tags = s.texts()
	default:
		s.skip()
	}
}

// imageDeletions reads Glance's image.delete, its only event of a deletion.
// Glance sends no context, so who deleted it is not known.
//
// Glance keeps the image <id> in its RBD pool, but need not (it has other
// stores, and the event does not say which), so the disk is not required.
func imageDeletions(cloud string, a act, inner []byte) ([]quarantine.Deletion, error) {
	var p imagePayload
	m, err := read(inner, p.read)
	if err != nil {
		return nil, err
	}
	id := uuid(p.id)
	if id == "" {
		return nil, invalidf("the image's id is missing or no UUID")
	}
	_, sent := a.times(m)
	return []quarantine.Deletion{{
		ID:    quarantine.DeletionID(cloud, a.kind, id, ""),
		Cloud: cloud, CloudType: quarantine.CloudOpenStack, Kind: a.kind,
		ResourceKind: quarantine.ResourceImage, ResourceID: id, ResourceName: string(p.name),
		// Of a snapshot or a shelved server, Nova notes whose disk it is: the
		// image of a shelved server is all that is left of it.
		ServerID:  uuid(text(p.properties["instance_uuid"])),
		Project:   m.project(p.owner),
		Deleter:   m.actor(),
		Metadata:  p.properties,
		Tags:      p.tags,
		RequestID: string(m.RequestID),
		CreatedAt: utc(p.createdAt),
		StartedAt: utc(p.deletedAt),
		EndedAt:   sent,
		Disks:     []quarantine.DiskRef{{Name: id, Role: roleImage}},
	}}, nil
}
