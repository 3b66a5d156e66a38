package openstack

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"quarantine/internal/quarantine"
)

// apiImage is an image as Glance's API shows it. Of a deleted one it shows
// nothing: 404, and no listing has it (measured with Glance 25).
type apiImage struct {
	ID       text
	Name     text
	Status   text
	Owner    text
	Size     int64 // bytes; 0 where it is not told
	Created  text
	Tags     lenient[[]text]
	HashAlgo text
	Hash     text
	// Locations are the addresses of its data, as far as the site shows them:
	// direct_url (show_image_direct_url), then locations
	// (show_multiple_locations).
	Locations []string
	// Properties are what Glance shows beside its own attributes.
	Properties dictionary
}

// imageAttributes are Glance's own; everything else in an image is a property.
var imageAttributes = []string{
	"id", "name", "status", "owner", "size", "virtual_size", "created_at", "updated_at", "tags", "direct_url",
	"locations", "os_hash_algo", "os_hash_value", "os_hidden", "checksum", "container_format", "disk_format",
	"visibility", "protected", "min_ram", "min_disk", "self", "file", "schema", "stores",
}

// UnmarshalJSON sorts the properties from the attributes, and never fails on
// valid JSON: whoever may make an image chooses the keys and values of its
// properties, and none of them may stand for an attribute or end a listing.
// Glance itself refuses a property that is called like an attribute.
func (v *apiImage) UnmarshalJSON(data []byte) error {
	var m members
	if err := json.Unmarshal(data, &m); err != nil {
		return err
	}
	*v = apiImage{}
	m.read("id", &v.ID)
	m.read("name", &v.Name)
	m.read("status", &v.Status)
	m.read("owner", &v.Owner)
	m.read("size", &v.Size)
	m.read("created_at", &v.Created)
	m.read("tags", &v.Tags)
	m.read("os_hash_algo", &v.HashAlgo)
	m.read("os_hash_value", &v.Hash)
	v.Locations = locations(m)
	for name, raw := range m {
		var value text
		if slices.Contains(imageAttributes, name) || json.Unmarshal(raw, &value) != nil || value == "" { // null, or no text
			continue
		}
		v.Properties.set(name, string(value))
	}
	return nil
}

// locations returns the addresses that an image has, each once.
func locations(m members) []string {
	var direct text
	m.read("direct_url", &direct)
	var several []members
	m.read("locations", &several)
	urls := []text{direct}
	for _, location := range several {
		var u text
		location.read("url", &u)
		urls = append(urls, u)
	}
	var found []string
	for _, u := range stringsOf(urls) {
		if !slices.Contains(found, u) {
			found = append(found, u)
		}
	}
	return found
}

func (v apiImage) ident() string { return uuid(v.ID) }

// places are the RBD images of the image's locations, as far as the site shows
// them: rbd://<fsid>/<pool>/<image>/<snapshot>.
func (v apiImage) places() []rbdPlace {
	var found []rbdPlace
	for _, location := range v.Locations {
		if p, ok := parseRBD(location); ok {
			found = append(found, p)
		}
	}
	return found
}

// rbdPlace is where an image of Glance is.
type rbdPlace struct{ fsid, pool, image string }

func parseRBD(location string) (rbdPlace, bool) {
	rest, ok := strings.CutPrefix(location, "rbd://")
	parts := strings.Split(rest, "/")
	if !ok || len(parts) != 4 {
		return rbdPlace{}, false
	}
	for i, part := range parts {
		plain, err := url.PathUnescape(part)
		if err != nil || plain == "" {
			return rbdPlace{}, false
		}
		parts[i] = plain
	}
	return rbdPlace{parts[0], parts[1], parts[2]}, true
}

// deletion is what the death of the image would be.
func (v apiImage) deletion(ctx context.Context, s *session) (quarantine.Deletion, error) {
	id := v.ident()
	d := imageDeath(s.api.cfg.Cloud, id)
	d.ResourceName, d.Metadata = string(v.Name), v.Properties
	d.Tags, d.CreatedAt = stringsOf(v.Tags.value), utc(v.Created)
	d.ServerID = uuid(text(v.Properties["instance_uuid"]))
	for _, p := range v.places() {
		if p.image != id && s.api.caresFor(p.fsid) { // it was made by location
			d.Disks = append(d.Disks, quarantine.DiskRef{Pool: p.pool, Name: p.image, Role: roleImage})
		}
	}
	var err error
	d.Project, err = s.projectName(ctx, v.Owner)
	return d, err
}

// imageDeath is the Deletion of an image of which only the id is known.
func imageDeath(cloud, id string) quarantine.Deletion {
	return quarantine.Deletion{
		ID:    quarantine.DeletionID(cloud, quarantine.KindImageDelete, id, ""),
		Cloud: cloud, CloudType: quarantine.CloudOpenStack, Kind: quarantine.KindImageDelete,
		ResourceKind: quarantine.ResourceImage, ResourceID: id,
		Disks: []quarantine.DiskRef{{Name: id, Role: roleImage}},
	}
}

// livingImages lists the images of all projects, the hidden ones too.
func (s *session) livingImages(ctx context.Context, each func(quarantine.Deletion) error) error {
	for _, hidden := range []string{"false", "true"} {
		query := url.Values{"visibility": {"all"}, "os_hidden": {hidden}}
		err := list(ctx, s, imageService, "images", "images", query, func(v apiImage) error {
			s.api.names.put(nameKey{kindImage, v.ident()}, quarantine.Principal{ID: v.ident(), Name: string(v.Name)})
			d, err := v.deletion(ctx, s)
			if err != nil {
				return err
			}
			return each(d.Normalize())
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// image returns an image that Glance has.
func (s *session) image(ctx context.Context, id string) (apiImage, error) {
	var v apiImage
	err := s.get(ctx, imageService, "images/"+id, nil, &v)
	if err == nil && v.ident() != id {
		err = fmt.Errorf("cloud %s: image %s: %w: the answer is of another", s.api.cfg.Cloud, id, quarantine.ErrUnavailable)
	}
	return v, err
}
