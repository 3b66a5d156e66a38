package quarantine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// checkPage is how many rows are read at once.
const checkPage = 500

// Checker compares the books with Ceph, both ways: every row with its image,
// its trash entry, its snapshots, the record on it and the custody log, and
// every trash entry and every live name of this service's own with the rows. It
// changes nothing.
//
// It works while everything else does. What looks wrong is looked at again under
// the disk's lock, with row and image read anew, and only what is wrong then is
// told. It does not see a seal that was taken from the pool and left in the
// image's header: only the monitors know, and the watch of the seals asks them.
type Checker struct {
	ledger   *Ledger
	rows     Rows
	trash    CheckTrash
	images   CheckImages
	looker   Looker
	clusters Clusters
	cfg      CheckConfig
	// running is held by the one run that there may be: it reads all that there is.
	running sync.Mutex
}

// CheckConfig tunes the Checker.
type CheckConfig struct {
	// Workers is how many disks are looked at once.
	Workers int
	// Settle is how long an adoption may take: what came later into the trash
	// need not have a row yet.
	Settle time.Duration
	// Patience is how long it waits for an act on a disk that looks wrong: a purge
	// by a tight budget can take hours. 0: 15 s.
	Patience time.Duration
}

// NewChecker makes the service.
func NewChecker(l *Ledger, rows Rows, trash CheckTrash, images CheckImages, looker Looker, clusters Clusters, cfg CheckConfig) *Checker {
	if cfg.Patience == 0 {
		cfg.Patience = 15 * time.Second
	}
	return &Checker{ledger: l, rows: rows, trash: trash, images: images, looker: looker, clusters: clusters, cfg: cfg}
}

// checkRun is one run. Several goroutines add to it.
type checkRun struct {
	*Checker
	pools map[PoolRef]Pool

	mu      sync.Mutex
	res     CheckResult
	logTold bool
	tell    func(CheckFinding) error
	err     error // of tell, the first
}

// Run looks at everything and tells of each finding as it comes, one at a time;
// an error of found ends it and is returned. progress counts rows, and may be
// nil. An error means that not everything was looked at; ErrBusy that another
// run is under way.
func (c *Checker) Run(ctx context.Context, found func(CheckFinding) error, progress Progress) (CheckResult, error) {
	if !c.running.TryLock() {
		return CheckResult{}, fmt.Errorf("a check is under way already: %w", ErrBusy)
	}
	defer c.running.Unlock()
	r := &checkRun{Checker: c, pools: map[PoolRef]Pool{}, tell: found}
	for _, p := range c.clusters.Pools() {
		r.pools[p.PoolRef] = p
	}
	err := r.allRows(ctx, progress)
	for _, p := range c.clusters.Pools() {
		if err == nil {
			err = r.allEntries(ctx, p.PoolRef)
		}
		if err == nil {
			err = r.allNames(ctx, p)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.res, errors.Join(r.err, err)
}

// add tells of findings.
func (r *checkRun) add(found ...CheckFinding) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range found {
		if f.Kind == CheckLog && r.logTold {
			continue // of one damage every disk's history would tell
		}
		r.logTold = r.logTold || f.Kind == CheckLog
		if f.Severity == SeverityFault {
			r.res.Faults++
		} else {
			r.res.Warns++
		}
		if r.err == nil {
			r.err = r.tell(f)
		}
	}
}

func (r *checkRun) count(n *uint64, by int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	*n += uint64(by)
}

// stopped is why the run must not go on.
func (r *checkRun) stopped(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return r.err
	}
	return ctx.Err()
}

// each looks at n things, some at once.
func (r *checkRun) each(ctx context.Context, n int, look func(i int)) error {
	if err := inParallel(ctx, r.cfg.Workers, n, look); err != nil {
		return err
	}
	return r.stopped(ctx)
}

