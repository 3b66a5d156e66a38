package quarantine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Reconciler compares the trash of every pool with the catalog, and finishes
// or undoes what a crash, a missed event or a stranger left half-done. It has
// no means to remove anything, and it concludes nothing from absence alone: a
// disk is called lost only after Ceph itself said that no image has its id.
type Reconciler struct {
	identity
	adopter *Adopter
	trash   Trash
	images  Images
	reader  Reader
	cfg     ReconcileConfig
}

// ReconcileConfig tunes the Reconciler.
type ReconcileConfig struct {
	// Workers is how many disks are worked on at once.
	Workers int
	// LostAfter is how long after a Deletion its disks may still arrive before
	// one that was required is reported as lost.
	LostAfter time.Duration
	// MeasureDisks bounds how many disks one run measures (used bytes).
	MeasureDisks int
	// Seen remembers the live images, so that one which somebody removed where
	// no guard was on is missed. Nil: none is.
	Seen SeenImages
	// Marks tell of resources that a restore has made and deleted again, whose
	// disks are not missed. Nil: there are none.
	Marks Marks
	// Snapshots looks at the seals. Nil: nobody does.
	Snapshots Snapshots
	// SealsAtOnce bounds how many seals one run looks at; each run goes on where
	// the last one ended, so that all have their turn.
	SealsAtOnce int
	// Tampered is told of every seal-lost and disk-forced-out, for metrics. It
	// may be nil.
	Tampered func(act string)
}

// NewReconciler makes the Reconciler.
func NewReconciler(a *Adopter, reader Reader, cfg ReconcileConfig) *Reconciler {
	return &Reconciler{identity: a.identity, adopter: a, trash: a.trash, images: a.images, reader: reader, cfg: cfg}
}

// run is one run of the reconciler; its methods add to the report from several
// goroutines.
type run struct {
	mu  sync.Mutex
	rep Report
}

func (r *run) add(it ReportItem) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rep.Items = append(r.rep.Items, it)
}

// Run reconciles all pools. A pool that cannot be listed is reported and left
// alone; the others go on.
func (r *Reconciler) Run(ctx context.Context, actor string, o JobOptions) Report {
	w := &run{rep: Report{Job: JobReconcile, DryRun: o.DryRun, Actor: actor, StartedAt: r.ledger.clock().UTC(), Items: []ReportItem{}}}
	err := r.reconcile(ctx, w, o.DryRun)
	if err != nil {
		w.rep.Stopped = err.Error()
	}
	w.rep.EndedAt = r.ledger.clock().UTC()
	return w.rep
}

func (r *Reconciler) reconcile(ctx context.Context, w *run, dry bool) error {
	for _, pool := range r.clusters.Pools() {
		if err := r.onePool(ctx, w, pool, dry); err != nil {
			if ctx.Err() != nil {
				return err
			}
			w.add(ReportItem{Pool: pool.PoolRef.String(), Act: "list", Error: err.Error()})
		}
	}
	for _, part := range []func(context.Context, *run, bool) error{r.staleRecords, r.unexplained, r.missedImages, r.foundAfterAll, r.lostDisks, r.measure, r.seals} {
		if err := part(ctx, w, dry); err != nil {
			return err
		}
	}
	return nil
}

// onePool reconciles one pool.
func (r *Reconciler) onePool(ctx context.Context, w *run, pool Pool, dry bool) error {
	live, stranded, err := r.stranded(ctx, pool.PoolRef)
	if err != nil {
		return err
	}
	for _, name := range stranded {
		if e, moved := r.retrash(ctx, w, pool, name, live[name], dry); moved {
			r.adoptOne(ctx, w, adoption{entry: e, moved: true}, dry)
		}
	}
	return r.compare(ctx, pool.PoolRef, func(c chores) error {
		err := inParallel(ctx, r.cfg.Workers, len(c.adopt), func(i int) { r.adoptOne(ctx, w, c.adopt[i], dry) })
		if err != nil {
			return err
		}
		return inParallel(ctx, r.cfg.Workers, len(c.absent), func(i int) { r.absent(ctx, w, pool, c.absent[i], dry) })
	})
}

// retrash moves an image that is live under a reserved name, and that the
// catalog does not know, back into the trash: it was lost while the image was
// out. The entry is then adopted from its record.
func (r *Reconciler) retrash(ctx context.Context, w *run, pool Pool, name, imageID string, dry bool) (e TrashEntry, moved bool) {
	it := ReportItem{Pool: pool.PoolRef.String(), Name: name, Act: "retrash", Reason: "left under its reserved name"}
	defer func() { w.add(it) }()
	if dry {
		return e, false
	}
	if err := r.trash.MoveToTrash(ctx, pool.PoolRef, name, pool.Protect); err != nil && !errors.Is(err, ErrNotFound) {
		it.Error = err.Error()
		return e, false
	}
	now := r.ledger.clock()
	return TrashEntry{Key: pool.Key(imageID), Name: name, DeletedAt: now, ProtectedUntil: now.Add(pool.Protect)}, true
}

