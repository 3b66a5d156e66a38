package quarantine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"slices"
	"time"
)

// copyDisk is the disk that a copy is: its original, but for where it is.
func copyDisk(d Disk, pool Pool, key Key, sum, reason string, now time.Time) Disk {
	c := d
	c.ID, c.Key, c.State, c.Version = key.DiskID(), key, Quarantined, 0
	c.Capture, c.Parent, c.Copies, c.IsolateBy = CaptureCopy, nil, nil, ""
	c.SealID, c.DataPool = 0, "" // its own are known when it is sealed
	c.Sealed, c.UsedBytes, c.ProtectedUntil = true, -1, now.Add(pool.Protect)
	c.ExpiringAt, c.EarlyBy, c.EarlyReason, c.Intent, c.RecordStale, c.AliveSince = time.Time{}, "", "", "", false, time.Time{}
	c.PurgedAt, c.RestoredAt, c.RestoredTo = time.Time{}, time.Time{}, ""
	c.Holds = slices.DeleteFunc(slices.Clone(d.Holds), func(h Hold) bool { return !h.Open() })
	c.Decision.Reason += "; isolated copy of " + d.Key.String()
	if reason != "" {
		c.Decision.Reason += ": " + reason
	}
	c.CopyOf = &CopyRef{Disk: d.ID, Key: d.Key, SHA256: sum, CopiedAt: now}
	return c
}

// finishImage performs steps f and g.
func (s *Isolator) finishImage(ctx context.Context, d Disk, pool Pool, key Key, sum, reason string) error {
	l := s.ledger
	// As it is now: the copy took its time.
	d, err := l.disks.Disk(ctx, d.ID)
	if err != nil {
		return err
	}
	c := copyDisk(d, pool, key, sum, reason, l.clock().UTC().Truncate(time.Second))
	img, err := l.images.OpenImage(ctx, key)
	if err != nil {
		return fmt.Errorf("open the copy of disk %s: %w", d.ID, err)
	}
	defer img.Close()
	if err := l.writeRecord(ctx, img, c); err != nil {
		return fmt.Errorf("write the record on the copy of disk %s: %w", d.ID, err)
	}
	if err := l.around("isolate.seal", func() error { return img.Seal(ctx) }); err != nil {
		return fmt.Errorf("seal the copy of disk %s: %w", d.ID, err)
	}
	err = l.around("isolate.rename", func() error {
		return s.renamer.RenameImage(context.WithoutCancel(ctx), pool.PoolRef, CopyPrefix+d.ID, key.ReservedName())
	})
	if err != nil {
		return fmt.Errorf("rename the copy of disk %s: %w", d.ID, err)
	}
	return nil
}

// admit performs step h. The reconciler may be doing the same: whoever has the
// copy's lock first does it, and the other finds it done.
func (s *Isolator) admit(ctx context.Context, pool Pool, key Key, actor string) (Disk, error) {
	l, id := s.ledger, key.DiskID()
	unlock, err := l.lock(ctx, id)
	if err != nil {
		return Disk{}, err
	}
	defer unlock()
	c, err := l.disks.Disk(ctx, id)
	if errors.Is(err, ErrNotFound) {
		if c, err = s.recordOn(ctx, key); err != nil {
			return c, fmt.Errorf("read the record on the copy %s: %w", key, err)
		}
		c.State, c.Version = "", 0
		e := Entry{Act: "adopt", Actor: actor, Reason: c.Decision.Reason, Detail: promised(&c, map[string]string{
			detailName: c.OriginalName, "rule": c.Decision.Rule, "policy": c.Decision.PolicyHash, "capture": string(c.Capture),
			detailDeletion: c.DeletionID(), "copy_of": c.CopyOf.Disk, "sha256": c.CopyOf.SHA256})}
		if c, err = l.move(ctx, c, Pending, e, nil); err == nil {
			for _, h := range c.Holds { // the log knows them of the copy, too
				l.note(ctx, c, Entry{Act: "hold", Actor: h.By, Reason: h.Reason, Detail: map[string]string{"case": h.CaseID}})
			}
		}
	}
	if err != nil || c.State != Pending {
		return c, err
	}
	err = l.around("isolate.trash", func() error {
		return s.trash.MoveToTrash(ctx, pool.PoolRef, key.ReservedName(), pool.Protect)
	})
	if err != nil && !errors.Is(err, ErrNotFound) { // it is in the trash already
		return c, fmt.Errorf("move the copy %s to the trash: %w", key, err)
	}
	e, err := s.trash.FindInTrash(ctx, key)
	if err != nil {
		return c, fmt.Errorf("look for the copy %s in the trash: %w", key, err)
	}
	return s.adopter.adoptLocked(ctx, id, e, CaptureCopy)
}

