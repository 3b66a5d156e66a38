package quarantine

// CheckKind is what is wrong with a thing that the Checker looked at.
type CheckKind string

// The kinds.
const (
	// CheckNoImage: the row says that the disk is in quarantine, and Ceph has no
	// image of its id.
	CheckNoImage CheckKind = "no-image"
	// CheckNotInTrash: the row says that it is in the trash, and it is live.
	CheckNotInTrash CheckKind = "not-in-trash"
	// CheckHalfRemoved: Ceph has begun to remove an image that this service keeps.
	CheckHalfRemoved CheckKind = "half-removed"
	// CheckOtherDeath: the image was taken out of the trash and deleted again, and
	// the row is of its earlier life.
	CheckOtherDeath CheckKind = "other-death"
	// CheckUnprotected: the trash entry's own protection ends before the disk's
	// time does.
	CheckUnprotected CheckKind = "unprotected"
	// CheckNoSeal: the seal is gone.
	CheckNoSeal CheckKind = "no-seal"
	// CheckBrokenSeal: the seal is listed, and nothing can be cloned of it. A client
	// that dies while it takes one can leave such.
	CheckBrokenSeal CheckKind = "broken-seal"
	// CheckOtherSeal: a snapshot has the seal's name and is not the one that this
	// service took.
	CheckOtherSeal CheckKind = "other-seal"
	// CheckStraySnapshot: a snapshot was taken after the seal. Those from before
	// it came with the disk.
	CheckStraySnapshot CheckKind = "stray-snapshot"
	// CheckSize: the image is not as large as the disk was.
	CheckSize CheckKind = "size"
	// CheckRecord: the record on the image cannot be read, or says something else
	// than the row, which is not known to be newer.
	CheckRecord CheckKind = "record"
	// CheckPromise: the row promises less than the custody log does.
	CheckPromise CheckKind = "promise"
	// CheckLog: the custody log cannot be read, or its chain does not hold.
	CheckLog CheckKind = "log"
	// CheckStillThere: the row says that the image is gone, and it is there.
	CheckStillThere CheckKind = "still-there"
	// CheckNotAdopted: an entry is in the trash for longer than an adoption takes,
	// and no row has it.
	CheckNotAdopted CheckKind = "not-adopted"
	// CheckHollowEntry: an entry of the trash that no row has is all that Ceph knows of
	// its image. Somebody's removal was cut short before its last step; or, where
	// Ceph has not begun to remove it, somebody removed its header by hand.
	CheckHollowEntry CheckKind = "hollow-entry"
	// CheckReservedName: an image is live under a name that this service keeps for
	// itself, and nothing that it does explains that.
	CheckReservedName CheckKind = "reserved-name"
	// CheckUnfinished: an act was cut short, and nobody goes on with it just now.
	// The next run of a job does.
	CheckUnfinished CheckKind = "unfinished"
	// CheckUnreadable: it could not be looked at, and nothing is known of it.
	CheckUnreadable CheckKind = "unreadable"
)

// Severity grades the kind: what the next run of a job finishes by itself is a
// warning.
func (k CheckKind) Severity() Severity {
	if k == CheckUnfinished {
		return SeverityWarn
	}
	return SeverityFault
}

// CheckFinding is one thing that the Checker found wrong.
type CheckFinding struct {
	Kind     CheckKind `json:"kind"`
	Severity Severity  `json:"severity"`
	// Disk is the id that the image has, or would have, in the catalog. It and the
	// next two are empty where the finding is about no image.
	Disk    string `json:"disk,omitempty"`
	Pool    string `json:"pool,omitempty"`
	ImageID string `json:"image_id,omitempty"`
	// What says what was seen, Next what to do about it.
	What string `json:"what"`
	Next string `json:"next"`
}

// CheckResult is what the Checker has looked at.
type CheckResult struct {
	Rows    uint64 `json:"rows"`
	Entries uint64 `json:"entries"` // of the trash
	Names   uint64 `json:"names"`   // live, of this service's own
	// Busy were being worked on for so long that they were not accused of what
	// they looked like. Another check looks at them again.
	Busy   uint64 `json:"busy"`
	Faults uint64 `json:"faults"`
	Warns  uint64 `json:"warns"`
}

// finding makes one about an image.
func (k CheckKind) of(key Key, what, next string) CheckFinding {
	return CheckFinding{Kind: k, Severity: k.Severity(), Disk: key.DiskID(), Pool: key.PoolRef().String(), ImageID: key.ImageID, What: what, Next: next}
}
