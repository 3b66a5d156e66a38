package quarantine

import (
	"context"
	"time"
)

// The interfaces that the domain needs of the outside. They are small on
// purpose: what a service does not receive, it cannot do. Unless a method says
// otherwise its errors wrap ErrUnavailable when the other side could not be
// reached or did not answer in time, and nothing may be concluded from that.

// Clock gives the time; cmd passes time.Now, tests a stepped clock.
type Clock func() time.Time

// --- Ceph -------------------------------------------------------------------

// Trash lists and moves trash entries. None of its methods destroys.
type Trash interface {
	// EachTrash calls do for the pool's trash entries that a user put there
	// (source USER; `rbd trash ls --all` shows more), some at a time, in the
	// order of their image ids: a trash can have millions. do may keep what it
	// is given; its error ends the listing and is returned as it is. Any error
	// means that not all were shown. Similar to: rbd trash ls --long.
	EachTrash(ctx context.Context, pool PoolRef, do func([]TrashEntry) error) error
	// FindInTrash returns the one entry with the key. ErrNotFound if the image
	// is not in the trash.
	FindInTrash(ctx context.Context, key Key) (TrashEntry, error)
	// FindSomeInTrash returns those of the pool's images with the ids that are in the
	// trash, by id, in one question.
	FindSomeInTrash(ctx context.Context, pool PoolRef, ids []string) (map[string]TrashEntry, error)
	// MoveToTrash moves the live image of that name to the trash, protected
	// for the duration. ErrNotFound if no such name. Similar to: rbd trash mv
	// --expires-at.
	MoveToTrash(ctx context.Context, pool PoolRef, name string, protect time.Duration) error
	// RestoreFromTrash takes the entry out of the trash under the name.
	// ErrNotFound if the id is not in the trash, ErrExists if the name is
	// taken. Similar to: rbd trash restore --image.
	RestoreFromTrash(ctx context.Context, key Key, name string) error
	// DropName drops a name by which the image could be opened, and be destroyed past
	// the guard and its seal, though it is not called so: a rename or a restore that
	// was cut short leaves such. What the directory lists, as any image's name, stays;
	// a name that does not open this image is success. ErrBusy if the image is in
	// neither the directory nor the trash: the name may be all that leads to it.
	// Similar to: rados rm rbd_id.NAME.
	DropName(ctx context.Context, key Key, name string) error
}

// ImageInfo is what opening an image shows.
type ImageInfo struct {
	SizeBytes int64
	// Parent is what the image's head is a clone of; nil: nothing.
	Parent *ParentRef
	// Sealed reports the snapshot SealSnapshot, SealedAt when Ceph took it.
	Sealed   bool
	SealedAt time.Time
	// SealIDs are Ceph's ids of the snapshots that are seals, the one that counts
	// first. After Image.Seal it has the new one.
	SealIDs []uint64
	// SealBroken: LookAt found seals, and none that a clone can be made of.
	SealBroken bool
	// Snapshots are those that LookAt saw, seals too.
	Snapshots []SnapshotInfo
	// DataPool is the name of the pool where the data is, if it is another.
	DataPool string
	// Record is the content of the metadata key of the disk's record; nil if
	// there is none.
	Record []byte
	// Mark is the content of the metadata key of a restore's mark
	// (RestoreMark); nil if there is none. It is looked for only where there is
	// a record, which every clone of a disk has, being a copy.
	Mark []byte
}

// SnapshotInfo is a snapshot of an image. Ceph's ids grow: the later one has the
// greater.
type SnapshotInfo struct {
	ID   uint64
	Name string
}

// Images opens images by id, in the trash or not.
type Images interface {
	// OpenImage opens the image for writing metadata and taking the seal.
	// ErrNotFound if no image has that id.
	OpenImage(ctx context.Context, key Key) (Image, error)
	// HasImage reports whether there is an image of that id, in the trash or
	// not, whole or not. Similar to: rados stat rbd_header.ID.
	HasImage(ctx context.Context, key Key) (bool, error)
	// LiveImages returns the live images of the pool whose names begin with
	// the prefix, as name → image id, without listing the whole pool (a read
	// of rbd_directory's omap by prefix).
	LiveImages(ctx context.Context, pool PoolRef, prefix string) (map[string]string, error)
}