func (r *Reconciler) adoptOne(ctx context.Context, w *run, a adoption, dry bool) {
	e := a.entry
	it := ReportItem{Disk: e.Key.DiskID(), Pool: e.Key.PoolRef().String(), Name: e.Name, Act: "adopt", Reason: "in the trash and not in the catalog"}
	switch {
	case a.known == "":
	case a.known == Pending:
		it.Act, it.Reason = "finish", "its adoption was cut short"
	default:
		it.Reason = "deleted again"
	}
	if !dry {
		d, err := r.adoptNow(ctx, e.Key)
		it.Bytes = d.SizeBytes
		if errors.Is(err, errLeftTrash) && !a.moved {
			return // the next run sees where it is
		}
		if err != nil {
			it.Error = err.Error()
		}
	}
	w.add(it)
}

// errLeftTrash says that an entry that was listed is not in the trash any more.
var errLeftTrash = errors.New("it is not in the trash any more")

// adoptNow adopts an entry as it is now: the listing can be minutes old, and who was
// given back meanwhile would be sealed while it runs.
func (r *Reconciler) adoptNow(ctx context.Context, key Key) (Disk, error) {
	e, err := r.trash.FindInTrash(ctx, key)
	if errors.Is(err, ErrNotFound) {
		return Disk{}, errLeftTrash
	}
	if err != nil {
		return Disk{}, fmt.Errorf("look for %s in the trash: %w", key, err)
	}
	return r.adopter.Adopt(ctx, e, CaptureGuard)
}

// absent deals with a disk that the catalog has and the listing has not, or
// that was being restored. The listing is old by now: everything is asked
// again under the disk's lock.
func (r *Reconciler) absent(ctx context.Context, w *run, pool Pool, seen DiskStub, dry bool) {
	it := ReportItem{Disk: seen.ID, Pool: pool.PoolRef.String(), Act: "check", Reason: "not in the trash"}
	err := r.withDisk(ctx, seen.ID, func(d Disk) (err error) {
		it.Name = d.OriginalName
		if !dry && d.State == seen.State && d.Version == seen.Version {
			it.Act, it.Reason, err = r.settle(ctx, pool, d)
		}
		return err
	})
	if err != nil {
		it.Error = err.Error()
	}
	if it.Act != "" {
		w.add(it)
	}
}

// settle finds out where the disk's image is, and makes row and image agree.
// It returns what it did and why.
func (r *Reconciler) settle(ctx context.Context, pool Pool, d Disk) (act, reason string, err error) {
	ref := pool.PoolRef
	e, err := r.trash.FindInTrash(ctx, d.Key)
	switch {
	case err == nil:
		return r.settleInTrash(ctx, d, e)
	case !errors.Is(err, ErrNotFound):
		return "check", "", fmt.Errorf("look for disk %s in the trash: %w", d.ID, err)
	}
	img, err := r.images.OpenImage(ctx, d.Key)
	switch {
	case errors.Is(err, ErrNotFound):
		r.forcedOut(ctx, d)
		d, err = r.ledger.move(ctx, d, Lost, Entry{Act: "lost", Actor: "reconciler", Reason: "Ceph has no image of this id any more"}, func(n *Disk) { n.Intent, n.Sealed = "", false })
		if err == nil {
			r.ledger.log.Error("disk lost: its image is gone, and this service did not remove it", "disk", d.ID, "pool", ref.String(), "image_id", d.Key.ImageID, "name", d.OriginalName)
		}
		return "lost", "Ceph has no image of this id any more", err
	case err != nil:
		return "check", "", fmt.Errorf("look for the image of disk %s: %w", d.ID, err)
	}
	img.Close()
	return r.settleLive(ctx, pool, d)
}

