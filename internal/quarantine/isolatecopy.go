package quarantine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
)

// make performs steps c to i.
func (s *Isolator) make(ctx context.Context, d Disk, pool Pool, actor, reason string, progress Progress) (Disk, error) {
	c, key, finished, err := s.earlier(ctx, d, pool)
	if err != nil {
		return c, err
	}
	if c.ID == "" && !finished {
		if key, err = s.target(ctx, d, pool); err != nil { // c
			return c, err
		}
		sum, err := s.fill(ctx, d, key, progress) // d, e
		if err != nil {
			return c, err
		}
		if err := s.finishImage(ctx, d, pool, key, sum, reason); err != nil { // f, g
			return c, err
		}
	}
	if c.ID == "" {
		if c, err = s.admit(ctx, pool, key, actor); err != nil { // h
			return c, err
		}
	}
	return s.link(ctx, d.ID, c) // i
}

// earlier looks for what an earlier run has made: the copy's row, or an image
// that is past step g.
func (s *Isolator) earlier(ctx context.Context, d Disk, pool Pool) (c Disk, key Key, finished bool, err error) {
	ref := pool.PoolRef
	rows, err := s.ledger.disks.FindDisks(ctx, DiskFilter{OriginalNames: []string{d.OriginalName}, Pool: &ref})
	if err != nil {
		return c, key, false, fmt.Errorf("find the copies of disk %s: %w", d.ID, err)
	}
	for _, row := range rows {
		if row.CopyOf == nil || row.CopyOf.Disk != d.ID {
			continue
		}
		switch row.State {
		case Quarantined, Expiring:
			return row, row.Key, true, nil
		case Pending:
			return c, row.Key, true, nil
		}
	}
	for _, old := range d.Copies {
		_, err := s.ledger.disks.Disk(ctx, old.Disk)
		if !errors.Is(err, ErrNotFound) {
			continue // lost, or the catalog does not answer
		}
		if there, err := s.ledger.images.HasImage(ctx, old.Key); err != nil || there {
			return c, key, false, errors.Join(err, fmt.Errorf("the copy %s of disk %s is not in the catalog: %w; the next reconcile run finds it", old.Key, d.ID, ErrBusy))
		}
	}
	live, err := s.ledger.images.LiveImages(ctx, ref, ReservedPrefix)
	if err != nil {
		return c, key, false, fmt.Errorf("look for a copy of disk %s: %w", d.ID, err)
	}
	for name, id := range live {
		if key = ref.Key(id); name != key.ReservedName() {
			continue
		}
		on, err := s.recordOn(ctx, key)
		switch {
		case errors.Is(err, ErrNoRecord), errors.Is(err, ErrInvalid), errors.Is(err, ErrNotFound):
		case err != nil:
			return c, key, false, err
		case on.CopyOf != nil && on.CopyOf.Disk == d.ID:
			return c, key, true, nil
		}
	}
	return c, Key{}, false, nil
}

func (s *Isolator) recordOn(ctx context.Context, key Key) (Disk, error) {
	info, err := s.infoOf(ctx, key)
	if err != nil {
		return Disk{}, err
	}
	return DecodeRecord(key, info.Record)
}

func (s *Isolator) infoOf(ctx context.Context, key Key) (ImageInfo, error) {
	img, err := s.ledger.images.OpenImage(ctx, key)
	if err != nil {
		return ImageInfo{}, err
	}
	return img.Info(), img.Close()
}

// target finds or makes the image that is filled.
func (s *Isolator) target(ctx context.Context, d Disk, pool Pool) (Key, error) {
	l, name := s.ledger, CopyPrefix+d.ID
	// Not left half-way: the next try would meet it at its work.
	err := l.around("isolate.create", func() error {
		return s.copier.CreateImage(context.WithoutCancel(ctx), pool.PoolRef, name, d.SizeBytes)
	})
	if err != nil && !errors.Is(err, ErrExists) {
		return Key{}, fmt.Errorf("make the copy of disk %s: %w", d.ID, err)
	}
	live, err := l.images.LiveImages(ctx, pool.PoolRef, name)
	if err != nil {
		return Key{}, fmt.Errorf("look for the copy of disk %s: %w", d.ID, err)
	}
	id, ok := live[name]
	if !ok {
		return Key{}, fmt.Errorf("the copy of disk %s is not where it was made: %w", d.ID, ErrConflict)
	}
	return pool.Key(id), nil
}

