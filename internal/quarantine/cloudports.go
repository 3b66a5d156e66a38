package quarantine

import "context"

// Snapshotter takes the snapshot that a cloud's image service wants on an image
// that it is to adopt.
type Snapshotter interface {
	// ProtectSnapshot takes a snapshot of the image and protects it; one that is
	// there, and one that is protected, is success. ErrNotFound if no image has
	// that id. Similar to: rbd snap create --image-id ID --snap NAME; rbd snap
	// protect --image-id ID --snap NAME.
	ProtectSnapshot(ctx context.Context, key Key, name string) error
}

// Renamer gives an image another name, where a cloud that is to take it over
// does not do so itself.
type Renamer interface {
	// RenameImage renames a live image within its pool; a rename in which a client
	// died is finished. ErrNotFound if there is none of that name, ErrExists if the
	// other name is taken. Similar to: rbd rename.
	RenameImage(ctx context.Context, pool PoolRef, from, to string) error
}

// Discarder removes the copies that a restore has made and could not hand to a
// cloud, and nothing else: *Collector. It is all of the removing side that a
// CloudRestorer is given.
type Discarder interface {
	// DiscardClone: see Collector.DiscardClone.
	DiscardClone(ctx context.Context, actor string, key Key, reason string) error
}