// settleInTrash ends what was going on with an image that is in the trash.
func (r *Reconciler) settleInTrash(ctx context.Context, d Disk, e TrashEntry) (act, reason string, err error) {
	switch d.State {
	case Restoring:
		in, ierr := intentOf(d)
		if ierr == nil && in.Failed != "" {
			// This service put it there, maybe under the cloud's name.
			if e, err = bringBack(ctx, r.ledger, r.trash, r.images, d, protection(r.clusters, d.Key.PoolRef())); err != nil {
				return "undo", "its restore failed", err
			}
		}
		if err := dropNames(ctx, r.ledger, r.trash, d.Key, in); err != nil {
			return "undo", "its restore was cut short", err
		}
		_, err = r.ledger.move(ctx, d, Quarantined, Entry{Act: "restore-undone", Actor: "reconciler", Reason: "it was cut short; the disk is in the trash"}, func(n *Disk) {
			n.ProtectedUntil = e.ProtectedUntil.UTC()
		})
		return "undo", "its restore was cut short", err
	case Pending:
		_, err = r.adopter.adoptLocked(ctx, d.ID, e, d.Capture)
		return "finish", "its adoption was cut short", err
	}
	return "", "", nil // it came back between the two listings
}

// settleLive deals with an image that exists outside the trash.
func (r *Reconciler) settleLive(ctx context.Context, pool Pool, d Disk) (act, reason string, err error) {
	ref := pool.PoolRef
	name, err := liveName(ctx, r.images, d.Key)
	if err != nil {
		return "check", "", err
	}
	now := r.ledger.clock()
	switch {
	case name == "":
		return "check", "", fmt.Errorf("disk %s: its image exists, but is neither in the trash nor in the directory: %w", d.ID, ErrBusy)
	case d.State == Pending && (d.Capture == CaptureRaced || d.Capture == CaptureDriver) && name == d.OriginalName:
		// A seizure that was cut short before the move. The cloud still means
		// to remove it.
		if err := r.trash.MoveToTrash(ctx, ref, name, pool.Protect); err != nil {
			return "finish", "its seizure was cut short", fmt.Errorf("move %s to the trash: %w", name, err)
		}
		e := TrashEntry{Key: d.Key, Name: name, DeletedAt: now, ProtectedUntil: now.Add(pool.Protect)}
		_, err := r.adopter.adoptLocked(ctx, d.ID, e, d.Capture)
		return "finish", "its seizure was cut short", err
	case name == d.Key.ReservedName():
		if err := r.trash.MoveToTrash(ctx, ref, name, pool.Protect); err != nil {
			return "retrash", "left under its reserved name", fmt.Errorf("move disk %s back to the trash: %w", d.ID, err)
		}
		e := TrashEntry{Key: d.Key, Name: name, DeletedAt: now, ProtectedUntil: now.Add(pool.Protect).UTC().Truncate(time.Second)}
		_, _, err := r.settleInTrash(ctx, d, e)
		return "retrash", "left under its reserved name", err
	}
	if d.State == Restoring {
		in, err := intentOf(d)
		switch {
		case err != nil:
			return "check", "", err
		case in.Kind == intentMove:
			return r.settleMove(ctx, d, in, name)
		case in.Kind == intentInPlace && name == in.Name:
			_, err := finishInPlace(ctx, r.ledger, d, name, "reconciler")
			return "finish", "its restore was cut short", err
		}
	}
	// Somebody took it out of the trash by hand. It is not lost, and it is not
	// ours any more; say so, loudly.
	r.ledger.log.Error("disk was taken out of the trash behind our back", "disk", d.ID, "pool", ref.String(), "name", name)
	why := "taken out of the trash as " + name + " by somebody else"
	_, err = restoredOutside(ctx, r.ledger, d, name, why)
	return "outside", why, err
}

// settleMove ends the move of a disk that is live. A name that is not the
// move's own is one that the cloud has given it: it has the disk, unless the
// intent says that it failed with it.
func (r *Reconciler) settleMove(ctx context.Context, d Disk, in restoreIntent, name string) (act, reason string, err error) {
	if in.Failed == "" && name != in.Name {
		if err := dropNames(ctx, r.ledger, r.trash, d.Key, in); err != nil {
			return "finish", "its restore was cut short", err
		}
		_, err := finishInPlace(ctx, r.ledger, d, name, "reconciler")
		return "finish", "its restore was cut short", err
	}
	e, err := bringBack(ctx, r.ledger, r.trash, r.images, d, protection(r.clusters, d.Key.PoolRef()))
	if err != nil {
		return "undo", "its restore was cut short", err
	}
	return r.settleInTrash(ctx, d, e)
}

// restoredOutside ends the stay of a disk whose image somebody else took out of
// the trash. It goes by way of the intent, so that the next run can finish what
// a crash cuts short here.
func restoredOutside(ctx context.Context, l *Ledger, d Disk, name, why string) (Disk, error) {
	outside := Entry{Act: "restored-outside", Actor: "unknown", Reason: why}
	switch d.State {
	case Restoring, Pending:
		l.note(ctx, d, outside)
	default:
		intent, err := restoreIntent{Kind: intentInPlace, Dst: d.Key.PoolRef(), Name: name}.encode()
		if err != nil {
			return d, err
		}
		if d, err = l.move(ctx, d, Restoring, outside, func(n *Disk) { n.Intent = intent }); err != nil {
			return d, err
		}
	}
	return finishInPlace(ctx, l, d, name, "reconciler")
}

