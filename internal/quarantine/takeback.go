package quarantine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// unpurge takes a purge back that Ceph refused before the image was gone. When
// it cannot, because Ceph does not answer, the row stays purging and the next
// pass goes on.
func (c *Collector) unpurge(ctx context.Context, d Disk, actor string, cause error, untouched bool) error {
	if errors.Is(cause, errInterrupted) || errors.Is(cause, ErrUnavailable) || errors.Is(cause, context.Canceled) || errors.Is(cause, context.DeadlineExceeded) {
		return nil
	}
	_, err := takeBack(ctx, c.ledger, c.trash, c.clusters, d, actor, cause.Error(), untouched)
	return err
}

// takeBack ends a purge whose image is still there: protection and seal first,
// then the row. ErrRefused if a part of its data is gone already: what is left
// must not be sealed as what the disk held.
//
// The seal goes before the data does. So one that stands says that nothing is gone; of
// an image without one only the caller can know it (untouched), who saw all that
// happened to it. Else a removal may have begun that failed, or died with its process:
// it leaves the image as large as it was. What is left is sealed, because it is all
// there is, and marked as a seal that was broken.
func takeBack(ctx context.Context, l *Ledger, trash Trash, clusters Clusters, d Disk, actor, why string, untouched bool) (Disk, error) {
	full := protection(clusters, d.Key.PoolRef())
	sealed, err := stillSealed(ctx, l.images, &d)
	if err != nil {
		return d, err
	}
	if err := reprotect(ctx, l, trash, d.Key, full); err != nil {
		return d, fmt.Errorf("protect disk %s again: %w", d.ID, err)
	}
	img, err := l.images.OpenImage(ctx, d.Key)
	if err != nil {
		return d, fmt.Errorf("seal disk %s again: %w", d.ID, err)
	}
	defer img.Close()
	if err := img.Seal(ctx); err != nil {
		return d, fmt.Errorf("seal disk %s again: %w", d.ID, err)
	}
	now := l.clock().UTC().Truncate(time.Second)
	e := Entry{Act: actUnpurge, Actor: actor, Reason: why, Detail: sealDetail(img)}
	unsure := !sealed && !untouched
	if unsure {
		e.Detail[detailUnsealed] = "its seal was off, and its removal may have begun"
		l.log.Error("a purge is taken back, and its removal may have begun: what is sealed now is what is left", "disk", d.ID, "pool", d.Key.PoolRef().String(), "image_id", d.Key.ImageID)
	}
	d, err = l.move(ctx, d, Expiring, e, func(n *Disk) {
		n.Sealed, n.SealID, n.ExpiringAt, n.ProtectedUntil = true, sealID(img), now, now.Add(full)
		if unsure {
			n.SealBrokenAt = now
		}
	})
	if err != nil {
		return d, err
	}
	return l.softSync(ctx, d), nil
}

// stillSealed reports whether the image of a disk that is being purged has its seal,
// and returns ErrRefused when it has not, and is smaller than the disk was: trim has
// begun.
func stillSealed(ctx context.Context, images Images, d *Disk) (bool, error) {
	img, err := images.OpenImage(ctx, d.Key)
	if err != nil {
		return false, fmt.Errorf("look whether disk %s is whole: %w", d.ID, err)
	}
	defer img.Close()
	in := img.Info()
	if !in.Sealed && in.SizeBytes < d.SizeBytes {
		return false, refusedf("disk %s is removed in part already: %d of %d bytes are left", d.ID, in.SizeBytes, d.SizeBytes)
	}
	return in.Sealed && (d.SealID == 0 || slices.Contains(in.SealIDs, d.SealID)), nil
}
