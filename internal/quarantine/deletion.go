package quarantine

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"
)

// Kind says how a resource died, in the words of the cloud that reported it.
type Kind string

// The kinds of deletion. A kind is part of a Deletion's identity: a rebuild
// and the later delete of one server are two Deletions.
const (
	KindDelete        Kind = "delete"         // a VM was deleted: instance.delete, terminate
	KindSoftDelete    Kind = "soft-delete"    // marked; the disks die at reclaim (Nova reclaim_instance_interval)
	KindRebuild       Kind = "rebuild"        // the root disk is destroyed and made again under the same name
	KindShelveOffload Kind = "shelve-offload" // the local disks are destroyed; a Glance image remains
	KindResize        Kind = "resize"         // leftovers of a resize, confirmed or reverted
	KindUnrescue      Kind = "unrescue"       // the rescue disk is destroyed
	KindVolumeDelete  Kind = "volume-delete"  // a Cinder volume
	KindImageDelete   Kind = "image-delete"   // a Glance or OpenNebula image
	KindRecoverDelete Kind = "recover-delete" // OpenNebula: onevm recover --delete
	KindRecreate      Kind = "recreate"       // OpenNebula: the disks are destroyed, the VM lives on
	KindDiskDetach    Kind = "disk-detach"    // OpenNebula: a volatile or non-persistent disk was detached
)

// ResourceKind says what was deleted.
type ResourceKind string

// The kinds of resource.
const (
	ResourceVM     ResourceKind = "vm"
	ResourceVolume ResourceKind = "volume"
	ResourceImage  ResourceKind = "image"
)

// Cloud types.
const (
	CloudOpenStack  = "openstack"
	CloudOpenNebula = "opennebula"
	CloudGeneric    = "generic"
)

// Principal is a user or project of a cloud. Any field may be unknown.
type Principal struct {
	ID   string `json:"id,omitempty"`
	Name string `json:"name,omitempty"`
	// Domain is the name (or where only that is known, the id) of the Keystone
	// domain that the user or project belongs to.
	Domain string `json:"domain,omitempty"`
	// Subject is the name of a user at the provider that vouches for them, as
	// the DN of an X.509 certificate.
	Subject string `json:"subject,omitempty"`
}

// Label is the name where one is known, else the id.
func (p Principal) Label() string {
	if p.Name != "" {
		return p.Name
	}
	return p.ID
}

// Address is one network address that the VM had when it was deleted.
type Address struct {
	IP      string `json:"ip,omitempty"`
	MAC     string `json:"mac,omitempty"`
	Network string `json:"network,omitempty"` // label or name of the network
	PortID  string `json:"port_id,omitempty"`
	// Type is "fixed" or AddressFloating; empty where the report does not say it.
	Type string `json:"type,omitempty"`
}

// AddressFloating is the type of an address that was given to a server from
// outside its network, as Nova calls it (OS-EXT-IPS:type).
const AddressFloating = "floating"

// VolumeRef is a volume that was attached to the VM when it was deleted.
type VolumeRef struct {
	ID     string `json:"id"`
	Device string `json:"device,omitempty"` // as the cloud calls it: /dev/vdb
	Boot   bool   `json:"boot,omitempty"`   // the VM booted from it
	// DeleteOnTermination: the cloud deletes it together with the VM.
	DeleteOnTermination bool `json:"delete_on_termination,omitempty"`
}

