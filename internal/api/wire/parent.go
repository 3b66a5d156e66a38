package wire

import (
	"time"

	"quarantine/internal/quarantine"
)

// Parent is the image that a disk was cloned from. It cannot be deleted before
// the disk is gone or flattened.
type Parent struct {
	Pool      string `json:"pool"`
	Namespace string `json:"namespace,omitempty"`
	ImageID   string `json:"image_id"`
	Name      string `json:"name"`
	Snapshot  string `json:"snapshot"`
	CopyBytes int64  `json:"copy_bytes" doc:"what a flatten would copy; -1 until measured"`
	// FlattenedAt is when the disk was made independent of it; absent before.
	FlattenedAt time.Time `json:"flattened_at,omitzero"`
	Refused     string    `json:"refused,omitempty" doc:"why the disk cannot be flattened"`
}

func fromParent(p *quarantine.Parent) *Parent {
	if p == nil {
		return nil
	}
	return &Parent{
		Pool: p.Key.Pool, Namespace: p.Key.Namespace, ImageID: p.Key.ImageID, Name: p.Name, Snapshot: p.Snapshot,
		CopyBytes: p.CopyBytes, FlattenedAt: p.FlattenedAt, Refused: p.Refused,
	}
}
