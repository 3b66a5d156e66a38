package quarantine

import "context"

// Looker looks at images, and leaves no trace of that: no watch, no lock, no
// change.
type Looker interface {
	// LookAt returns what opening the image for reading only shows. ErrNotFound if
	// no image has that id. Similar to: rbd info, rbd snap ls and rbd image-meta ls,
	// with --image-id ID.
	LookAt(ctx context.Context, key Key) (ImageInfo, error)
}

// Rows goes through the catalog.
type Rows interface {
	// DisksAfter returns the disks by id, from behind that id on ("": from the
	// first), at most limit.
	DisksAfter(ctx context.Context, id string, limit int) ([]Disk, error)
	// Totals counts them by pool and state.
	Totals(ctx context.Context) ([]Total, error)
}

// CheckTrash is the part of Trash that only looks.
type CheckTrash interface {
	EachTrash(ctx context.Context, pool PoolRef, do func([]TrashEntry) error) error
	FindInTrash(ctx context.Context, key Key) (TrashEntry, error)
}

// CheckImages is the part of Images that only looks.
type CheckImages interface {
	HasImage(ctx context.Context, key Key) (bool, error)
	LiveImages(ctx context.Context, pool PoolRef, prefix string) (map[string]string, error)
}
