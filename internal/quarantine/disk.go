package quarantine

import (
	"strings"
	"time"
)

// SealSnapshot is the name of the snapshot that makes a disk evidence. Ceph
// refuses `rbd trash rm` of an image that has a snapshot, even with --force
// (ENOTEMPTY).
const SealSnapshot = "quarantine"

// ReservedPrefix begins the name that a disk bears while this service has it
// out of the trash for a moment: "quarantine.<image id>". It never begins with
// a server's uuid, because Nova removes every image with that prefix.
const ReservedPrefix = "quarantine."

// Key identifies an RBD image in all the world. Names are not part of it.
type Key struct {
	FSID      string `json:"fsid"` // of the Ceph cluster
	Pool      string `json:"pool"`
	Namespace string `json:"namespace,omitempty"`
	ImageID   string `json:"image_id"`
}

// DiskID is the disk's id in the catalog and the CLI: the same after every
// rebuild of the catalog, because it is derived from the key alone.
func (k Key) DiskID() string { return digest("disk", k.FSID, k.Pool, k.Namespace, k.ImageID) }

// ReservedName is the name the image bears while it is out of the trash.
func (k Key) ReservedName() string { return ReservedPrefix + k.ImageID }

// PoolRef is the place of the image.
func (k Key) PoolRef() PoolRef { return PoolRef{FSID: k.FSID, Pool: k.Pool, Namespace: k.Namespace} }

// String is pool/namespace/image id, as `rbd` writes image specs.
func (k Key) String() string { return k.PoolRef().String() + "/" + k.ImageID }

// PoolRef names a pool, or a namespace of it, in a cluster.
type PoolRef struct {
	FSID      string `json:"fsid"`
	Pool      string `json:"pool"`
	Namespace string `json:"namespace,omitempty"`
}

// Key returns the key of an image in the pool.
func (p PoolRef) Key(imageID string) Key {
	return Key{FSID: p.FSID, Pool: p.Pool, Namespace: p.Namespace, ImageID: imageID}
}

// String is pool or pool/namespace.
func (p PoolRef) String() string {
	if p.Namespace == "" {
		return p.Pool
	}
	return p.Pool + "/" + p.Namespace
}

// Capture says how a disk came into quarantine.
type Capture string

// The ways of capture.
const (
	CaptureGuard Capture = "guard" // librbd moved it to the trash: nothing could be lost
	CaptureRaced Capture = "raced" // seized before the cloud's own remove: a race, won
	// CaptureDriver: the cloud's storage driver asked before it removed it, and
	// waited: nothing could be lost.
	CaptureDriver Capture = "driver"
	CaptureNone   Capture = "none" // a lost disk
	// CaptureCopy: an isolated copy, made by this service.
	CaptureCopy Capture = "copy"
)

// Hold is a legal hold: while one is open the disk never expires.
type Hold struct {
	CaseID    string    `json:"case_id"`
	Reason    string    `json:"reason"`
	By        string    `json:"by"`
	PlacedAt  time.Time `json:"placed_at"`
	Released  time.Time `json:"released_at,omitzero"`
	ReleaseBy string    `json:"released_by,omitempty"`
	// ReleaseReason is why it was lifted.
	ReleaseReason string `json:"release_reason,omitempty"`
	// Standing is the id of the standing hold that placed it; empty: a person did.
	Standing string `json:"standing,omitempty"`
}

// Open reports whether the hold still stands.
func (h Hold) Open() bool { return h.Released.IsZero() }

