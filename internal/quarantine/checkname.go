package quarantine

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// lookAtName returns what is wrong with a live image under a name of this
// service's own.
func (r *checkRun) lookAtName(ctx context.Context, key Key, name string) []CheckFinding {
	live, err := r.images.LiveImages(ctx, key.PoolRef(), name)
	if err != nil {
		return []CheckFinding{unreadable(key, err)}
	}
	if live[name] != key.ImageID {
		return nil // it is not any more
	}
	if of, ok := strings.CutPrefix(name, CopyPrefix); ok {
		return r.lookAtCopy(ctx, key, name, of)
	}
	d, err := r.ledger.disks.Disk(ctx, key.DiskID())
	switch {
	case err == nil && d.State.InQuarantine():
		if ownEntry(key, name) && (strings.HasPrefix(name, RestorePrefix) || name == key.ReservedName()) {
			return nil // told of with its row, if it is wrong
		}
	case err != nil && !errors.Is(err, ErrNotFound):
		return []CheckFinding{unreadable(key, err)}
	}
	if strings.HasPrefix(name, RestorePrefix) {
		if left, known := r.leftover(ctx, key, name); known {
			return left
		}
	}
	if being, err := r.copyArrives(ctx, key); err != nil || being {
		if err != nil {
			return []CheckFinding{unreadable(key, err)}
		}
		return nil
	}
	next := nextReconcile
	if !ownEntry(key, name) {
		next = nextUnknown
	}
	return []CheckFinding{CheckReservedName.of(key, fmt.Sprintf("it is live as %q, and no row explains that", name), next)}
}

// leftover looks at an image that bears the name of a restore's clone, and
// reports whether there is such a restore.
func (r *checkRun) leftover(ctx context.Context, key Key, name string) (found []CheckFinding, known bool) {
	info, err := r.looker.LookAt(ctx, key)
	if errors.Is(err, ErrNotFound) {
		return r.nameLeft(ctx, key, name), true
	}
	if err != nil {
		return []CheckFinding{unreadable(key, err)}, true
	}
	m, own := markOf(key, info.Mark)
	if !own {
		// librbd marks a clone last.
		return nil, r.ledger.inUse(diskOfRestore(name))
	}
	switch ours, err := r.ledger.vouched(ctx, m); {
	case err != nil:
		return []CheckFinding{unreadable(key, err)}, true
	case !ours:
		return nil, false
	case !m.leftover(name) || r.ledger.inUse(m.Of.DiskID()) || r.ledger.clock().Sub(m.At) < leftoverAge:
		return nil, true // the cloud's, or under way
	}
	return []CheckFinding{CheckUnfinished.of(key, fmt.Sprintf("%q is what a restore left behind", name), nextCollect)}, true
}

// nameLeft looks at a name of a restore's that opens no image: it is gone
// meanwhile, or never was.
func (r *checkRun) nameLeft(ctx context.Context, key Key, name string) []CheckFinding {
	live, err := r.images.LiveImages(ctx, key.PoolRef(), name)
	if err != nil {
		return []CheckFinding{unreadable(key, err)}
	}
	if live[name] != key.ImageID {
		return nil
	}
	switch left, err := r.ledger.nameLeft(ctx, r.images, key, name); {
	case err != nil:
		return []CheckFinding{unreadable(key, err)}
	case left:
		return []CheckFinding{CheckUnfinished.of(key, fmt.Sprintf("a restore took the name %q, and there is no image of it", name), nextCollect)}
	}
	return nil
}

// lookAtCopy looks at a copy in the evidence pool that is being made.
func (r *checkRun) lookAtCopy(ctx context.Context, key Key, name, of string) []CheckFinding {
	d, err := r.ledger.disks.Disk(ctx, of)
	switch {
	case errors.Is(err, ErrNotFound):
	case err != nil:
		return []CheckFinding{unreadable(key, err)}
	case r.ledger.inUse(of):
		return nil
	case d.State.InQuarantine() && d.WantsCopy():
		return []CheckFinding{CheckUnfinished.of(key, fmt.Sprintf("the copy of disk %s is not whole", of), nextIsolate)}
	}
	return []CheckFinding{CheckReservedName.of(key, fmt.Sprintf("it is live as %q, and there is no such disk that is to be copied", name),
		nextUnknown)}
}

// copyArrives reports whether the image, under its reserved name in an evidence
// pool, is a copy on its way into the catalog.
func (r *checkRun) copyArrives(ctx context.Context, key Key) (bool, error) {
	if !r.pools[key.PoolRef()].Evidence {
		return false, nil
	}
	info, err := r.looker.LookAt(ctx, key)
	if errors.Is(err, ErrNotFound) {
		return true, nil // gone meanwhile
	}
	if err != nil {
		return false, err
	}
	on, err := DecodeRecord(key, info.Record)
	return err == nil && on.CopyOf != nil && r.ledger.inUse(on.CopyOf.Disk), nil
}
