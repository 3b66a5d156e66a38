package quarantine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Instruction is what a storage driver that asked is to do.
type Instruction string

// The instructions.
const (
	// Proceed: it removes the disk as it always does. The guard keeps it, or
	// there is nothing of it in the pools in this service's care.
	Proceed Instruction = "proceed"
	// Done: the disk is in quarantine. The driver reports success and touches
	// nothing: what it would remove is gone from its name, and with some drivers
	// more than the disk (an image's parents and clones) would go.
	Done Instruction = "done"
)

// Interception is the answer to a storage driver.
type Interception struct {
	Act Instruction `json:"act"`
	// Reason says why, in a sentence.
	Reason string `json:"reason"`
	// Disks are the ids of those in quarantine that the answer is about.
	Disks []string `json:"disks"`
}

// Interceptor answers storage drivers that ask before they remove a disk, and
// wait for the answer. Unlike what a cloud merely reports, this is no race: the
// disk is there until the answer is.
type Interceptor struct {
	recorder *Recorder
	guard    Guard
}

// NewInterceptor makes an Interceptor. It shares the recorder's ports.
func NewInterceptor(r *Recorder, g Guard) *Interceptor { return &Interceptor{r, g} }

// Report records what a driver has removed already, because this service did not
// answer when it was asked.
func (i *Interceptor) Report(ctx context.Context, d Deletion) error {
	return i.recorder.Learn(ctx, []Deletion{d})
}

// Intercept says what a driver is to do that is about to remove the images of
// refs, of the Deletion d. It answers Done only when every image of them is in
// quarantine, sealed or under the guard's protection; on any error nothing is
// said, and the driver decides by its own configuration.
//
// The order: what is there is looked at; the Deletion is committed, with the
// word that these disks existed; then, where no guard is to be relied on now, or
// where the driver would destroy more than the disk (climbs), they are seized.
// It may be repeated: a driver that is run again finds the disk in quarantine,
// which is success.
//
// Where somebody else changes what it looked at, another daemon or a reconciler
// that adopts the same disk, it looks again: a driver that fails open would
// remove the disk for an error that the next look does not have.
func (i *Interceptor) Intercept(ctx context.Context, d Deletion, refs []DiskRef) (Interception, error) {
	for n := 1; ; n++ {
		answer, err := i.intercept(ctx, d, refs)
		if n == interceptLooks || !errors.Is(err, ErrConflict) {
			return answer, err
		}
	}
}

// interceptLooks is how often an Intercept looks.
const interceptLooks = 3

func (i *Interceptor) intercept(ctx context.Context, d Deletion, refs []DiskRef) (Interception, error) {
	// Whoever asks has begun, whatever the cloud's clock says: else what dies now
	// would be of an earlier life.
	if now := i.recorder.ledger.clock().UTC(); d.StartedAt.After(now) {
		d.StartedAt = now
	}
	v := &intercept{Interceptor: i, deletion: d, answer: Interception{Act: Proceed, Disks: []string{}}}
	for _, ref := range refs {
		if err := v.look(ctx, ref); err != nil {
			return v.answer, err
		}
	}
	if d.ID != "" {
		if err := i.recorder.Learn(ctx, []Deletion{v.required()}); err != nil {
			return v.answer, err
		}
	}
	return v.answer, v.act(ctx)
}

// intercept is the work on one question.
type intercept struct {
	*Interceptor
	deletion Deletion
	live     []liveDisk // what the refs mean that is live
	seize    bool       // they are to be seized
	why      string
	answer   Interception
}

// liveDisk is a live image that is about to be removed.
type liveDisk struct {
	pool          Pool
	name, imageID string
	ref           DiskRef
}

// pools are those in which the reference may be.
func (v *intercept) pools(ref DiskRef) []Pool {
	return slices.DeleteFunc(slices.Clone(v.recorder.clusters.Pools()), func(p Pool) bool {
		return p.Cloud != "" && p.Cloud != v.deletion.Cloud || !ref.Matches(p.PoolRef, ref.Name)
	})
}

