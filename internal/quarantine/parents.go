package quarantine

import (
	"context"
	"time"
)

// A disk that was made as a copy-on-write clone stands on its parent: blocks
// that were never written are read from the snapshot of a base image. While the
// disk is in quarantine the base cannot be deleted (Glance answers 409; an image
// in the trash cannot be purged). To flatten is to copy those blocks into the
// disk, which then stands alone. See Flattener for the order in which that is
// safe.

// FlatSeal is the name of the second seal, taken of a flattened disk whose first
// seal, SealSnapshot, still needs the parent. Once the first has gone it is the
// seal.
const FlatSeal = "quarantine.flat"

// ParentRef names the snapshot that an image is a clone of.
type ParentRef struct {
	Key  Key    `json:"key"`
	Name string `json:"name"` // of the image, when it was looked at
	// Snapshot is the snapshot's name; where it was removed although clones
	// stand on it (clone format 2), a name that Ceph gave it.
	Snapshot string `json:"snapshot"`
	// OverlapBytes is how much of the clone, from its beginning, can be the
	// parent's.
	OverlapBytes int64 `json:"overlap_bytes"`
}

// Parent is what a disk stands on, or stood on until it was flattened.
type Parent struct {
	ParentRef
	// CopyBytes is what a flatten copies: what is allocated in the parent and
	// not in the disk; -1 until it has been measured.
	CopyBytes int64 `json:"copy_bytes"`
	// FlattenedAt is when the disk was seen to stand alone; zero while it does
	// not.
	FlattenedAt time.Time `json:"flattened_at,omitzero"`
	// Refused says why the disk cannot be flattened, ever; "" if nothing is
	// known against it.
	Refused string `json:"refused,omitempty"`
}

// FlattenRule says when a policy has a disk flattened.
type FlattenRule string

// The rules. When none is given it is FlattenNever.
const (
	FlattenNever  FlattenRule = "never"
	FlattenOnHold FlattenRule = "on-hold" // while a hold is open
	// FlattenWhenBlocked: when somebody wants the parent gone and it cannot go
	// (ParentImage.Blocked).
	FlattenWhenBlocked FlattenRule = "when-parent-blocked"
	FlattenAlways      FlattenRule = "always"
)

// FlattenRules lists all rules.
func FlattenRules() []FlattenRule {
	return []FlattenRule{FlattenNever, FlattenOnHold, FlattenWhenBlocked, FlattenAlways}
}

// Pins reports whether the disk keeps a parent from being deleted.
func (d *Disk) Pins() bool { return d.Parent != nil && d.Parent.FlattenedAt.IsZero() }

// inherit is what a disk stands on, given what was known and what Ceph says now
// of the image's head. Nil from Ceph may mean that only the seal still needs the
// parent: then what was known stays, until a flatten looks closer.
func inherit(key Key, known *Parent, seen *ParentRef) *Parent {
	switch {
	case seen == nil && known == nil:
		return nil
	case seen == nil, known != nil && known.Key.ImageID == seen.Key.ImageID && known.FlattenedAt.IsZero():
		p := *known
		p.Key.FSID, p.Refused = key.FSID, ""
		return &p
	}
	return &Parent{ParentRef: *seen, CopyBytes: -1}
}

// SealPair are the ids of a disk's first seal and of its second. Ceph gives no
// id of a snapshot twice.
type SealPair struct{ First, Second uint64 }

// Lineage is what an image stands on, and what stands on it.
type Lineage struct {
	// Parent is what the head, or one of the snapshots, is a clone of; nil: the
	// image stands alone.
	Parent *ParentRef
	// Head and Seal tell whether the head and the seal stand on it, Others names
	// the other snapshots that do (but FlatSeal).
	Head, Seal bool
	Others     []string
	// Deep: the image has the feature deep-flatten, which is Ceph's default. A
	// flatten then gives the snapshots their blocks, too.
	Deep bool
	// Clones of the image's snapshots, and Watchers: clients that have it open.
	Clones, Watchers []string
}

// Whereabouts is where an image is. All false: nowhere.
type Whereabouts struct {
	// Live: it has a name, which is Name.
	Live bool
	Name string
	// InTrash: it is an entry of its pool's trash.
	InTrash bool
	// SnapshotRemoved: somebody removed a snapshot of it on which clones stand
	// (possible with clone format 2 only). It stays, without its name, until
	// they are gone, and so does the image.
	SnapshotRemoved bool
}

// Lineages looks at what images stand on, and flattens. None of its methods
// removes anything.
type Lineages interface {
	// Lineage looks at the image, in the trash or not. ErrNotFound if no image
	// has that id. Similar to: rbd info, rbd children and rbd status with
	// --image-id.
	Lineage(ctx context.Context, key Key) (Lineage, error)
	// Whereabouts looks for an image that had the name. Its pool need not be in
	// the service's care. ErrNotFound if there is no such pool.
	Whereabouts(ctx context.Context, key Key, name string) (Whereabouts, error)
	// FlattenImage copies the parent's blocks into the image, in the trash or
	// not; one without a parent is success. A second call goes on where the
	// first ended. progress is told how many of the image's objects are done; it
	// may take its time, which is how a flatten is slowed down, and nothing else
	// waits for it. Similar to: rbd flatten, by id.
	FlattenImage(ctx context.Context, key Key, progress Progress) error
	// SealAgain takes the snapshot FlatSeal, unless it is there, and reports
	// whether it and the seal hold the same bytes, all of which are read.
	// ErrNotFound without a seal, ErrConflict if FlatSeal stands on a parent
	// itself. progress, as above, is told how many bytes are compared.
	SealAgain(ctx context.Context, key Key, progress Progress) (pair SealPair, same bool, err error)
}