// Image is an open image. It is used by one goroutine and must be closed.
type Image interface {
	// Info is what was read when the image was opened.
	Info() ImageInfo
	// WriteRecord sets the record. Similar to: rbd image-meta set.
	WriteRecord(ctx context.Context, record []byte) error
	// WriteMark sets the restore's mark. Similar to: rbd image-meta set.
	WriteMark(ctx context.Context, mark []byte) error
	// Seal takes the snapshot SealSnapshot; a seal that exists is success.
	// Similar to: rbd snap create --image-id ID --snap quarantine.
	Seal(ctx context.Context) error
	Close() error
}

// Cloner gives a sealed disk back as another image.
type Cloner interface {
	// Clone makes dst a copy-on-write clone (format 2) of the seal of the live
	// image named src. ErrExists if dst is there. Similar to: rbd clone
	// --rbd-default-clone-format 2 src@quarantine dst.
	Clone(ctx context.Context, pool PoolRef, src string, dst PoolRef, dstName string) error
	// Flatten copies the parent's blocks into the image. progress may be nil.
	// A second call goes on where the first ended. Similar to: rbd flatten.
	Flatten(ctx context.Context, pool PoolRef, name string, progress Progress) error
}

// Progress is told how much of a long work is done.
type Progress func(done, total uint64)

// Reader reads a disk's sealed bytes.
type Reader interface {
	// ReadSealed calls extent for each allocated extent of the seal in
	// ascending order; what is between them is zero. A nil error means that
	// all of it was read. The data is valid during the call only.
	ReadSealed(ctx context.Context, key Key, extent func(offset int64, data []byte) error) error
	// Used measures the allocated bytes of the image. Similar to: rbd du.
	Used(ctx context.Context, key Key) (int64, error)
	// UsedOfParent measures what a flatten would copy into the image: what is
	// allocated in its parent and not in the image. 0 without a parent.
	UsedOfParent(ctx context.Context, key Key) (int64, error)
}

// Inspection is what speaks against the removal of an image.
type Inspection struct {
	// SizeBytes is the image's size, ObjectBytes that of its objects. Mapped says
	// that Ceph knows which of them exist (object map) and, in a removal, asks
	// the OSDs for no others.
	SizeBytes, ObjectBytes int64
	Mapped                 bool
	// Dependents names clones of the image's snapshots, watchers (clients that
	// have it open), and the group that it is in.
	Dependents []string
	// Watched says that there are watchers among them, Cloned that there are clones.
	Watched, Cloned bool
	// Record is the content of the metadata key of the disk's record; nil if
	// there is none.
	Record []byte
}

// Remover is the only interface that destroys. Only NewCollector takes one.
type Remover interface {
	// Inspect opens the image, for reading only, and returns what speaks
	// against a removal. ErrNotFound if no image has that id. Similar to: rbd
	// children --image-id ID --all; rbd status --image-id ID; rbd image-meta
	// get.
	Inspect(ctx context.Context, key Key) (Inspection, error)
	// OpenForRemoval opens the image for its removal, and inspects it: one opening where the
	// other two take one each. The opening itself is not among the dependents.
	// ErrNotFound if no image has that id.
	OpenForRemoval(ctx context.Context, key Key) (Removal, error)
	// Unseal removes the snapshot SealSnapshot, and before it FlatSeal; one that
	// is gone is success, and so is an image that is gone. Similar to: rbd snap
	// rm --image-id ID.
	Unseal(ctx context.Context, key Key) error
	// RemoveFirstSeal removes the first of two seals; one that is gone is
	// success. ErrConflict if the image's seals are not this pair, ErrNotFound
	// if the image is gone. Similar to: rbd snap rm --image-id ID.
	RemoveFirstSeal(ctx context.Context, key Key, pair SealPair) error
	// Strip removes every snapshot of the image, also one that is protected
	// (clone format 1) and those that the cloud left on it; the seal comes
	// last. An image that is gone is success. ErrBusy if a protected one has
	// clones. Similar to: rbd snap purge --image-id ID.
	Strip(ctx context.Context, key Key) error
	// Trim frees the data of the image behind the size, and makes it that large;
	// one that is gone, or no larger, is success. Similar to: rbd resize
	// --allow-shrink --image-id ID.
	Trim(ctx context.Context, key Key, size int64) error
	// FreeName frees a name that a client took, with the key's id, which died
	// before there was an image; nobody else may make one of that name meanwhile.
	// ErrConflict if there is an image of that id, or the name has another id now.
	FreeName(ctx context.Context, key Key, name string) error
	// Remove removes the trash entry without force and frees its space. An
	// entry that is gone is success. Similar to: rbd trash rm.
	Remove(ctx context.Context, key Key, progress Progress) error
}

