package openstack

import (
	"context"
	"fmt"
	"net/url"

	"quarantine/internal/quarantine"
)

// apiVolume is a volume as Cinder's API shows it. Of a deleted one it shows
// nothing: 404, and no listing has it (measured with Cinder 21).
type apiVolume struct {
	ID          text       `json:"id"`
	Name        text       `json:"name"`
	Status      text       `json:"status"`
	Project     text       `json:"os-vol-tenant-attr:tenant_id"`
	User        text       `json:"user_id"`
	Type        text       `json:"volume_type"`
	Host        text       `json:"os-vol-host-attr:host"`
	NameID      text       `json:"os-vol-mig-status-attr:name_id"` // after a migration, the image is called by this
	Zone        text       `json:"availability_zone"`
	Created     text       `json:"created_at"`
	Metadata    dictionary `json:"metadata"`
	Image       dictionary `json:"volume_image_metadata"`
	Attachments lenient[[]struct {
		Server text `json:"server_id"`
		Device text `json:"device"`
	}] `json:"attachments"`
}

func (v apiVolume) ident() string { return uuid(v.ID) }

// deletion is what the death of the volume would be.
func (v apiVolume) deletion(ctx context.Context, s *session) (quarantine.Deletion, error) {
	id := v.ident()
	d := volumeDeath(s.api.cfg.Cloud, id)
	d.ResourceName, d.Flavor = string(v.Name), string(v.Type)
	d.Host, d.AvailabilityZone = string(v.Host), string(v.Zone)
	d.Metadata, d.CreatedAt = v.Metadata, utc(v.Created)
	d.Image = quarantine.Principal{ID: uuid(text(v.Image["image_id"])), Name: v.Image["image_name"]}
	for _, a := range v.Attachments.value {
		if server := uuid(a.Server); server != "" && (d.ServerID == "" || server < d.ServerID) {
			d.ServerID = server
		}
	}
	if name := uuid(v.NameID); name != "" && name != id {
		d.Disks = append(d.Disks, quarantine.DiskRef{Name: "volume-" + name, Prefix: true, Role: roleVolume})
	}
	var err error
	if d.Project, err = s.projectName(ctx, v.Project); err != nil {
		return d, err
	}
	d.User, err = s.userName(ctx, v.User)
	return d, err
}

// volumeDeath is the Deletion of a volume of which only the id is known.
func volumeDeath(cloud, id string) quarantine.Deletion {
	return quarantine.Deletion{
		ID:    quarantine.DeletionID(cloud, quarantine.KindVolumeDelete, id, ""),
		Cloud: cloud, CloudType: quarantine.CloudOpenStack, Kind: quarantine.KindVolumeDelete,
		ResourceKind: quarantine.ResourceVolume, ResourceID: id,
		Disks: []quarantine.DiskRef{{Name: "volume-" + id, Prefix: true, Role: roleVolume}},
	}
}

// livingVolumes lists the volumes, and returns where they are attached: only
// Cinder tells that for all at once.
func (s *session) livingVolumes(ctx context.Context, each func(quarantine.Deletion) error) (map[device]string, error) {
	devices := map[device]string{}
	err := list(ctx, s, blockStorage, "volumes/detail", "volumes", url.Values{"all_tenants": {"1"}}, func(v apiVolume) error {
		for _, a := range v.Attachments.value {
			if a.Device != "" {
				devices[device{v.ident(), uuid(a.Server)}] = string(a.Device)
			}
		}
		d, err := v.deletion(ctx, s)
		if err != nil {
			return err
		}
		return each(d.Normalize())
	})
	return devices, err
}

// volume returns a volume that Cinder has.
func (s *session) volume(ctx context.Context, id string) (apiVolume, error) {
	var answer struct{ Volume apiVolume }
	err := s.get(ctx, blockStorage, "volumes/"+id, nil, &answer)
	if err == nil && answer.Volume.ident() != id {
		err = fmt.Errorf("cloud %s: volume %s: %w: the answer is of another", s.api.cfg.Cloud, id, quarantine.ErrUnavailable)
	}
	return answer.Volume, err
}
