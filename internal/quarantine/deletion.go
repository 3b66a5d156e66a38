package quarantine

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
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

// Principal is a user or project of a cloud. Either field may be unknown.
type Principal struct {
	ID   string `json:"id,omitempty"`
	Name string `json:"name,omitempty"`
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

	Flavor           string            `json:"flavor,omitempty"`
	Image            Principal         `json:"image"` // the image it was booted from: id and name
	Host             string            `json:"host,omitempty"`
	AvailabilityZone string            `json:"availability_zone,omitempty"`
	Metadata         map[string]string `json:"metadata,omitempty"`
	Tags             []string          `json:"tags,omitempty"`
	Addresses        []Address         `json:"addresses,omitempty"`
	RequestID        string            `json:"request_id,omitempty"`

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

// Merge joins two reports of one Deletion. It is commutative, associative and
// idempotent, so that the order and the number of deliveries do not matter:
// what one report lacks the other gives; where both speak and differ, the
// earlier StartedAt, the later EndedAt and the smaller string win.
func Merge(a, b Deletion) Deletion {
	m := a
	m.Cloud = mergeString(a.Cloud, b.Cloud)
	m.CloudType = mergeString(a.CloudType, b.CloudType)
	m.Kind = Kind(mergeString(string(a.Kind), string(b.Kind)))
	m.ResourceKind = ResourceKind(mergeString(string(a.ResourceKind), string(b.ResourceKind)))
	m.ResourceID = mergeString(a.ResourceID, b.ResourceID)
	m.ResourceName = mergeString(a.ResourceName, b.ResourceName)
	m.ServerID = mergeString(a.ServerID, b.ServerID)
	m.Project = mergePrincipal(a.Project, b.Project)
	m.User = mergePrincipal(a.User, b.User)
	m.Deleter = mergePrincipal(a.Deleter, b.Deleter)
	m.Flavor = mergeString(a.Flavor, b.Flavor)
	m.Image = mergePrincipal(a.Image, b.Image)
	m.Host = mergeString(a.Host, b.Host)
	m.AvailabilityZone = mergeString(a.AvailabilityZone, b.AvailabilityZone)
	m.RequestID = mergeString(a.RequestID, b.RequestID)
	m.CreatedAt = earlier(a.CreatedAt, b.CreatedAt)
	m.StartedAt = earlier(a.StartedAt, b.StartedAt)
	m.ReceivedAt = earlier(a.ReceivedAt, b.ReceivedAt)
	m.EndedAt = a.EndedAt
	if b.EndedAt.After(m.EndedAt) {
		m.EndedAt = b.EndedAt
	}
	m.Metadata = mergeMaps(a.Metadata, b.Metadata)
	m.Tags = union(a.Tags, b.Tags, strings.Compare)
	m.Addresses = union(a.Addresses, b.Addresses, compareAddress)
	m.Disks = mergeRefs(a.Disks, b.Disks)
	return m
}

// Equal reports whether two Deletions say the same.
func (d Deletion) Equal(o Deletion) bool {
	a, b := d, o
	if !maps.Equal(a.Metadata, b.Metadata) || !slices.Equal(a.Tags, b.Tags) ||
		!slices.Equal(a.Addresses, b.Addresses) || !slices.Equal(a.Disks, b.Disks) {
		return false
	}
	if !a.CreatedAt.Equal(b.CreatedAt) || !a.StartedAt.Equal(b.StartedAt) ||
		!a.EndedAt.Equal(b.EndedAt) || !a.ReceivedAt.Equal(b.ReceivedAt) {
		return false
	}
	return a.ID == b.ID && a.Cloud == b.Cloud && a.CloudType == b.CloudType && a.Kind == b.Kind &&
		a.ResourceKind == b.ResourceKind && a.ResourceID == b.ResourceID && a.ResourceName == b.ResourceName &&
		a.ServerID == b.ServerID && a.Project == b.Project && a.User == b.User && a.Deleter == b.Deleter &&
		a.Flavor == b.Flavor && a.Image == b.Image && a.Host == b.Host &&
		a.AvailabilityZone == b.AvailabilityZone && a.RequestID == b.RequestID
}

func mergeString(a, b string) string {
	switch {
	case a == "":
		return b
	case b == "":
		return a
	}
	return min(a, b)
}

// mergePrincipal joins the names of one id, and of two ids takes the smaller
// with its own names: a name of one user must never appear beside the id of
// another. A name without an id gives way to any id, because nothing says that
// it is the same user's; it would also make the result depend on the order.
func mergePrincipal(a, b Principal) Principal {
	switch {
	case a.ID == b.ID:
		return Principal{ID: a.ID, Name: mergeString(a.Name, b.Name)}
	case a.ID == "" || b.ID != "" && b.ID < a.ID:
		return b
	}
	return a
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}

func mergeMaps(a, b map[string]string) map[string]string {
	if len(a) == 0 && len(b) == 0 {
		return nil
	}
	m := make(map[string]string, len(a)+len(b))
	maps.Copy(m, a)
	for k, v := range b {
		if old, ok := m[k]; ok {
			v = mergeString(old, v)
		}
		m[k] = v
	}
	return m
}

func union[T comparable](a, b []T, compare func(T, T) int) []T {
	if len(a) == 0 && len(b) == 0 {
		return nil
	}
	all := slices.Concat(a, b)
	slices.SortFunc(all, compare)
	return slices.Compact(all)
}

func compareAddress(a, b Address) int {
	return strings.Compare(
		strings.Join([]string{a.IP, a.MAC, a.Network, a.PortID}, "\x00"),
		strings.Join([]string{b.IP, b.MAC, b.Network, b.PortID}, "\x00"))
}

// mergeRefs unites by (pool, namespace, name, prefix). A disk that any report
// requires is required.
func mergeRefs(a, b []DiskRef) []DiskRef {
	if len(a) == 0 && len(b) == 0 {
		return nil
	}
	type key struct {
		pool, namespace, name string
		prefix                bool
	}
	byKey := map[key]DiskRef{}
	for _, r := range slices.Concat(a, b) {
		k := key{r.Pool, r.Namespace, r.Name, r.Prefix}
		if old, ok := byKey[k]; ok {
			r.Role = mergeString(old.Role, r.Role)
			r.Required = r.Required || old.Required
		}
		byKey[k] = r
	}
	out := slices.Collect(maps.Values(byKey))
	slices.SortFunc(out, func(x, y DiskRef) int {
		c := strings.Compare(strings.Join([]string{x.Name, x.Pool, x.Namespace}, "\x00"),
			strings.Join([]string{y.Name, y.Pool, y.Namespace}, "\x00"))
		if c == 0 && x.Prefix != y.Prefix {
			if y.Prefix {
				return -1
			}
			return 1
		}
		return c
	})
	return out
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