// Removal is an image that is open for its removal. It is used by one goroutine and
// must be closed.
type Removal interface {
	// Found is what spoke against the removal when the image was opened.
	Found() Inspection
	// Strip is Remover.Strip.
	Strip(ctx context.Context) error
	// Close may be called again.
	Close() error
}

// Health tells how a cluster feels.
type Health struct {
	// Status is HEALTH_OK, HEALTH_WARN or HEALTH_ERR.
	Status string
	// Checks are the names of the raised health checks (PG_DEGRADED …).
	Checks []string
}

// Clusters tells about the clusters and pools in the service's care.
type Clusters interface {
	// Pools returns the configured pools of all clusters.
	Pools() []Pool
	// Health asks a cluster's monitors. Similar to: ceph health -f json.
	Health(ctx context.Context, fsid string) (Health, error)
	// Load tells how busy the cluster is. Similar to: ceph osd perf; ceph status.
	Load(ctx context.Context, fsid string) (Load, error)
}

// Load is how busy a cluster is.
type Load struct {
	// Latency is how long it takes, Of what that is of: the OSDs' writes, or
	// where the service's key may not ask for those, reads of its own.
	Latency time.Duration
	Of      string
	// Recovering is which data the cluster is moving; "" if none.
	Recovering string
}

// Pool is a pool in the service's care.
type Pool struct {
	PoolRef
	// Cluster is the configured name of the cluster, Cloud that of the cloud
	// whose disks are in the pool.
	Cluster string `json:"cluster"`
	Cloud   string `json:"cloud"`
	// Guarded pools have rbd_move_to_trash_on_remove set and verified. In
	// others the service seizes at the first sign of a deletion.
	Guarded bool `json:"guarded"`
	// Evidence: the pool holds the isolated copies of its cluster, and belongs to
	// no cloud.
	Evidence bool `json:"evidence,omitempty"`
	// Protect is the protection time of a trash entry, far beyond any
	// retention.
	Protect time.Duration `json:"protect"`
}

// --- the catalog --------------------------------------------------------------

// Disks is the part of the catalog that keeps disks.
type Disks interface {
	// Disk returns the disk of that id. ErrNotFound.
	Disk(ctx context.Context, id string) (Disk, error)
	// FindDisks returns the disks that the filter selects, in its order.
	FindDisks(ctx context.Context, f DiskFilter) ([]Disk, error)
	// DiskStubs returns the disks of the pool in these states by image id, from
	// behind that image id on ("": from the first), at most limit.
	DiskStubs(ctx context.Context, pool PoolRef, states []State, after string, limit int) ([]DiskStub, error)
	// PutDisk writes the disk if the catalog's version of it is d.Version
	// (zero: there is none yet), and returns it with its new version.
	// ErrConflict if somebody was faster.
	PutDisk(ctx context.Context, d Disk) (Disk, error)
	// DropLost removes the record of a lost disk that was found after all.
	// It touches no disk in any other state (ErrConflict).
	DropLost(ctx context.Context, id string) error
}

// DiskStub is what there is to know of a disk when millions are gone through.
type DiskStub struct {
	ID        string
	ImageID   string
	State     State
	DeletedAt time.Time
	Version   int64
}

// Deletions is the part of the catalog that keeps deletions.
type Deletions interface {
	// Deletion returns the deletion of that id. ErrNotFound.
	Deletion(ctx context.Context, id string) (Deletion, error)
	// MergeDeletion stores the Merge of the deletion with what is known of
	// it, and reports whether that changed anything.
	MergeDeletion(ctx context.Context, d Deletion) (merged Deletion, changed bool, err error)
	// DeletionsOf returns the deletions with a DiskRef whose name is one of
	// the keys (JoinKeys).
	DeletionsOf(ctx context.Context, keys []string) ([]Deletion, error)
	// OpenDeletions returns deletions received before the time that have a
	// Required DiskRef and were not closed, oldest first; a page of them, after
	// the first offset.
	OpenDeletions(ctx context.Context, before time.Time, limit, offset int) ([]Deletion, error)
	// CloseDeletion marks that every required disk is accounted for.
	CloseDeletion(ctx context.Context, id string) error
}

// Marks keeps small facts across restarts: the last runs of the cron jobs and
// the last time seen.
type Marks interface {
	// Mark returns the value under the name; ErrNotFound if there is none.
	Mark(ctx context.Context, name string) ([]byte, error)
	// SetMark replaces it.
	SetMark(ctx context.Context, name string, value []byte) error
}

