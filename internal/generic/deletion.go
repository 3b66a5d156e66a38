package generic

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"quarantine/internal/quarantine"
)

// The limits, in characters and items. They stand in schema.json too.
const (
	maxText      = 256
	maxMetadata  = 64
	maxMetaKey   = 128
	maxMetaValue = 1024
	maxTags      = 64
	maxAddresses = 256
	maxTime      = 64
)

var errMissing = errors.New("is missing")

// kinds are all kinds, and whether a resource can go through one several
// times, so that its deletions are told apart by the request.
func kinds() map[quarantine.Kind]bool {
	return map[quarantine.Kind]bool{
		quarantine.KindDelete:        false,
		quarantine.KindSoftDelete:    false,
		quarantine.KindRebuild:       true,
		quarantine.KindShelveOffload: true,
		quarantine.KindResize:        true,
		quarantine.KindUnrescue:      true,
		quarantine.KindVolumeDelete:  false,
		quarantine.KindImageDelete:   false,
		quarantine.KindRecoverDelete: false,
		quarantine.KindRecreate:      true,
		quarantine.KindDiskDetach:    true,
	}
}

// resourceOf is the kind of resource that dies by the kind.
func resourceOf(k quarantine.Kind) quarantine.ResourceKind {
	switch k {
	case quarantine.KindVolumeDelete:
		return quarantine.ResourceVolume
	case quarantine.KindImageDelete:
		return quarantine.ResourceImage
	}
	return quarantine.ResourceVM
}

// deletion checks the report and returns it in the domain's words. With an
// error it names the field.
func (in *deletionJSON) deletion(cloud string) (d quarantine.Deletion, field string, err error) {
	d = quarantine.Deletion{
		Cloud: cloud, CloudType: quarantine.CloudGeneric,
		Kind:       quarantine.Kind(in.Kind),
		ResourceID: in.ResourceID, ResourceName: in.ResourceName, ServerID: in.ServerID,
		Project: in.Project.principal(), User: in.User.principal(),
		Deleter: in.Deleter.principal(), Image: in.Image.principal(),
		Flavor: in.Flavor, Host: in.Host, AvailabilityZone: in.AvailabilityZone,
		Metadata: in.Metadata, Tags: in.Tags, RequestID: in.RequestID,
	}
	if d.Kind == "" {
		d.Kind = quarantine.KindDelete
	}
	repeated, known := kinds()[d.Kind]
	if !known {
		return d, "kind", oneOf(in.Kind, kindNames())
	}
	d.ResourceKind = resourceOf(d.Kind)
	if in.ResourceKind != "" && in.ResourceKind != string(d.ResourceKind) {
		return d, "resource_kind", fmt.Errorf("expected %q for the kind %s, got %q", d.ResourceKind, d.Kind, cut(in.ResourceKind))
	}
	if field, err := in.checkTexts(); err != nil {
		return d, field, err
	}
	request := ""
	if repeated {
		if in.RequestID == "" {
			return d, "request_id", fmt.Errorf("%w: a resource can go through %s several times", errMissing, d.Kind)
		}
		request = in.RequestID
	}
	if field, err := in.times(&d); err != nil {
		return d, field, err
	}
	if d.Addresses, field, err = in.addresses(); err != nil {
		return d, field, err
	}
	if d.Disks, field, err = in.disks(); err != nil {
		return d, field, err
	}
	d.ID = quarantine.DeletionID(cloud, d.Kind, d.ResourceID, request)
	return d.Normalize(), "", nil
}

func (in *deletionJSON) checkTexts() (field string, err error) {
	if in.ResourceID == "" {
		return "resource_id", errMissing
	}
	for _, f := range []struct{ name, value string }{
		{"resource_id", in.ResourceID}, {"resource_name", in.ResourceName}, {"server_id", in.ServerID},
		{"project.id", in.Project.ID}, {"project.name", in.Project.Name},
		{"user.id", in.User.ID}, {"user.name", in.User.Name},
		{"deleter.id", in.Deleter.ID}, {"deleter.name", in.Deleter.Name},
		{"image.id", in.Image.ID}, {"image.name", in.Image.Name},
		{"flavor", in.Flavor}, {"host", in.Host}, {"availability_zone", in.AvailabilityZone},
		{"request_id", in.RequestID},
	} {
		if err := checkText(f.value, maxText); err != nil {
			return f.name, err
		}
	}
	if len(in.Metadata) > maxMetadata {
		return "metadata", fmt.Errorf("expected at most %d keys, got %d", maxMetadata, len(in.Metadata))
	}
	for k, v := range in.Metadata {
		if k == "" {
			return "metadata", errors.New("a key is empty")
		}
		if err := checkText(k, maxMetaKey); err != nil {
			return "metadata", fmt.Errorf("the key %q: %w", cut(k), err)
		}
		if n := utf8.RuneCountInString(v); n > maxMetaValue {
			return "metadata." + k, fmt.Errorf("expected at most %d characters, got %d", maxMetaValue, n)
		}
	}
	if len(in.Tags) > maxTags {
		return "tags", fmt.Errorf("expected at most %d, got %d", maxTags, len(in.Tags))
	}
	for i, t := range in.Tags {
		if t == "" {
			return fmt.Sprintf("tags[%d]", i), errors.New("is empty")
		}
		if err := checkText(t, maxText); err != nil {
			return fmt.Sprintf("tags[%d]", i), err
		}
	}
	return "", nil
}

// checkText refuses what does not fit in a line of a table.
func checkText(s string, most int) error {
	if n := utf8.RuneCountInString(s); n > most {
		return fmt.Errorf("expected at most %d characters, got %d", most, n)
	}
	if strings.ContainsFunc(s, unicode.IsControl) {
		return errors.New("has a control character")
	}
	return nil
}

func oneOf(got string, want []string) error {
	return fmt.Errorf("expected one of %s, got %q", strings.Join(want, ", "), cut(got))
}

func kindNames() []string {
	var out []string
	for k := range kinds() {
		out = append(out, string(k))
	}
	slices.Sort(out)
	return out
}