// DiskRef names an RBD image that a Deletion is expected to destroy.
type DiskRef struct {
	// Pool and Namespace are empty where the event does not say them; the
	// reference then matches in any pool of the same cloud.
	Pool      string `json:"pool,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	// Name is the RBD image name, or where Prefix is set the beginning of it,
	// which must end before one of the separators "_.-@" of the full name.
	Name   string `json:"name"`
	Prefix bool   `json:"prefix,omitempty"`
	// Role is root, ephemeral, swap, config, rescue, volume, image or disk.
	Role string `json:"role,omitempty"`
	// Required makes the absence of such a disk a `lost` record: the event
	// proves that the disk existed.
	Required bool `json:"required,omitempty"`
}

// Deletion is a cloud's report that a resource was, or is being, destroyed or
// wiped. Several messages may report one Deletion; Merge joins them.
type Deletion struct {
	// ID is DeletionID of what identifies the act. Every message about one
	// act, in any format, must lead to the same ID.
	ID        string `json:"id"`
	Cloud     string `json:"cloud"`      // the configured name of the cloud
	CloudType string `json:"cloud_type"` // openstack, opennebula or generic
	Kind      Kind   `json:"kind"`

	ResourceKind ResourceKind `json:"resource_kind"`
	ResourceID   string       `json:"resource_id"`
	ResourceName string       `json:"resource_name,omitempty"`
	// ServerID is the VM that a volume was attached to, where known.
	ServerID string `json:"server_id,omitempty"`

	Project Principal `json:"project"`
	User    Principal `json:"user"`    // the owner
	Deleter Principal `json:"deleter"` // who asked for the deletion

	// Flavor is the name of a server's flavor or a volume's type; its id where
	// the name is not known.
	Flavor           string            `json:"flavor,omitempty"`
	Image            Principal         `json:"image"` // the image it was booted from: id and name
	Host             string            `json:"host,omitempty"`
	AvailabilityZone string            `json:"availability_zone,omitempty"`
	Metadata         map[string]string `json:"metadata,omitempty"`
	Tags             []string          `json:"tags,omitempty"`
	Addresses        []Address         `json:"addresses,omitempty"`
	// KeyPair is the name of the SSH key that the VM was made with.
	KeyPair string `json:"key_pair,omitempty"`
	// Volumes were attached to the VM. Each has a Deletion of its own, if it
	// died.
	Volumes   []VolumeRef `json:"volumes,omitempty"`
	RequestID string      `json:"request_id,omitempty"`

	// CreatedAt is when the resource was made; zero if unknown.
	CreatedAt time.Time `json:"created_at,omitzero"`
	// StartedAt is the time, by the cloud's clock, of the first sign of the
	// act; zero if the report does not say it.
	StartedAt time.Time `json:"started_at,omitzero"`
	// EndedAt is the time, by the cloud's clock, of the act's end event; zero
	// until it is known.
	EndedAt time.Time `json:"ended_at,omitzero"`
	// ReceivedAt is when the first report reached this service.
	ReceivedAt time.Time `json:"received_at,omitzero"`

	Disks []DiskRef `json:"disks,omitempty"`
}

// DeletionID derives a Deletion's id from what identifies the act: the cloud,
// the kind, the resource's id, and for acts that one resource can go through
// several times (rebuild, resize, detach …) the id of the request.
func DeletionID(cloud string, kind Kind, resourceID, request string) string {
	return digest("deletion", cloud, string(kind), resourceID, request)
}

// digest is the first 16 hex digits of the SHA-256 of the parts, joined by a
// byte that no part contains.
func digest(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:8])
}

// Validate reports what is missing for the Deletion to be recorded. The error
// wraps ErrInvalid.
func (d *Deletion) Validate() error {
	switch {
	case d.ID == "":
		return invalidf("deletion has no id")
	case d.Cloud == "":
		return invalidf("deletion %s has no cloud", d.ID)
	case d.Kind == "":
		return invalidf("deletion %s has no kind", d.ID)
	case d.ResourceKind == "":
		return invalidf("deletion %s has no resource kind", d.ID)
	case d.ResourceID == "":
		return invalidf("deletion %s has no resource id", d.ID)
	}
	for _, ref := range d.Disks {
		if ref.Name == "" {
			return invalidf("deletion %s: a disk has no name", d.ID)
		}
	}
	return nil
}

// Normalize sorts and merges the Deletion's lists, so that two equal reports
// are equal byte for byte, and truncates times to the microsecond that the
// catalog keeps.
func (d Deletion) Normalize() Deletion {
	n := Merge(d, d)
	for _, t := range []*time.Time{&n.CreatedAt, &n.StartedAt, &n.EndedAt, &n.ReceivedAt} {
		if !t.IsZero() {
			*t = t.UTC().Truncate(time.Microsecond)
		}
	}
	return n
}

// FirstSign is the earliest that is known of when the act took place: its
// start, else its end, else when it was reported. Who looks for what the act
// has caused counts from here, because nothing of it died before.
func (d *Deletion) FirstSign() time.Time {
	return firstKnown(d.StartedAt, d.EndedAt, d.ReceivedAt)
}

// LastSign is the latest that is known of it: its end, else its start, else
// when it was reported. An act belongs to the period that its last sign is in,
// because only then is it over, and what it destroyed can be asked for.
func (d *Deletion) LastSign() time.Time {
	return firstKnown(d.EndedAt, d.StartedAt, d.ReceivedAt)
}

func firstKnown(times ...time.Time) time.Time {
	for _, t := range times {
		if !t.IsZero() {
			return t
		}
	}
	return time.Time{}
}