// link performs step i, and returns the copy.
func (s *Isolator) link(ctx context.Context, id string, c Disk) (Disk, error) {
	l := s.ledger
	unlock, err := l.lock(ctx, id)
	if err != nil {
		return c, err
	}
	defer unlock()
	d, err := l.disks.Disk(ctx, id)
	if err != nil {
		return c, err
	}
	why := "as its original, disk " + id
	for _, h := range d.OpenHolds() {
		if c, err = s.holds.Hold(ctx, h.By, c.ID, h.CaseID, h.Reason); err != nil {
			return c, fmt.Errorf("hold the copy of disk %s as the disk is held: %w", id, err)
		}
	}
	if d.RetainUntil.After(c.RetainUntil) && d.RetainUntil.After(l.clock()) {
		if c, err = s.holds.Extend(ctx, "isolator", c.ID, d.RetainUntil, why); err != nil {
			return c, fmt.Errorf("keep the copy of disk %s as long as the disk: %w", id, err)
		}
	}
	ref := CopyRef{Disk: c.ID, Key: c.Key, SHA256: c.CopyOf.SHA256, CopiedAt: c.CopyOf.CopiedAt}
	if slices.Contains(d.Copies, ref) {
		return c, nil
	}
	d.Copies = append(slices.Clone(d.Copies), ref)
	d.RecordStale = d.State.InQuarantine()
	saved, err := l.disks.PutDisk(ctx, d)
	if err != nil {
		return c, fmt.Errorf("disk %s: write its copy: %w", id, err)
	}
	if saved.State == Quarantined || saved.State == Expiring {
		l.softSync(ctx, saved)
	}
	return c, nil
}

// sparseHash is the SHA-256 of bytes that come as extents.
type sparseHash struct {
	h     hash.Hash
	zeros []byte
	at    int64
}

func newSparseHash() *sparseHash { return &sparseHash{h: sha256.New(), zeros: make([]byte, 1<<20)} }

func (s *sparseHash) extent(offset int64, data []byte) {
	hashZeros(s.h, s.zeros, offset-s.at)
	s.h.Write(data)
	s.at = offset + int64(len(data))
}

func (s *sparseHash) sum(size int64) string {
	hashZeros(s.h, s.zeros, size-s.at)
	s.at = size
	return hex.EncodeToString(s.h.Sum(nil))
}

// copyPace tells progress, and takes as long as the bytes may take.
type copyPace struct {
	s        *Isolator
	ctx      context.Context
	total    int64
	progress Progress
	last     time.Time
}

func (s *Isolator) newPace(ctx context.Context, total int64, progress Progress) *copyPace {
	return &copyPace{s: s, ctx: ctx, total: total, progress: progress, last: s.ledger.clock()}
}

// at is called when n bytes at the place were done.
func (p *copyPace) at(place int64, n int) error {
	if p.progress != nil {
		p.progress(uint64(place)+uint64(n), uint64(p.total))
	}
	if rate := p.s.cfg.BytesPerSecond; rate > 0 {
		// Not less than nothing: a clock that is set back must not stop it.
		took := max(p.s.ledger.clock().Sub(p.last), 0)
		if due := time.Duration(float64(n) / float64(rate) * float64(time.Second)); due > took {
			p.s.cfg.Wait(p.ctx, due-took)
		}
		p.last = p.s.ledger.clock()
	}
	if err := p.ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return nil
}