// accuse looks at a disk again, under its lock, and tells what is still wrong.
// An act that does not end soon explains what was seen.
func (r *checkRun) accuse(ctx context.Context, id string, look func(ctx context.Context) []CheckFinding) {
	waiting, cancel := context.WithTimeout(ctx, r.cfg.Patience)
	unlock, err := r.ledger.lock(waiting, id)
	cancel()
	if err != nil {
		if ctx.Err() == nil {
			r.count(&r.res.Busy, 1)
		}
		return
	}
	var found []CheckFinding
	func() {
		defer unlock()
		found = look(ctx)
	}()
	if ctx.Err() != nil {
		return // what an ended context makes of a look is no finding
	}
	r.add(found...)
}

// allRows looks at every row.
func (r *checkRun) allRows(ctx context.Context, progress Progress) error {
	totals, err := r.rows.Totals(ctx)
	if err != nil {
		return fmt.Errorf("count the disks: %w", err)
	}
	var total uint64
	for _, t := range totals {
		total += uint64(t.Disks)
	}
	for after := ""; ; {
		page, err := r.rows.DisksAfter(ctx, after, checkPage)
		if err != nil {
			return fmt.Errorf("read the catalog: %w", err)
		}
		err = r.each(ctx, len(page), func(i int) {
			if len(r.lookAtRow(ctx, page[i])) == 0 {
				return
			}
			r.accuse(ctx, page[i].ID, func(ctx context.Context) []CheckFinding {
				d, err := r.ledger.disks.Disk(ctx, page[i].ID)
				switch {
				case errors.Is(err, ErrNotFound):
					return nil // forgotten since, by a rebuild or because it was found
				case err != nil:
					return []CheckFinding{unreadable(page[i].Key, err)}
				}
				return r.lookAtRow(ctx, d)
			})
		})
		if err != nil {
			return err
		}
		r.count(&r.res.Rows, len(page))
		if progress != nil && total > 0 {
			progress(min(r.res.Rows, total), total)
		}
		if len(page) < checkPage {
			return nil
		}
		after = page[len(page)-1].ID
	}
}

// allEntries looks for a row of each of the pool's trash entries.
func (r *checkRun) allEntries(ctx context.Context, ref PoolRef) error {
	rows := &stubs{disks: r.ledger.disks, pool: ref, size: stubPage, states: States()}
	err := r.trash.EachTrash(ctx, ref, func(page []TrashEntry) error {
		var without []Key
		for _, e := range page {
			row, err := skipTo(ctx, rows, e.Key.ImageID)
			if err != nil {
				return err
			}
			if row == nil && e.Name != CanaryName && r.settled(e.DeletedAt) {
				without = append(without, e.Key)
			}
		}
		r.count(&r.res.Entries, len(page))
		return r.each(ctx, len(without), func(i int) {
			key := without[i]
			r.accuse(ctx, key.DiskID(), func(ctx context.Context) []CheckFinding { return r.lookAtEntry(ctx, key) })
		})
	})
	if err != nil {
		return fmt.Errorf("compare the trash of %s with the catalog: %w", ref, err)
	}
	return nil
}

// skipTo returns the row of the image id, or nil.
func skipTo(ctx context.Context, rows *stubs, imageID string) (*DiskStub, error) {
	for {
		row, err := rows.next(ctx)
		switch {
		case err != nil || row == nil || row.ImageID > imageID:
			return nil, err
		case row.ImageID == imageID:
			return row, nil
		}
		rows.take()
	}
}

// settled reports whether an adoption of what died then should be over.
func (r *checkRun) settled(died time.Time) bool {
	return !r.ledger.clock().Before(died.Add(r.cfg.Settle))
}