// recordsAtOnce bounds how many records one run renews: when a policy has been
// applied there can be millions, and other things wait for the run's end. The next
// run goes on.
const recordsAtOnce = 20_000

// staleRecords renews the records on images that a crash, an outage or the
// application of a policy left behind the catalog. Those that fail stay in front of
// the next page, and are passed over.
func (r *Reconciler) staleRecords(ctx context.Context, w *run, dry bool) error {
	for stay, left := 0, recordsAtOnce; left > 0; {
		page, err := r.ledger.disks.FindDisks(ctx, DiskFilter{RecordStale: true, States: []State{Quarantined, Expiring}, Limit: min(diskPage, left), Offset: stay})
		if err != nil {
			return fmt.Errorf("find the disks whose records are old: %w", err)
		}
		if len(page) == 0 {
			return nil
		}
		left -= len(page)
		var stays atomic.Int64
		err = inParallel(ctx, r.cfg.Workers, len(page), func(i int) {
			it := ReportItem{Disk: page[i].ID, Pool: page[i].Key.PoolRef().String(), Name: page[i].OriginalName, Act: "record", Reason: "the record on the image is old"}
			if dry {
				stays.Add(1)
			} else if err := r.renewRecord(ctx, page[i].ID); err != nil {
				stays.Add(1)
				it.Error = err.Error()
			}
			w.add(it)
		})
		if err != nil {
			return err
		}
		stay += int(stays.Load())
	}
	return nil
}

func (r *Reconciler) renewRecord(ctx context.Context, id string) error {
	return r.withDisk(ctx, id, func(d Disk) error {
		if !d.RecordStale || (d.State != Quarantined && d.State != Expiring) {
			return nil
		}
		_, err := r.ledger.syncRecord(ctx, d)
		return err
	})
}

// withDisk calls f with the disk as it is now, under its lock.
func (r *Reconciler) withDisk(ctx context.Context, id string, f func(Disk) error) error {
	unlock, err := r.ledger.lock(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	d, err := r.ledger.disks.Disk(ctx, id)
	if err != nil {
		return err
	}
	return f(d)
}

// unexplained looks again for the Deletions of disks that have none.
func (r *Reconciler) unexplained(ctx context.Context, w *run, dry bool) error {
	// The names first: who is explained is not selected any more.
	seen := map[string]bool{}
	var names []string
	err := eachDisk(ctx, r.ledger.disks, DiskFilter{Unexplained: true, States: []State{Pending, Quarantined, Expiring}}, func(d *Disk) error {
		if !seen[d.OriginalName] {
			seen[d.OriginalName] = true
			names = append(names, d.OriginalName)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("find the unexplained disks: %w", err)
	}
	for _, name := range names {
		if dry {
			continue
		}
		changed, err := r.rejoin(ctx, name)
		if err != nil {
			return fmt.Errorf("join the disks named %q: %w", name, err)
		}
		for _, c := range changed {
			w.add(ReportItem{Disk: c.ID, Pool: c.Key.PoolRef().String(), Name: c.OriginalName, Act: "join", Reason: "its deletion was reported later"})
		}
	}
	return nil
}

// measure fills in the used bytes of disks that have not been measured.
func (r *Reconciler) measure(ctx context.Context, w *run, dry bool) error {
	if dry || r.cfg.MeasureDisks == 0 {
		return nil
	}
	disks, err := r.ledger.disks.FindDisks(ctx, DiskFilter{Unmeasured: true, States: []State{Quarantined}, Limit: r.cfg.MeasureDisks})
	if err != nil {
		return fmt.Errorf("find the disks to measure: %w", err)
	}
	return inParallel(ctx, r.cfg.Workers, len(disks), func(i int) {
		var below int64
		used, err := r.reader.Used(ctx, disks[i].Key)
		if err == nil && disks[i].Pins() {
			below, err = r.reader.UsedOfParent(ctx, disks[i].Key)
		}
		if err == nil {
			err = r.withDisk(ctx, disks[i].ID, func(d Disk) error {
				d.UsedBytes = used
				if d.Pins() {
					p := *d.Parent
					p.CopyBytes, d.Parent = below, &p
				}
				_, err := r.ledger.disks.PutDisk(ctx, d)
				return err
			})
		}
		if err != nil {
			w.add(ReportItem{Disk: disks[i].ID, Act: "measure", Error: err.Error()})
		}
	})
}
