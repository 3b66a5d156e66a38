package quarantine

import "context"

// CopyMarkKey is the key of the image metadata that says how far a copy in the
// evidence pool has come.
const CopyMarkKey = "quarantine.copy"

// Copier makes images and fills them. It changes no image that somebody else
// made, and removes nothing.
type Copier interface {
	// CreateImage makes an empty live image without a parent. ErrExists if an image
	// has the name; one that a client took which died before there was an image is
	// made over, so nobody else may make an image of that name meanwhile. Similar
	// to: rbd create --size.
	CreateImage(ctx context.Context, pool PoolRef, name string, size int64) error
	// OpenCopy opens an image for writing. ErrNotFound if no image has that id.
	OpenCopy(ctx context.Context, key Key) (CopyTarget, error)
	// ReadSealedFrom is Reader.ReadSealed without the extents that end at or
	// before the offset; the first may begin before it.
	ReadSealedFrom(ctx context.Context, key Key, from int64, extent func(offset int64, data []byte) error) error
	// ReadHead is Reader.ReadSealed of what the image holds now, sealed or not.
	ReadHead(ctx context.Context, key Key, extent func(offset int64, data []byte) error) error
}

// CopyTarget is an image that is being filled. It is used by one goroutine and
// must be closed.
type CopyTarget interface {
	// SizeBytes is the image's size; Mark is what KeepMark kept last, nil if
	// nothing.
	SizeBytes() int64
	Mark() []byte
	// Write writes data at the offset. It may lie in a cache until KeepMark or
	// Close.
	Write(ctx context.Context, offset int64, data []byte) error
	// KeepMark makes all that was written durable, and then keeps the mark with
	// the image: a mark never says more than what a crash leaves. Similar to:
	// rbd image-meta set.
	KeepMark(ctx context.Context, mark []byte) error
	Close() error
}
