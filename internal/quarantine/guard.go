package quarantine

import (
	"context"
	"time"
)

// CanaryName is the name of the image that the guard check removes through
// the ordinary path, to see whether it arrives in the trash. There is one per
// pool; it is taken out of the trash again and again and never destroyed while
// the guard works. It is no disk of a cloud, and is not adopted.
const CanaryName = "quarantine.canary"

// GuardSetting is what a pool's RBD metadata says.
type GuardSetting struct {
	// On is conf_rbd_move_to_trash_on_remove, Expire
	// conf_rbd_move_to_trash_on_remove_expire_seconds.
	On     bool          `json:"on"`
	Expire time.Duration `json:"expire"`
}

// Guard reads and sets the guard of a pool. It has no method that destroys an
// image of a cloud.
type Guard interface {
	// ReadGuard reads the pool's settings. Similar to: rbd config pool get.
	ReadGuard(ctx context.Context, pool PoolRef) (GuardSetting, error)
	// WriteGuard sets both options, or removes both when off. Similar to: rbd
	// config pool set POOL rbd_move_to_trash_on_remove true.
	WriteGuard(ctx context.Context, pool PoolRef, s GuardSetting) error
	// Canary removes the pool's canary image through librbd's ordinary remove
	// and reports the trash entry that it became. ErrNotFound means that it is
	// gone for good: the guard does not work.
	Canary(ctx context.Context, pool PoolRef) (TrashEntry, error)
}

// GuardStatus is the result of one check of one pool.
type GuardStatus struct {
	Pool      Pool         `json:"pool"`
	Setting   GuardSetting `json:"setting"`
	CheckedAt time.Time    `json:"checked_at,omitzero"`
	// CanaryAt is when a canary was last found in the trash; zero: never.
	CanaryAt time.Time `json:"canary_at,omitzero"`
	// Fault is empty when the guard holds, else what is wrong in a sentence;
	// Hint is the command that mends it.
	Fault string `json:"fault,omitempty"`
	// CanaryFault is what the last canary showed; it stays until another
	// canary shows that the guard works.
	CanaryFault string `json:"canary_fault,omitempty"`
	Hint        string `json:"hint,omitempty"`
}
