package quarantine

import (
	"context"
	"time"
)

// The interfaces to a cloud's own APIs. As with the other ports, errors wrap
// ErrUnavailable where nothing may be concluded from them.

// CloudReader is what a cloud's APIs tell of its resources, the living and the
// dead. It changes nothing.
type CloudReader interface {
	// Name is the configured name of the cloud.
	Name() string
	// Living calls each for every server, volume and image that the cloud has
	// now, of all projects, with the Deletion that its death would be: id,
	// kind, identity, and the images it may have in the pools (no times but
	// CreatedAt, and none of the disks Required). A nil error means that the
	// listing was whole. An error of each ends it.
	Living(ctx context.Context, each func(Deletion) error) error
	// Dead calls each for every resource that the cloud's database says was
	// deleted at the time or later; resources of a kind whose dead the cloud
	// does not list (volumes, images) are left out.
	Dead(ctx context.Context, since time.Time, each func(Deletion) error) error
	// Complete returns what the APIs know of the Deletion's resource and act,
	// as a Deletion of the same id that is to be merged with it: the names of
	// project, domain, user and deleter, flavor, image, host, metadata, tags,
	// addresses, volumes. It works for what is gone already. ErrNotFound if
	// they know nothing of it.
	Complete(ctx context.Context, d Deletion) (Deletion, error)
	// Acts returns what the cloud remembers of acts on the resource that
	// destroyed or wiped disks (rebuild, shelve-offload, resize, unrescue,
	// delete), as the Deletions that its events would have made, ids and times
	// included; nothing where it keeps no such history (volumes, images). It is
	// asked about disks that no event explains. Similar to: openstack server
	// event list.
	Acts(ctx context.Context, kind ResourceKind, id string) ([]Deletion, error)
	// Suspect returns the Deletion that the death of an image of that name
	// would be, by the name alone (kind and resource; no disk Required), and
	// whether the name is one that the cloud gives at all.
	Suspect(imageName string) (Deletion, bool)
}

// Sighting is what was known of a resource while it lived: the cloud forgets
// the addresses of a deleted server, and everything of a deleted volume.
type Sighting struct {
	// SeenAt is when it was seen last.
	SeenAt time.Time
	// Deletion is what its death would be (CloudReader.Living).
	Deletion Deletion
}

// Inventory keeps the last sighting of each resource.
type Inventory interface {
	// See keeps the sightings, in place of older ones of the same resources
	// (cloud, resource kind, resource id).
	See(ctx context.Context, seen []Sighting) error
	// Sighting returns the last one of the resource. ErrNotFound.
	Sighting(ctx context.Context, cloud string, kind ResourceKind, id string) (Sighting, error)
	// Vanished returns a page of the cloud's sightings that are older than the
	// time and were not marked as dead (MarkDead), oldest first.
	Vanished(ctx context.Context, cloud string, before time.Time, limit int) ([]Sighting, error)
	// MarkDead marks that the resource's death is recorded; See makes it alive
	// again. ErrNotFound.
	MarkDead(ctx context.Context, cloud string, kind ResourceKind, id string) error
	// ForgetSightings drops the dead ones that were seen last before the time.
	ForgetSightings(ctx context.Context, before time.Time) (int64, error)
}

// Inquiries keeps of which Deletions the cloud's APIs were asked.
type Inquiries interface {
	// Unasked returns a page of the cloud's Deletions that were not marked by
	// Asked, oldest received first; of those that were received at the time or
	// later.
	Unasked(ctx context.Context, cloud string, since time.Time, limit int) ([]Deletion, error)
	// Asked marks it as asked about when it said what d says; not so where it
	// has got an id since that d has not, and no name with it. ErrNotFound.
	Asked(ctx context.Context, d Deletion) error
	// FindDeletions returns the cloud's Deletions whose act took place (or
	// where that is not known, was reported) within [from, to), by id.
	FindDeletions(ctx context.Context, cloud string, from, to time.Time) ([]Deletion, error)
}

// SeenImage is a live image of a pool as it was seen last.
type SeenImage struct {
	ImageID string
	Name    string
	// SeenAt is when it was seen last.
	SeenAt time.Time
}

// SeenImages remembers the live images of pools, so that one which is gone and
// is not in quarantine is missed.
type SeenImages interface {
	// SeenImages returns what is remembered of the pool, by image id.
	SeenImages(ctx context.Context, pool PoolRef) ([]SeenImage, error)
	// SeeImages remembers images (new ones, and new names and times of known
	// ones) and forgets those whose ids are gone, in one step.
	SeeImages(ctx context.Context, pool PoolRef, seen []SeenImage, forget []string) error
}