// look finds what the reference means.
func (v *intercept) look(ctx context.Context, ref DiskRef) error {
	pools := v.pools(ref)
	if len(pools) == 0 {
		v.why = fmt.Sprintf("pool %s is not in this service's care", ref.Pool)
		v.recorder.ledger.log.Warn("a cloud removes a disk from a pool that is not in this service's care", "deletion", v.deletion.ID, "pool", ref.Pool, "name", ref.Name)
		return nil
	}
	found := len(v.live)
	for _, pool := range pools {
		live, err := v.recorder.adopter.images.LiveImages(ctx, pool.PoolRef, ref.Name)
		if err != nil {
			return fmt.Errorf("look for %s in %s: %w", ref.Name, pool.PoolRef, err)
		}
		for name, imageID := range live {
			if ref.Matches(pool.PoolRef, name) {
				v.live = append(v.live, liveDisk{pool, name, imageID, ref})
			}
		}
	}
	if len(v.live) > found {
		return v.judge(ctx, v.live[found:])
	}
	return v.earlier(ctx, ref, pools)
}

// judge decides whether the images are to be seized.
func (v *intercept) judge(ctx context.Context, live []liveDisk) error {
	for _, l := range live {
		if !l.pool.Guarded {
			v.seize = true
			continue
		}
		setting, err := v.guard.ReadGuard(ctx, l.pool.PoolRef)
		switch {
		case err != nil:
			return fmt.Errorf("read the guard of %s: %w", l.pool.PoolRef, err)
		case !setting.On:
			v.recorder.ledger.log.Error("the guard of a pool is off; a disk that its cloud removes is seized", "pool", l.pool.PoolRef.String(), "name", l.name)
			v.seize = true
			continue
		}
		climbs, err := v.climbs(ctx, l)
		if err != nil {
			return err
		}
		v.seize = v.seize || climbs
	}
	return nil
}

// climbs reports whether OpenNebula's driver would remove the image's parent
// with it, which is none of the image's own: it takes any parent whose name has
// the image's in it for a disk snapshot of the image (rbd_top_parent in
// ceph_utils.sh, a grep), so that removing one-5 that is a clone of one-55-1-0
// removes that. And it removes every clone of the image's snapshots, in whatever
// pool: on one that was given back and still bears its seal, what was restored from
// it.
func (v *intercept) climbs(ctx context.Context, l liveDisk) (bool, error) {
	if v.deletion.CloudType != CloudOpenNebula {
		return false, nil
	}
	img, err := v.recorder.adopter.images.OpenImage(ctx, l.pool.Key(l.imageID))
	if errors.Is(err, ErrNotFound) {
		return false, nil // somebody else removes it: the guard has it
	}
	if err != nil {
		return false, fmt.Errorf("look at %s/%s: %w", l.pool.PoolRef, l.name, err)
	}
	defer img.Close()
	if img.Info().Sealed {
		return true, nil
	}
	parent := img.Info().Parent
	if parent == nil {
		return false, nil
	}
	at := parent.Key.PoolRef()
	return strings.Contains(at.String()+"/"+parent.Name, l.pool.PoolRef.String()+"/"+l.name) && !l.ref.Matches(at, parent.Name), nil
}

