package quarantine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// CopyPrefix begins the name of a copy that is being made: "isolate.<id of the
// original's disk>". It is none of the names that the reconciler moves to the
// trash.
const CopyPrefix = "isolate."

// CopyRef names the other side of an isolated copy.
type CopyRef struct {
	Disk string `json:"disk"` // its id
	Key  Key    `json:"key"`
	// SHA256 is that of all sealed bytes, zeros included, in hex: the same on
	// both sides, and the one of an export.
	SHA256   string    `json:"sha256"`
	CopiedAt time.Time `json:"copied_at"`
}

// WantsCopy reports whether the disk is to have a copy in the evidence pool, by
// policy or by a person. A copy needs none of its own.
func (d *Disk) WantsCopy() bool {
	return d.CopyOf == nil && (d.Decision.Isolate || d.IsolateBy != "")
}

// Isolator copies disks into the evidence pool, which no cloud's key can touch.
// It has no means to remove anything.
//
// A copy is a disk of its own: it is listed, held, restored, expired and purged
// as any other, under the promises that its original had when it was made. What
// the original is promised later, by a hold or an extension, its copies are, too
// (Holds); what is lifted from it is not lifted from them.
//
// The order, and why:
//
//	a. The original is marked as in use, so that nobody purges it or gives it back
//	   in place meanwhile. That a copy is wanted is written to its row, record and
//	   custody log: from here on it is not purged before there is a copy
//	   (purgeable), whatever crashes.
//	b. The custody entry is durable, or nothing happens.
//	c. An empty image is made in the evidence pool, whose name is made of the
//	   original's id. That name is the intent: a crash leaves at most one image of
//	   it, and the next run goes on with that. A crash inside Ceph's own steps can
//	   leave the name without an image, which is made over (Copier.CreateImage).
//	d. The seal's extents are written to it. What was written is made durable
//	   first and then marked on the image; the next run goes on from the mark.
//	e. Both are read from Ceph again, from the first byte, and hashed. If they
//	   differ the mark is put back to nothing, and the copy is not used.
//	f. The record is written to the copy, and the seal taken. It explains itself
//	   from here on, if the catalog is lost.
//	g. It is renamed to the reserved name of its image id. There the reconciler
//	   knows it: a crash from here on it finishes by itself, as that of any
//	   disk. No other copy is made, because a run looks for those names first.
//	h. The row of the copy is committed as pending, with its promises in the
//	   custody log; it is moved to the trash under the full protection, and
//	   adopted: quarantined.
//	i. Under the original's lock the holds and dates that came meanwhile are given
//	   to the copy, and then the original's row names it. A crash before that is
//	   made good by the next run, which finds the copy by its record.
//
// No step removes or changes anything of the original but its row.
type Isolator struct {
	ledger   *Ledger
	adopter  *Adopter
	holds    *Holds
	trash    Trash
	copier   Copier
	renamer  Renamer
	clusters Clusters
	cfg      IsolateConfig

	mu   sync.Mutex
	busy map[string]bool
}

// IsolateConfig tunes the Isolator.
type IsolateConfig struct {
	// MaxDisks bounds how many disks one run copies.
	MaxDisks int
	// BytesPerSecond bounds how fast bytes are read; 0: as fast as Ceph can.
	BytesPerSecond int64
	// MarkBytes is after how many bytes written the mark is renewed; 0: 64 MiB.
	MarkBytes int64
	// StopChecks are the Ceph health checks during which nothing is copied,
	// beside HEALTH_ERR, and those that say that the cluster is getting full.
	StopChecks []string
	// Wait returns after the time, or when ctx ends. Nil: by a timer.
	Wait func(ctx context.Context, d time.Duration)
}

// NewIsolator makes the service.
func NewIsolator(a *Adopter, h *Holds, copier Copier, renamer Renamer, clusters Clusters, cfg IsolateConfig) *Isolator {
	if cfg.Wait == nil {
		cfg.Wait = wait
	}
	if cfg.MarkBytes == 0 {
		cfg.MarkBytes = 64 << 20
	}
	cfg.StopChecks = append(slices.Clone(cfg.StopChecks), fullChecks()...)
	return &Isolator{ledger: a.ledger, adopter: a, holds: h, trash: a.trash, copier: copier, renamer: renamer, clusters: clusters, cfg: cfg, busy: map[string]bool{}}
}

// Isolate copies one disk, or finishes a copy that was begun, and returns the
// copy. ErrExists, with the copy, if there is one; ErrBusy if it is being made;
// ErrRefused if the disk is not in quarantine, or its cluster has no evidence
// pool.
func (s *Isolator) Isolate(ctx context.Context, actor, id, reason string, progress Progress) (Disk, error) {
	if err := required(actor, "who"); err != nil {
		return Disk{}, err
	}
	if !s.begin(id) {
		return Disk{}, fmt.Errorf("disk %s is being copied: %w", id, ErrBusy)
	}
	defer s.end(id)
	d, done, err := s.ledger.borrow(ctx, id) // a
	if err != nil {
		return Disk{}, err
	}
	defer done()
	e := Entry{Act: "isolate", Actor: actor, Reason: reason}
	pool, err := s.isolatable(ctx, &d)
	if err != nil {
		return Disk{}, s.ledger.refuse(ctx, d, e, err)
	}
	if c, there, err := standingCopy(ctx, s.ledger, &d); err != nil {
		return Disk{}, err
	} else if there && c.State.InQuarantine() {
		return c, fmt.Errorf("disk %s has its copy %s: %w", id, c.ID, ErrExists)
	}
	if d, err = s.ask(ctx, id, actor, reason); err != nil {
		return Disk{}, err
	}
	var c Disk
	e.Detail = map[string]string{"pool": pool.PoolRef.String()}
	err = s.ledger.witnessed(ctx, d, e, func() (err error) { // b
		c, err = s.make(ctx, d, pool, actor, reason, progress)
		if err == nil {
			e.Detail["copy"], e.Detail["copy_image_id"], e.Detail["sha256"] = c.ID, c.Key.ImageID, c.CopyOf.SHA256
		}
		return err
	})
	return c, err
}