// lookAtEntry looks at an entry of the trash that had no row.
func (r *checkRun) lookAtEntry(ctx context.Context, key Key) []CheckFinding {
	_, err := r.ledger.disks.Disk(ctx, key.DiskID())
	switch {
	case err == nil:
		return nil // it has one now
	case !errors.Is(err, ErrNotFound):
		return []CheckFinding{unreadable(key, err)}
	}
	// Before the entry, which Ceph removes after the image.
	there, err := r.images.HasImage(ctx, key)
	if err != nil {
		return []CheckFinding{unreadable(key, err)}
	}
	e, err := r.trash.FindInTrash(ctx, key)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil
	case err != nil:
		return []CheckFinding{unreadable(key, err)}
	case !there:
		return r.hollow(ctx, key, e)
	}
	if strings.HasPrefix(e.Name, RestorePrefix) {
		if left, known := r.leftover(ctx, key, e.Name); known {
			return left
		}
	}
	return []CheckFinding{CheckNotAdopted.of(key,
		fmt.Sprintf("%q is in the trash since %s, and the catalog does not know it", e.Name, e.DeletedAt.UTC().Format(time.RFC3339)), nextReconcile)}
}

// hollow looks at an entry of the trash that has no row and no image.
func (r *checkRun) hollow(ctx context.Context, key Key, e TrashEntry) []CheckFinding {
	what := fmt.Sprintf("%q is in the trash since %s, and the catalog does not know it; its image is gone", e.Name, e.DeletedAt.UTC().Format(time.RFC3339))
	if !e.Removing {
		return []CheckFinding{CheckHollowEntry.of(key, what+", and not by a removal of Ceph's: its data may be there", fmt.Sprintf(nextHeader, key.ImageID))}
	}
	if strings.HasPrefix(e.Name, RestorePrefix) {
		switch left, err := r.ledger.nameLeft(ctx, r.images, key, strings.TrimSuffix(e.Name, discardSuffix)); {
		case err != nil:
			return []CheckFinding{unreadable(key, err)}
		case left:
			return []CheckFinding{CheckUnfinished.of(key, fmt.Sprintf("the removal of %q, which a restore left behind, was cut short", e.Name), nextCollect)}
		}
	}
	return []CheckFinding{CheckHollowEntry.of(key, what+": a removal was cut short before its last step", fmt.Sprintf(nextHollow, key.PoolRef(), key.ImageID))}
}

// allNames looks for what explains each live image under a name of this
// service's own.
func (r *checkRun) allNames(ctx context.Context, pool Pool) error {
	prefixes := []string{ReservedPrefix, RestorePrefix}
	if pool.Evidence {
		prefixes = append(prefixes, CopyPrefix)
	}
	for _, prefix := range prefixes {
		live, err := r.images.LiveImages(ctx, pool.PoolRef, prefix)
		if err != nil {
			return fmt.Errorf("list the live images %s… of %s: %w", prefix, pool.PoolRef, err)
		}
		type image struct {
			name string
			key  Key
		}
		var all []image
		for name, id := range live {
			if name != CanaryName {
				all = append(all, image{name, pool.Key(id)})
			}
		}
		err = r.each(ctx, len(all), func(i int) {
			im := all[i]
			if len(r.lookAtName(ctx, im.key, im.name)) == 0 {
				return
			}
			// The lock of who acts on it: of a copy that is being made, the original's.
			id := im.key.DiskID()
			if of, ok := strings.CutPrefix(im.name, CopyPrefix); ok {
				id = of
			}
			r.accuse(ctx, id, func(ctx context.Context) []CheckFinding { return r.lookAtName(ctx, im.key, im.name) })
		})
		if err != nil {
			return err
		}
		r.count(&r.res.Names, len(all))
	}
	return nil
}

// What to do about a finding.
const (
	nextReconcile = "quarantinectl run reconcile"
	nextCollect   = "quarantinectl run collect"
	nextIsolate   = "quarantinectl run isolate"
	nextHollow    = "rbd trash rm --force %s/%s"
	nextHeader    = "ask who did that, and look for objects rbd_data.%s.* before anybody removes the entry: this service does not"
	nextUnknown   = "rbd rm it, if nobody wants it: this service removes nothing that it does not know"
	nextLook      = "quarantinectl show %s, and ask who did that: this service did not"
)

func unreadable(key Key, err error) CheckFinding {
	return CheckUnreadable.of(key, err.Error(), "check again when Ceph and the catalog answer")
}