// CloudWriter makes resources of a cloud out of images that this service has
// put into the cloud's own pools, and takes back what it made itself. Nothing
// else of the cloud is changed by it.
type CloudWriter interface {
	// Name is the configured name of the cloud.
	Name() string
	// Traits are what it can do and cannot. They never change.
	Traits() CloudTraits
	// VolumePool is where the cloud's volumes of that type are (the default
	// type where it is empty), ImagePool where its images are. ErrNotFound if
	// there is no such type, or it is not on RBD; ErrInvalid if the site's
	// configuration does not tell the pool. A volume of OpenNebula is a
	// persistent image, and its type the image datastore.
	VolumePool(ctx context.Context, volumeType string) (PoolRef, error)
	ImagePool(ctx context.Context) (PoolRef, error)

	// AdoptVolume makes a volume of the image o.Source in the volume pool,
	// without copying; the image gets another name. It returns when the volume
	// can be used. On error nobody has a volume of it that the cloud could tell
	// of. The image is there still then, under its own name or one that the
	// cloud gave it, if o.Evidence says that it must be; else it may be gone.
	// Similar to: openstack block storage volume manage.
	AdoptVolume(ctx context.Context, o VolumeOrder) (Made, error)
	// AdoptImage makes an image of the cloud of o.Source in the image pool,
	// without copying, by its location. The RBD image has a protected snapshot
	// named "snap". ErrRefused if the site does not allow it
	// (show_multiple_locations); then UploadImage is the way, where there is one. ErrUnavailable
	// where it is not known whether the cloud has the image; after any other
	// error it has none.
	AdoptImage(ctx context.Context, o ImageOrder) (Made, error)
	// UploadImage makes an image of the cloud of what read gives: all of
	// o.SizeBytes, zeros included. On error there is no image. ErrRefused if the
	// cloud takes no bytes (CloudTraits.NoUpload).
	UploadImage(ctx context.Context, o ImageOrder, read func(w Writer) error) (Made, error)
	// BootServer makes a server that boots from the volume, with the other
	// volumes attached, and waits until it runs. On error there is no server,
	// and the volumes are there still.
	BootServer(ctx context.Context, o ServerOrder) (Made, error)
	// Discard deletes a resource that one of the methods above has just made; one
	// that is gone is success.
	Discard(ctx context.Context, m Made) error
}

// CloudTraits are what tells clouds apart in a restore.
type CloudTraits struct {
	// Whole: it must be given images that are no clones, because its own removal
	// of an image follows it to its parents (the ceph drivers of OpenNebula).
	Whole bool
	// Owners: what is made can be given to a user (VolumeOrder.Owner).
	Owners bool
	// NoUpload: its API takes no bytes, so that an image can be made by its
	// location only (OpenNebula reads a file of the front-end).
	NoUpload bool
	// VolumePrefix begins the name that AdoptVolume gives an image; what follows
	// is what the name it had has after RestorePrefix. "": a name of the cloud's
	// choice, which nobody knows before (Cinder's volume-ID).
	VolumePrefix string
}

// Writer is io.Writer, by another name so that this package's ports need no
// import.
type Writer interface{ Write(p []byte) (int, error) }

// Made is a resource that a CloudWriter made.
type Made struct {
	Kind ResourceKind `json:"kind"`
	ID   string       `json:"id"`
	Name string       `json:"name,omitempty"`
	// Project owns it.
	Project Principal `json:"project"`
	// Transfer is set where the volume could not be made in the wanted project
	// and waits to be accepted there. Similar to: openstack volume transfer
	// request accept --auth-key KEY ID.
	Transfer *Transfer `json:"transfer,omitempty"`
}

// Transfer is an offered volume transfer.
type Transfer struct {
	ID      string `json:"id"`
	AuthKey string `json:"auth_key"`
}

// VolumeOrder asks for a volume.
type VolumeOrder struct {
	Source string // name of the RBD image in the volume pool
	// Evidence: the image is the disk itself, and not a copy. A volume that
	// cannot be finished is taken out of the cloud's care (unmanaged); whatever
	// happens, nothing is deleted, because that would delete the disk.
	Evidence bool
	// SizeBytes is the image's size; not every cloud asks Ceph for it.
	SizeBytes int64
	Name      string
	// Project is the id or name of the project to own it; empty: the service's
	// own. Domain is the name or id of the project's domain, where the name
	// alone is not enough.
	Project  string
	Domain   string
	Owner    string // id or name of the user to own it; only with CloudTraits.Owners
	Type     string // volume type; empty: the default
	Bootable bool
	Metadata map[string]string
}

// ImageOrder asks for an image.
type ImageOrder struct {
	Source     string // name of the RBD image in the image pool; for AdoptImage
	FSID       string // of its cluster; for AdoptImage
	Name       string
	Project    string // owner; as in VolumeOrder
	Domain     string
	Owner      string // as in VolumeOrder
	SizeBytes  int64
	Properties map[string]string
}

// ServerOrder asks for a server.
type ServerOrder struct {
	Name    string
	Project string // as in VolumeOrder
	Domain  string
	Owner   string // as in VolumeOrder
	Flavor  string // id or name; empty: the smallest that fits the root volume
	// Root is the volume to boot from, Data the volumes to attach.
	Root string
	Data []string
	// Network is the id or name of the network. Empty: none.
	Network string
	// Defanged: no network, no config drive, no user data, no key: nothing of
	// the outside reaches the machine, and cloud-init finds no source.
	Defanged bool
	Metadata map[string]string
}
