package fakeceph

import (
	"context"
	"fmt"
	"slices"
	"time"

	"quarantine/internal/quarantine"
)

// Remover is the fake's removing side, a type of its own so that a test that
// gives a service the Ceph gives it no means to remove.
type Remover struct {
	c *Ceph
}

var _ quarantine.Remover = Remover{}

// Remover returns the removing side.
func (c *Ceph) Remover() Remover { return Remover{c} }

// Inspect names the clones of the image's snapshots and its watchers, and reads
// the record.
func (r Remover) Inspect(ctx context.Context, key quarantine.Key) (quarantine.Inspection, error) {
	return call(ctx, r.c, Call{Verb: "Inspect", Key: key}, func() (quarantine.Inspection, error) {
		var in quarantine.Inspection
		img := r.c.images[key]
		if img == nil {
			return in, fmt.Errorf("inspect %s: %w", key, quarantine.ErrNotFound)
		}
		in.Dependents = r.c.children(img)
		in.Cloned = len(in.Dependents) > 0
		for _, w := range img.watchers {
			in.Dependents, in.Watched = append(in.Dependents, "watcher "+w), true
		}
		slices.Sort(in.Dependents)
		in.SizeBytes, in.ObjectBytes, in.Mapped = img.content.size, ObjectSize, true
		if record, ok := img.meta[quarantine.RecordKey]; ok {
			in.Record = []byte(record)
		}
		return in, nil
	})
}

// FreeName frees a name that CloudCreateCut took.
func (r Remover) FreeName(ctx context.Context, key quarantine.Key, name string) error {
	return do(ctx, r.c, Call{Verb: "FreeName", Key: key, Name: name}, func() error {
		p := key.PoolRef()
		if err := r.c.known(p); err != nil {
			return err
		}
		if r.c.cut[p][name] != key.ImageID {
			return fmt.Errorf("free the name %s/%s: %w", p, name, quarantine.ErrConflict)
		}
		delete(r.c.cut[p], name)
		return nil
	})
}

// Unseal removes the seal. One with clones leaves its name at once and stays
// until the last of them is gone.
func (r Remover) Unseal(ctx context.Context, key quarantine.Key) error {
	return do(ctx, r.c, Call{Verb: "Unseal", Key: key}, func() error {
		if err := r.c.known(key.PoolRef()); err != nil {
			return err
		}
		img := r.c.images[key]
		if img == nil {
			return nil
		}
		for _, name := range []string{quarantine.FlatSeal, quarantine.SealSnapshot} {
			if s := img.snap(name); s != nil {
				s.removed = true
			}
		}
		r.c.dropRemovedSnaps()
		return nil
	})
}

// removal is an image that OpenForRemoval opened.
type removal struct {
	r     Remover
	key   quarantine.Key
	found quarantine.Inspection
}

// OpenForRemoval is Inspect, also by the name of its verb.
func (r Remover) OpenForRemoval(ctx context.Context, key quarantine.Key) (quarantine.Removal, error) {
	in, err := r.Inspect(ctx, key)
	if err != nil {
		return nil, err
	}
	return removal{r, key, in}, nil
}

// Found is what OpenForRemoval saw.
func (m removal) Found() quarantine.Inspection { return m.found }

// Strip removes every snapshot.
func (m removal) Strip(ctx context.Context) error { return m.r.Strip(ctx, m.key) }

// Close ends the removal.
func (removal) Close() error { return nil }

// Strip removes every snapshot.
func (r Remover) Strip(ctx context.Context, key quarantine.Key) error {
	return do(ctx, r.c, Call{Verb: "Strip", Key: key}, func() error {
		if err := r.c.known(key.PoolRef()); err != nil {
			return err
		}
		img := r.c.images[key]
		if img == nil {
			return nil
		}
		for _, s := range img.snaps {
			s.removed = true
		}
		r.c.dropRemovedSnaps()
		return nil
	})
}

// Trim cuts the image's end off.
func (r Remover) Trim(ctx context.Context, key quarantine.Key, size int64) error {
	return do(ctx, r.c, Call{Verb: "Trim", Key: key}, func() error {
		if err := r.c.known(key.PoolRef()); err != nil {
			return err
		}
		if img := r.c.images[key]; img != nil && size < img.content.size {
			img.content.cut(size)
		}
		return nil
	})
}

// Remove removes a trash entry without force.
func (r Remover) Remove(ctx context.Context, key quarantine.Key, progress quarantine.Progress) error {
	return do(ctx, r.c, Call{Verb: "Remove", Key: key}, func() error {
		if err := r.c.known(key.PoolRef()); err != nil {
			return err
		}
		img := r.c.images[key]
		if img == nil || img.trash == nil {
			return nil
		}
		if now := r.c.clock(); img.trash.until.After(now) {
			return fmt.Errorf("remove %s: protected until %s: %w", key, img.trash.until.Format(time.RFC3339), quarantine.ErrRefused)
		}
		if err := removable(img); err != nil {
			return fmt.Errorf("remove %s: %w", key, err)
		}
		r.c.destroy(img)
		r.c.removals = append(r.c.removals, Removal{key, r.c.clock()})
		if progress != nil {
			progress(1, 1)
		}
		return nil
	})
}

// removable returns why librbd would not remove the image, with or without
// force: it has a snapshot (ENOTEMPTY), or somebody has it open (EBUSY).
func removable(img *image) error {
	switch {
	case len(img.snaps) > 0:
		return fmt.Errorf("image has snapshots: %w", quarantine.ErrRefused)
	case len(img.watchers) > 0:
		return fmt.Errorf("image has watchers: %w", quarantine.ErrBusy)
	}
	return nil
}

// destroy ends an image and the removed snapshots that only it held.
func (c *Ceph) destroy(img *image) {
	delete(c.images, img.key)
	c.dropRemovedSnaps()
}
