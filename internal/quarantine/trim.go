package quarantine

import (
	"context"
	"errors"
	"fmt"
)

const (
	// trimObjects is how many objects of an image are removed between two looks
	// at the budgets, a pause and the windows: some seconds' work.
	trimObjects = 1024
)

// errInterrupted ends a purge in the middle of its removal: it is not taken
// back, because a part of the data may be gone, and a later pass goes on.
var errInterrupted = errors.New("the removal is interrupted, and a later pass goes on")

// load is what a removal asks of Ceph.
type load struct{ objects, bytes int64 }

// part is the n-th part of it, rounded up.
func (w load) part(n int64) load { return load{(w.objects + n - 1) / n, (w.bytes + n - 1) / n} }

// loadOf is the disk's, as the catalog knows it: in objects of the usual size,
// and of those only what is allocated, where that was measured.
func loadOf(d *Disk) load {
	w := load{bytes: d.SizeBytes}
	if d.UsedBytes >= 0 && d.UsedBytes < d.SizeBytes {
		w.bytes = d.UsedBytes
	}
	// The header and what else belongs to every image count as one.
	w.objects = w.bytes/objectBytes + 1
	return w
}

// steps is in how many steps such a load is removed.
func (w load) steps() int64 { return max((w.objects+trimObjects-1)/trimObjects, 1) }

// trim frees the data of a large disk, from its end, in steps, and waits before
// each for the budgets of its pool; Ceph's own removal would go through it
// without a pause. It leaves the first step to that removal. It is done when the
// snapshots are gone and the image is ours alone, under its reserved name; the
// image gets smaller with each step, so that whoever goes on sees how far it has
// come.
func (c *Collector) trim(ctx context.Context, d Disk) error {
	if d.SizeBytes <= trimObjects*objectBytes {
		return nil
	}
	in, err := c.remover.Inspect(ctx, d.Key)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("ask how large disk %s is: %w", d.ID, err)
	}
	if len(in.Dependents) > 0 {
		// Cutting off, unlike removing, minds nobody who has the image open.
		err := fmt.Errorf("disk %s: %w: %v depend on it", d.ID, ErrBusy, in.Dependents)
		if in.SizeBytes < d.SizeBytes {
			// Often the watch of a service that died here, which Ceph ends after 30 s.
			return fmt.Errorf("%w: %w", errInterrupted, err)
		}
		return err
	}
	size := max(in.ObjectBytes, 1)
	w := load{objects: in.SizeBytes / size, bytes: in.SizeBytes}
	if in.Mapped && d.UsedBytes >= 0 {
		// Ceph knows which objects there are, and asks for no others.
		w = load{objects: min(w.objects, d.UsedBytes/size+1), bytes: min(w.bytes, d.UsedBytes)}
	}
	n := w.steps()
	for i := n - 1; i > 0; i-- {
		if err := c.budgets.take(ctx, d.Key.PoolRef(), w.part(n)); err != nil {
			return fmt.Errorf("%w: %w", errInterrupted, err)
		}
		if err := c.mayPurge(ctx); err != nil {
			return fmt.Errorf("%w: %w", errInterrupted, err)
		}
		to := in.SizeBytes / size * i / n * size
		err := c.ledger.around("purge.trim", func() error { return c.remover.Trim(ctx, d.Key, to) })
		if err != nil {
			return fmt.Errorf("%w: %w", errInterrupted, err)
		}
	}
	return nil
}