// Preview returns the pool that the disk would be copied to, or why it would not
// be: the errors of Isolate.
func (s *Isolator) Preview(ctx context.Context, id string) (PoolRef, error) {
	d, err := s.ledger.disks.Disk(ctx, id)
	if err != nil {
		return PoolRef{}, err
	}
	if c, there, err := standingCopy(ctx, s.ledger, &d); err != nil {
		return PoolRef{}, err
	} else if there && c.State.InQuarantine() {
		return c.Key.PoolRef(), fmt.Errorf("disk %s has its copy %s: %w", id, c.ID, ErrExists)
	}
	pool, err := s.isolatable(ctx, &d)
	return pool.PoolRef, err
}

func (s *Isolator) begin(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy[id] {
		return false
	}
	s.busy[id] = true
	return true
}

func (s *Isolator) end(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.busy, id)
}

// evidencePool is the one of the cluster.
func evidencePool(c Clusters, fsid string) (Pool, bool) {
	for _, p := range c.Pools() {
		if p.Evidence && p.FSID == fsid {
			return p, true
		}
	}
	return Pool{}, false
}

// isolatable returns the pool that the disk is copied to, or why it is not.
func (s *Isolator) isolatable(ctx context.Context, d *Disk) (Pool, error) {
	pool, ok := evidencePool(s.clusters, d.Key.FSID)
	switch {
	case d.CopyOf != nil:
		return pool, refusedf("disk %s is a copy itself, of disk %s", d.ID, d.CopyOf.Disk)
	case d.State != Quarantined && d.State != Expiring || !d.Sealed:
		return pool, refusedf("disk %s is %s; only sealed disks are copied", d.ID, d.State)
	case !ok:
		return pool, refusedf("the cluster of disk %s has no evidence pool (clusters[].evidence)", d.ID)
	}
	e, err := s.trash.FindInTrash(ctx, d.Key)
	switch {
	case errors.Is(err, ErrNotFound):
		return pool, errNotInTrash(d)
	case err != nil:
		return pool, fmt.Errorf("look for disk %s in the trash: %w", d.ID, err)
	case secondLife(d, e):
		return pool, fmt.Errorf("disk %s was taken out of the trash and deleted again: %w; left to the reconciler", d.ID, ErrConflict)
	}
	return pool, nil
}

// standingCopy returns the copy that the disk's row names, unless it is lost. One
// that was purged, or given back, was made, and ended as any disk ends: no policy has
// it made again, and its original does not wait for another. Who asks for a copy
// gets a new one (ask).
func standingCopy(ctx context.Context, l *Ledger, d *Disk) (Disk, bool, error) {
	for _, ref := range d.Copies {
		c, err := l.disks.Disk(ctx, ref.Disk)
		switch {
		case errors.Is(err, ErrNotFound):
		case err != nil:
			return c, false, fmt.Errorf("look for the copy of disk %s: %w", d.ID, err)
		case c.State != Lost:
			return c, true, nil
		}
	}
	return Disk{}, false, nil
}

// mayGoWithoutCopy returns why the disk may not be purged yet: a copy is wanted,
// and there is none.
func mayGoWithoutCopy(ctx context.Context, l *Ledger, c Clusters, d *Disk) error {
	if !d.WantsCopy() {
		return nil
	}
	_, there, err := standingCopy(ctx, l, d)
	if err != nil || there {
		return err
	}
	if _, ok := evidencePool(c, d.Key.FSID); !ok {
		return refusedf("disk %s is to be copied first, and its cluster has no evidence pool (clusters[].evidence)", d.ID)
	}
	return refusedf("disk %s is to be copied to the evidence pool first", d.ID)
}

// ask writes that a copy is wanted, and forgets the earlier ones that have left
// quarantine: from here on the disk waits for another.
func (s *Isolator) ask(ctx context.Context, id, actor, reason string) (Disk, error) {
	l := s.ledger
	unlock, err := l.lock(ctx, id)
	if err != nil {
		return Disk{}, err
	}
	defer unlock()
	d, err := l.disks.Disk(ctx, id)
	if err != nil {
		return d, err
	}
	copies, err := s.presentCopies(ctx, &d)
	if err != nil || d.WantsCopy() && len(copies) == len(d.Copies) {
		return d, err
	}
	d.IsolateBy, d.Copies, d.RecordStale = actor, copies, true
	saved, err := l.disks.PutDisk(ctx, d)
	if err != nil {
		return d, fmt.Errorf("disk %s: write that a copy is wanted: %w", id, err)
	}
	l.note(ctx, saved, Entry{Act: actIsolateAsked, Actor: actor, Reason: reason})
	return l.softSync(ctx, saved), nil
}

// presentCopies are the disk's copies without those that have left quarantine. What
// is lost may be found, and what the catalog does not know may come to be known.
func (s *Isolator) presentCopies(ctx context.Context, d *Disk) ([]CopyRef, error) {
	var present []CopyRef
	for _, ref := range d.Copies {
		c, err := s.ledger.disks.Disk(ctx, ref.Disk)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return nil, fmt.Errorf("look for the copy of disk %s: %w", d.ID, err)
		}
		if err != nil || c.State == Lost || c.State.InQuarantine() {
			present = append(present, ref)
		}
	}
	return present, nil
}

// actIsolateAsked is the act of the custody entry that says who wants a copy.
const actIsolateAsked = "isolate-asked"