// earlier looks for what the reference means where it is not live: in
// quarantine, or on its way there.
func (v *intercept) earlier(ctx context.Context, ref DiskRef, pools []Pool) error {
	disks, err := v.recorder.ledger.disks.FindDisks(ctx, ref.filter())
	if err != nil {
		return fmt.Errorf("find the disks named %s: %w", ref.Name, err)
	}
	n := len(v.answer.Disks)
	for _, d := range disks {
		if !d.State.InQuarantine() || !v.meant(d.Key.PoolRef(), d.OriginalName, ref, pools) {
			continue
		}
		if same := d.DeletionID() == v.deletion.ID && v.deletion.ID != ""; !same && !v.since(d.DeletedAt) {
			continue
		}
		// The row may be an intent that came to nothing.
		there, err := v.inTrash(ctx, d.Key)
		if err != nil {
			return err
		}
		if there {
			v.answer.Disks = append(v.answer.Disks, d.ID)
		}
	}
	if len(v.answer.Disks) > n {
		return nil
	}
	for _, pool := range pools {
		var found *TrashEntry
		err := v.recorder.trash.EachTrash(ctx, pool.PoolRef, func(page []TrashEntry) error {
			for i, e := range page {
				if v.meant(e.Key.PoolRef(), e.Name, ref, pools) && v.since(e.DeletedAt) {
					found = &page[i]
					return errEnough
				}
			}
			return nil
		})
		if err != nil && !errors.Is(err, errEnough) {
			return fmt.Errorf("look for %s in the trash of %s: %w", ref.Name, pool.PoolRef, err)
		}
		if found == nil {
			continue
		}
		// One that somebody else put there may lie there unprotected.
		if v.recorder.adopter.short(found.Key, found.ProtectedUntil) {
			if _, err := v.recorder.adopter.Adopt(ctx, *found, CaptureGuard); err != nil {
				return err
			}
		}
		v.answer.Disks = append(v.answer.Disks, found.Key.DiskID())
		return nil
	}
	v.why = fmt.Sprintf("no image %s is there", ref.Name)
	return nil
}

// inTrash reports whether the image is in the trash.
func (v *intercept) inTrash(ctx context.Context, key Key) (bool, error) {
	_, err := v.recorder.trash.FindInTrash(ctx, key)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for %s in the trash: %w", key, err)
	}
	return true, nil
}

// meant reports whether the reference means a disk of that name there.
func (v *intercept) meant(at PoolRef, name string, ref DiskRef, pools []Pool) bool {
	return ref.Matches(at, name) && slices.ContainsFunc(pools, func(p Pool) bool { return p.PoolRef == at })
}

// since reports whether a disk that died then is one of this act by the time,
// and not of an earlier life of the name.
func (v *intercept) since(died time.Time) bool {
	return !died.Before(v.deletion.FirstSign().Add(-ClockSkew))
}

// required is the Deletion with the word that what is live must be found after
// it.
func (v *intercept) required() Deletion {
	d := v.deletion
	d.Disks = slices.Clone(d.Disks)
	for _, l := range v.live {
		d.Disks = append(d.Disks, DiskRef{Pool: l.pool.Pool, Namespace: l.pool.Namespace, Name: l.name, Role: l.ref.Role, Required: true})
	}
	return d
}

// act seizes what is to be seized, and completes the answer.
func (v *intercept) act(ctx context.Context) error {
	a := &v.answer
	switch {
	case len(v.live) == 0 && len(a.Disks) > 0:
		a.Act, a.Reason = Done, "it is in quarantine already"
	case len(v.live) == 0:
		a.Reason = v.why
		if a.Reason == "" {
			a.Reason = "no disk dies by this"
		}
	case !v.seize:
		a.Reason = "the guard of the pool keeps it"
	default:
		for _, l := range v.live {
			d, err := v.recorder.adopter.Seize(ctx, l.pool, l.name, l.imageID, CaptureDriver)
			if err != nil {
				return err
			}
			if d.State == Lost {
				return fmt.Errorf("%s/%s was removed by somebody else at this moment: %w", l.pool.PoolRef, l.name, ErrConflict)
			}
			// A row may say that it is in quarantine although somebody took the
			// image out: only what Ceph says now is an answer.
			there, err := v.inTrash(ctx, l.pool.Key(l.imageID))
			if err != nil {
				return err
			}
			if !there {
				return fmt.Errorf("%s/%s is not in the trash although it was to be moved there (the next reconcile run looks at it): %w", l.pool.PoolRef, l.name, ErrBusy)
			}
			a.Disks = append(a.Disks, d.ID)
		}
		a.Act, a.Reason = Done, "it was moved to the trash and sealed"
	}
	return nil
}