// Disk is one quarantined RBD image, and at the same time the record of it
// that is kept as metadata on the image.
type Disk struct {
	ID           string `json:"id"`
	Key          Key    `json:"key"`
	OriginalName string `json:"original_name"`
	State        State  `json:"state"`

	Capture Capture `json:"capture"`
	Role    string  `json:"role,omitempty"`
	// SizeBytes is the provisioned size; UsedBytes what is allocated, -1 until
	// it has been measured.
	SizeBytes int64 `json:"size_bytes"`
	UsedBytes int64 `json:"used_bytes"`

	// DeletedAt is when the image came into the trash, by the clock of the
	// client that removed it, in whole seconds.
	DeletedAt     time.Time `json:"deleted_at"`
	QuarantinedAt time.Time `json:"quarantined_at"`
	// ProtectedUntil is the end of the trash entry's own protection time.
	ProtectedUntil time.Time `json:"protected_until,omitzero"`
	RetainUntil    time.Time `json:"retain_until"`
	// ExtendedUntil is the latest date that a person gave it: no policy takes it back.
	ExtendedUntil time.Time `json:"extended_until,omitzero"`
	ExpiringAt    time.Time `json:"expiring_at,omitzero"`
	// PurgedAt is when the space was freed; RestoredAt when the disk left
	// quarantine by an in-place restore, under the name RestoredTo.
	PurgedAt   time.Time `json:"purged_at,omitzero"`
	RestoredAt time.Time `json:"restored_at,omitzero"`
	RestoredTo string    `json:"restored_to,omitempty"`

	Decision Decision `json:"decision"`
	// Shortened is set where two people cut the decision's promise short.
	Shortened *Shortening `json:"shortened,omitempty"`
	Holds     []Hold      `json:"holds,omitempty"`

	// HoldsUnchecked is true while nobody could look whether a standing hold is on
	// the disk. It expires no earlier.
	HoldsUnchecked bool `json:"holds_unchecked,omitempty"`

	// Parent is the base image that the disk is, or was, a clone of; nil: none.
	Parent *Parent `json:"parent,omitempty"`

	// Deletion is the joined identity; nil while unexplained.
	Deletion *Deletion `json:"deletion,omitempty"`

	// Sealed is true from the moment the seal snapshot is known to exist until
	// it is known to be gone.
	Sealed bool `json:"sealed"`
	// SealID is Ceph's id of the seal: no other snapshot of the pool ever has it.
	// Zero is not known (records of before).
	SealID uint64 `json:"seal_id,omitempty"`
	// DataPool is where the image's data is, if that is another pool: Ceph counts
	// its snapshots there.
	DataPool string `json:"data_pool,omitempty"`
	// SealBrokenAt is when it was noticed last that somebody else had removed or
	// replaced the seal, or that a purge had been taken back which had taken it off and
	// maybe begun to remove the data. The present seal, if there is one, was taken after that:
	// what the disk held at its deletion may have been altered in between.
	SealBrokenAt time.Time `json:"seal_broken_at,omitzero"`
	// EarlyBy is who asked for the disk to be purged before its time, or
	// EarlyByCapacity; empty otherwise. A hold or an extension takes the request
	// back. EarlyReason is why, where the service itself did.
	EarlyBy     string `json:"early_by,omitempty"`
	EarlyReason string `json:"early_reason,omitempty"`
	// Intent is what is being done in the states restoring and purging, so
	// that a restart can finish or undo it.
	Intent string `json:"intent,omitempty"`

	// CopyOf, of a copy in the evidence pool, names its original; Copies, of an
	// original, its copies. The hash is of the sealed bytes of both.
	CopyOf *CopyRef  `json:"copy_of,omitempty"`
	Copies []CopyRef `json:"copies,omitempty"`
	// IsolateBy is who asked for a copy in the evidence pool; empty if nobody
	// did. A policy asks by Decision.Isolate.
	IsolateBy string `json:"isolate_by,omitempty"`

	// AliveSince is when the image's present life began, where it was given
	// back once and deleted again; zero in its first life. What was reported
	// before is not about its present death.
	AliveSince time.Time `json:"alive_since,omitzero"`

	// RecordStale is true while the copy on the image is older than this one.
	// It lives in the catalog only.
	RecordStale bool `json:"-"`
	// Version counts the changes of the catalog row (compare and swap). It
	// lives in the catalog only.
	Version int64 `json:"-"`
}

// Held reports whether any hold is open.
func (d *Disk) Held() bool { return len(d.OpenHolds()) > 0 }

// OpenHolds returns the holds that still stand.
func (d *Disk) OpenHolds() []Hold {
	var open []Hold
	for _, h := range d.Holds {
		if h.Open() {
			open = append(open, h)
		}
	}
	return open
}

// DeletionID is the joined Deletion's id, or empty.
func (d *Disk) DeletionID() string {
	if d.Deletion == nil {
		return ""
	}
	return d.Deletion.ID
}

// TrashEntry is one entry of a pool's RBD trash, as `rbd trash ls --long`
// shows it.
type TrashEntry struct {
	Key  Key
	Name string
	// DeletedAt and ProtectedUntil are the entry's deletion and deferment end
	// times.
	DeletedAt      time.Time
	ProtectedUntil time.Time
	// Removing: Ceph has begun to remove the image, and perhaps was interrupted.
	// It gives such an image back to nobody, and part of its data may be gone.
	Removing bool
}

// joinSeparators are the characters that may follow a DiskRef's prefix in the
// full name of an image.
const joinSeparators = "_.-@"

// JoinKeys returns the strings under which a Deletion may refer to an image
// of this name: the name itself first, then every prefix that ends before a
// separator. "u_disk.eph0" gives itself, "u_disk" and "u".
func JoinKeys(name string) []string {
	keys := []string{name}
	for i := len(name) - 1; i > 0; i-- {
		if strings.IndexByte(joinSeparators, name[i]) >= 0 {
			keys = append(keys, name[:i])
		}
	}
	return keys
}

// filter finds the disks of the name, in any pool (Matches looks at that).
func (r DiskRef) filter() DiskFilter {
	if r.Prefix {
		return DiskFilter{NamePrefix: r.Name}
	}
	return DiskFilter{OriginalNames: []string{r.Name}}
}

// Matches reports whether the reference can mean an image of this name in
// this pool.
func (r DiskRef) Matches(p PoolRef, name string) bool {
	if r.Pool != "" && (r.Pool != p.Pool || r.Namespace != p.Namespace) {
		return false
	}
	if r.Name == name {
		return true
	}
	return r.Prefix && len(name) > len(r.Name) && strings.HasPrefix(name, r.Name) &&
		strings.IndexByte(joinSeparators, name[len(r.Name)]) >= 0
}