// copyMark says how far a copy has come.
type copyMark struct {
	Of     string `json:"of"`
	Offset int64  `json:"offset"` // everything before it is written
}

// fill writes the original's sealed bytes to the image, reads both back, and
// returns the SHA-256 of both.
func (s *Isolator) fill(ctx context.Context, d Disk, key Key, progress Progress) (string, error) {
	// The seal is read for the copy, and again for its hash; the copy once.
	pace := s.newPace(ctx, d.SizeBytes*3, progress)
	// One that was sealed before a crash is judged by its seal, which is what
	// counts; it was written and hashed before.
	info, err := s.infoOf(ctx, key)
	if err != nil {
		return "", fmt.Errorf("open the copy of disk %s: %w", d.ID, err)
	}
	back := s.copier.ReadHead
	if info.Sealed {
		back = func(ctx context.Context, key Key, extent func(int64, []byte) error) error {
			return s.copier.ReadSealedFrom(ctx, key, 0, extent)
		}
	} else if err := s.write(ctx, d, key, pace); err != nil {
		return "", fmt.Errorf("copy disk %s: %w", d.ID, err)
	}
	var sums [2]string
	for i, read := range []func(func(int64, []byte) error) error{
		func(extent func(int64, []byte) error) error { return s.copier.ReadSealedFrom(ctx, d.Key, 0, extent) },
		func(extent func(int64, []byte) error) error { return back(ctx, key, extent) },
	} {
		h := newSparseHash()
		err := read(func(offset int64, data []byte) error {
			h.extent(offset, data)
			return pace.at(d.SizeBytes*int64(i+1)+offset, len(data))
		})
		if err != nil {
			return "", fmt.Errorf("read disk %s and its copy back: %w", d.ID, err)
		}
		sums[i] = h.sum(d.SizeBytes)
	}
	if sums[0] == sums[1] {
		return sums[0], nil
	}
	if info.Sealed {
		return "", fmt.Errorf("disk %s has the SHA-256 %s, and its sealed copy %s (image %s) has %s: %w; look at both before you take the copy away",
			d.ID, sums[0], CopyPrefix+d.ID, key.ImageID, sums[1], ErrConflict)
	}
	err = fmt.Errorf("disk %s has the SHA-256 %s, and its copy %s: %w; the next run writes it anew", d.ID, sums[0], sums[1], ErrConflict)
	return "", errors.Join(err, s.forget(context.WithoutCancel(ctx), d, key))
}

// write performs step d.
func (s *Isolator) write(ctx context.Context, d Disk, key Key, pace *copyPace) (err error) {
	t, err := s.copier.OpenCopy(ctx, key)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	if t.SizeBytes() != d.SizeBytes {
		return fmt.Errorf("the image %s in the evidence pool has %d bytes, the disk %d: %w; take it away", CopyPrefix+d.ID, t.SizeBytes(), d.SizeBytes, ErrConflict)
	}
	m := copyMark{Of: d.ID}
	if b := t.Mark(); b != nil {
		if err := json.Unmarshal(b, &m); err != nil || m.Of != d.ID {
			m = copyMark{Of: d.ID} // written anew
		}
	}
	l, marked := s.ledger, m.Offset
	mark := func() error {
		b, err := json.Marshal(m)
		if err != nil {
			return err
		}
		marked = m.Offset
		return l.around("isolate.mark", func() error { return t.KeepMark(ctx, b) })
	}
	err = s.copier.ReadSealedFrom(ctx, d.Key, m.Offset, func(offset int64, data []byte) error {
		if err := l.around("isolate.write", func() error { return t.Write(ctx, offset, data) }); err != nil {
			return err
		}
		if m.Offset = offset + int64(len(data)); m.Offset-marked >= s.cfg.MarkBytes {
			if err := mark(); err != nil {
				return err
			}
		}
		return pace.at(offset, len(data))
	})
	if err != nil {
		return err
	}
	m.Offset = d.SizeBytes
	return mark()
}

// forget puts the mark back, so that the next run writes everything again.
func (s *Isolator) forget(ctx context.Context, d Disk, key Key) (err error) {
	t, err := s.copier.OpenCopy(ctx, key)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	b, err := json.Marshal(copyMark{Of: d.ID})
	if err != nil {
		return err
	}
	return t.KeepMark(ctx, b)
}