// DiskFilter selects disks. Zero fields select all.
type DiskFilter struct {
	States        []State
	Pool          *PoolRef
	OriginalNames []string // exact names, any of them
	// NamePrefix selects original names that are the prefix or go on after it
	// with one of "_.-@".
	NamePrefix     string
	Cloud          string
	Project        string // id or name
	User           string // owner or deleter, id or name
	VM             string // id or name of the VM; also matches the server of a volume
	Address        string // IP or MAC
	CaseID         string // of an open hold
	Group          *Group // of the last of a kind
	Held           *bool
	HoldsUnchecked bool // only disks on which standing holds were not looked for
	Unexplained    bool
	Isolate        *bool    // a copy in the evidence pool is wanted (Disk.WantsCopy)
	RecordStale    bool     // only disks whose record on the image is old
	Unmeasured     bool     // only disks whose UsedBytes is -1
	SealBroken     bool     // only disks whose seal was off once (SealBrokenAt)
	Seal           *SealRef // the disks whose seal has that id; its pool is not looked at
	Sealed         *bool
	DeletedFrom    time.Time // inclusive
	DeletedTo      time.Time // exclusive
	RetainBefore   time.Time // retain-until at or before
	ExpiringBefore time.Time // expiring since at or before
	IDPrefix       string

	// Sort is one of deleted_at (default), quarantined_at, retain_until,
	// size_bytes, original_name, resource_name, project, user, state; Desc
	// turns it round. The id breaks ties.
	Sort string
	Desc bool
	// Limit is the page's size (0: no limit), Offset where it begins.
	Limit  int
	Offset int
}

// Total counts the disks of one state in one pool.
type Total struct {
	PoolRef
	State State `json:"state"`
	Disks int64 `json:"disks"`
	Bytes int64 `json:"bytes"`      // provisioned
	Used  int64 `json:"used_bytes"` // allocated, where measured
}

// --- policy and custody -------------------------------------------------------

// Facts is what a policy may look at.
type Facts struct {
	// Deletion is nil for an unexplained disk.
	Deletion     *Deletion
	Pool         PoolRef
	Cluster      string
	Cloud        string // of the deletion, else of the pool
	OriginalName string
	Role         string
	SizeBytes    int64
	Capture      Capture
	DeletedAt    time.Time
}

// Policy decides how long a disk is kept.
type Policy interface {
	// Decide is pure: the same facts and policy give the same decision.
	Decide(f Facts) Decision
	// Ready returns nil when the policy in force is the one on disk, else why
	// the last load failed. The old policy goes on deciding; removals stop.
	Ready() error
}

// Entry is one line of the custody log.
type Entry struct {
	At time.Time `json:"at"`
	// Disk is a disk's id, or that of a request about no disk (requestEntries); empty
	// for what is about neither.
	Disk    string `json:"disk,omitempty"`
	Act     string `json:"act"`     // adopt, seal, hold, release, extend, restore, export, expire, purge …
	Outcome string `json:"outcome"` // intent, done, refused, failed
	Actor   string `json:"actor"`   // a person, or the service's part ("collector")
	Reason  string `json:"reason,omitempty"`
	Key     *Key   `json:"key,omitempty"`
	// Detail is what else belongs to the act: a case id, a new date, a name.
	Detail map[string]string `json:"detail,omitempty"`
}

// Custodian keeps the custody log.
type Custodian interface {
	// Append returns nil only when the entry is durable.
	Append(ctx context.Context, e Entry) error
}

// CustodyReader reads it back.
type CustodyReader interface {
	// Entries returns a disk's entries in order, with an error if the chain
	// does not verify.
	Entries(ctx context.Context, disk string) ([]Entry, error)
	// Verify checks the whole chain.
	Verify(ctx context.Context) error
}

// --- observation ---------------------------------------------------------------

// Observer is told of what happens, for metrics. Its methods return at once.
type Observer interface {
	// Moved: a disk changed its state; from is "" for a new one.
	Moved(d *Disk, from State)
	// Captured: the time between a disk's deletion and its seal.
	Captured(lag time.Duration)
	// CustodyFailed: an entry could not be written, and capture went on.
	CustodyFailed()
}

// Steps is called before and after each outside act, for fault injection: a
// returned error fails the act. Production passes nil.
type Steps func(point string) error
