package quarantine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// RunJob is the cron job "clouds": it looks through each cloud once. A cloud
// that does not answer is reported, and the others go on.
func (q *Inquirer) RunJob(ctx context.Context, actor string, o JobOptions) Report {
	w := &run{rep: Report{Job: JobClouds, DryRun: o.DryRun, Actor: actor, StartedAt: q.cfg.Clock().UTC(), Items: []ReportItem{}}}
	for _, cloud := range q.cfg.Clouds {
		v := &visit{q: q, cloud: cloud, w: w, dry: o.DryRun, began: q.cfg.Clock().UTC(), alive: map[resource]bool{}}
		if err := v.all(ctx); err != nil {
			if ctx.Err() != nil {
				w.rep.Stopped = err.Error()
				break
			}
			w.add(ReportItem{Name: cloud.Name(), Act: "ask", Error: err.Error()})
		}
	}
	if !o.DryRun && w.rep.Stopped == "" && q.cfg.Keep > 0 {
		if _, err := q.cfg.Inventory.ForgetSightings(ctx, q.cfg.Clock().Add(-q.cfg.Keep)); err != nil {
			w.rep.Stopped = fmt.Sprintf("forget what was seen long ago: %v", err)
		}
	}
	w.rep.EndedAt = q.cfg.Clock().UTC()
	return w.rep
}

// resource names a resource of one cloud.
type resource struct {
	kind ResourceKind
	id   string
}

func resourceOf(d *Deletion) resource { return resource{d.ResourceKind, d.ResourceID} }

// visit is one look through one cloud.
type visit struct {
	q     *Inquirer
	cloud CloudReader
	w     *run
	dry   bool
	began time.Time
	// alive is what the cloud's listing has; names are the live images of its
	// pools, by name.
	alive map[resource]bool
	names map[string]PoolRef
}

// all takes every step that it can. The ones that conclude something from what
// is not there need the whole stock; the others do not wait for a cloud that
// cannot be listed.
func (v *visit) all(ctx context.Context) error {
	steps := func(of ...func(context.Context) error) error {
		for _, step := range of {
			if err := step(ctx); err != nil {
				return err
			}
		}
		return nil
	}
	err := errors.Join(steps(v.lookAtPools, v.living), v.dead(ctx))
	if err == nil {
		err = steps(v.vanished, v.explain, v.orphans)
	}
	if v.dry {
		return err
	}
	return errors.Join(err, v.q.complete(ctx, v.cloud, func(*Deletion) bool { return true }))
}

// lookAtPools reads the names of the live images in the cloud's pools.
func (v *visit) lookAtPools(ctx context.Context) error {
	v.names = map[string]PoolRef{}
	for _, pool := range v.q.poolsOf(v.cloud.Name()) {
		live, err := v.q.images.LiveImages(ctx, pool.PoolRef, "")
		if err != nil {
			return fmt.Errorf("list the images of %s: %w", pool.PoolRef, err)
		}
		for name := range live {
			v.names[name] = pool.PoolRef
		}
	}
	return nil
}

// poolsOf are the pools that may hold the cloud's disks.
func (q *Inquirer) poolsOf(cloud string) []Pool {
	var out []Pool
	for _, p := range q.clusters.Pools() {
		if p.Cloud == "" || p.Cloud == cloud {
			out = append(out, p)
		}
	}
	return out
}

// living takes stock. A disk that is seen in the pools is required when its
// resource dies: that it existed is then a fact, whatever the cloud's back end.
func (v *visit) living(ctx context.Context) error {
	var batch []Sighting
	flush := func() error {
		if v.dry || len(batch) == 0 {
			return nil
		}
		err := v.q.cfg.Inventory.See(ctx, batch)
		batch = batch[:0]
		if err != nil {
			return fmt.Errorf("keep what %s has: %w", v.cloud.Name(), err)
		}
		return nil
	}
	err := v.cloud.Living(ctx, func(d Deletion) error {
		v.alive[resourceOf(&d)] = true
		for i, ref := range d.Disks {
			if _, live := v.names[ref.Name]; live {
				d.Disks[i].Required = true
			}
		}
		if batch = append(batch, Sighting{SeenAt: v.began, Deletion: d}); len(batch) == inquiryPage {
			return flush()
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("list what %s has: %w", v.cloud.Name(), err)
	}
	return flush()
}

// dead records what the cloud itself says was deleted. That is a report like
// any other.
func (v *visit) dead(ctx context.Context) error {
	mark := "clouds/" + v.cloud.Name() + "/dead"
	since, err := v.q.since(ctx, mark)
	if err != nil {
		return err
	}
	err = v.cloud.Dead(ctx, since, func(d Deletion) error {
		d, known, err := v.q.known(ctx, d)
		if err != nil {
			return err
		}
		if !known {
			v.w.add(ReportItem{Name: d.ResourceID, Act: "learn", Reason: "the cloud says that this " + string(d.ResourceKind) + " was deleted, and no event told"})
		}
		if v.dry {
			return nil
		}
		if err := v.q.recorder.Record(ctx, []Deletion{d}); err != nil {
			return err
		}
		return v.markDead(ctx, d)
	})
	if err != nil {
		return fmt.Errorf("ask %s for what was deleted since %s: %w", v.cloud.Name(), since.Format(time.RFC3339), err)
	}
	if v.dry {
		return nil
	}
	if err := v.q.cfg.Marks.SetMark(ctx, mark, []byte(v.began.Format(time.RFC3339))); err != nil {
		return fmt.Errorf("keep the time of this look: %w", err)
	}
	return nil
}

// since is how far a look for the dead goes back.
func (q *Inquirer) since(ctx context.Context, mark string) (time.Time, error) {
	b, err := q.cfg.Marks.Mark(ctx, mark)
	if errors.Is(err, ErrNotFound) {
		return q.cfg.Clock().UTC().Add(-q.cfg.Lookback), nil
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("read the time of the last look: %w", err)
	}
	last, err := time.Parse(time.RFC3339, string(b))
	if err != nil {
		return time.Time{}, fmt.Errorf("read the time of the last look: %w: %w", ErrInvalid, err)
	}
	return last.Add(-overlap), nil
}

// known joins the Deletion with what was reported of it before, if anything,
// fills in the rest from its last sighting, and reports whether it was recorded
// before. What an event said comes first: the sighting is older.
func (q *Inquirer) known(ctx context.Context, d Deletion) (Deletion, bool, error) {
	report, err := q.deletions.Deletion(ctx, d.ID)
	recorded := err == nil
	switch {
	case recorded:
		d = Merge(report, d)
	case !errors.Is(err, ErrNotFound):
		return d, false, fmt.Errorf("look for deletion %s: %w", d.ID, err)
	}
	d, err = q.withSighting(ctx, d)
	return d, recorded, err
}

func (v *visit) markDead(ctx context.Context, d Deletion) error {
	err := v.q.cfg.Inventory.MarkDead(ctx, d.Cloud, d.ResourceKind, d.ResourceID)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("mark %s %s as dead: %w", d.ResourceKind, d.ResourceID, err)
	}
	return nil
}

// vanished goes through what was seen once and is not in the listing any more,
// nor among the dead that the cloud told of: volumes and images, whose deletion
// Cinder and Glance forget. It is learnt, and nothing is seized on its word: a
// listing leaves things out for other reasons too (a role that was taken away).
func (v *visit) vanished(ctx context.Context) error {
	gone, err := v.q.cfg.Inventory.Vanished(ctx, v.cloud.Name(), v.began, 0)
	if err != nil {
		return fmt.Errorf("find what is gone from %s: %w", v.cloud.Name(), err)
	}
	for _, s := range gone {
		if v.alive[resourceOf(&s.Deletion)] || v.stillLive(s.Deletion) {
			continue // it lives, or its disk does: an orphan, not a death
		}
		d, ours, err := v.deathOf(ctx, s)
		if err != nil {
			return err
		}
		if v.dry {
			continue
		}
		if ours {
			if err := v.q.recorder.Learn(ctx, []Deletion{d}); err != nil {
				return err
			}
		}
		if err := v.markDead(ctx, s.Deletion); err != nil {
			return err
		}
	}
	return nil
}

// deathOf is the death of what has vanished, and whether anything of it was in
// the pools. If no event told of it, it was between the last sighting and now.
func (v *visit) deathOf(ctx context.Context, s Sighting) (d Deletion, ours bool, err error) {
	report, err := v.q.deletions.Deletion(ctx, s.Deletion.ID)
	if err == nil {
		d, err = v.q.fill(ctx, report, s, report.FirstSign())
		return d, true, err
	}
	if !errors.Is(err, ErrNotFound) {
		return d, false, fmt.Errorf("look for deletion %s: %w", s.Deletion.ID, err)
	}
	d, err = v.q.stillRequired(ctx, s)
	if err != nil || !slices.ContainsFunc(d.Disks, func(r DiskRef) bool { return r.Required }) {
		return d, false, err
	}
	d.ServerID, err = v.q.diedWith(ctx, d, v.began)
	d.StartedAt, d.EndedAt = s.SeenAt, v.began
	v.w.add(ReportItem{Name: d.ResourceID, Act: "learn", Reason: "this " + string(d.ResourceKind) + " is gone from the cloud, and no event told; it was seen last at " + s.SeenAt.UTC().Format(time.RFC3339)})
	return d, true, err
}

// stillLive reports whether an image of the resource is live in the pools.
func (v *visit) stillLive(d Deletion) bool {
	return slices.ContainsFunc(d.Disks, func(r DiskRef) bool {
		_, live := v.names[r.Name]
		return live
	})
}

// explain asks the cloud about disks that no event has explained.
func (v *visit) explain(ctx context.Context) error {
	// All of them first: who is explained is not selected any more.
	type unexplained struct {
		disk    Disk
		suspect Deletion
	}
	var ask []unexplained
	asked := map[resource]bool{}
	err := eachDisk(ctx, v.q.disks, DiskFilter{Unexplained: true, States: []State{Pending, Quarantined, Expiring}}, func(d *Disk) error {
		pool := v.q.recorder.pool(d.Key.PoolRef())
		if pool.Cloud != "" && pool.Cloud != v.cloud.Name() || v.began.Sub(d.QuarantinedAt) > v.q.cfg.Lookback {
			return nil
		}
		suspect, ok := v.cloud.Suspect(d.OriginalName)
		if ok && !asked[resourceOf(&suspect)] {
			asked[resourceOf(&suspect)] = true
			ask = append(ask, unexplained{*d, suspect})
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("find the unexplained disks: %w", err)
	}
	r := v.q.round()
	for _, u := range ask {
		if !r.try(u.suspect.ID, func() error { return v.explainOne(ctx, u.disk, u.suspect) }) || ctx.Err() != nil {
			break
		}
	}
	return r.err()
}

func (v *visit) explainOne(ctx context.Context, disk Disk, suspect Deletion) error {
	found, err := v.suspects(ctx, suspect)
	if err != nil || len(found) == 0 {
		return err
	}
	v.w.add(ReportItem{Disk: disk.ID, Pool: disk.Key.PoolRef().String(), Name: disk.OriginalName, Act: "explain", Reason: "the cloud knows what became of " + string(suspect.ResourceKind) + " " + suspect.ResourceID})
	if v.dry {
		return nil
	}
	return v.q.recorder.Learn(ctx, found)
}

// suspects are the acts that may have destroyed an image of the resource.
func (v *visit) suspects(ctx context.Context, d Deletion) ([]Deletion, error) {
	acts, err := v.cloud.Acts(ctx, d.ResourceKind, d.ResourceID)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, fmt.Errorf("ask %s what was done to %s %s: %w", v.cloud.Name(), d.ResourceKind, d.ResourceID, err)
	}
	if v.alive[resourceOf(&d)] || len(acts) > 0 {
		for i := range acts {
			if acts[i], err = v.q.withSighting(ctx, timely(acts[i], acts[i], v.began)); err != nil {
				return nil, err
			}
		}
		return acts, nil // of what lives, its name alone says nothing
	}
	more, err := v.cloud.Complete(ctx, d)
	known := err == nil
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, fmt.Errorf("ask %s about %s %s: %w", v.cloud.Name(), d.ResourceKind, d.ResourceID, err)
	}
	if known {
		if more.StartedAt.IsZero() && more.EndedAt.IsZero() {
			return nil, nil // it came after the listing, and lives
		}
		d = Merge(d, more)
	}
	s, err := v.q.cfg.Inventory.Sighting(ctx, d.Cloud, d.ResourceKind, d.ResourceID)
	switch {
	case err == nil:
		if s.Deletion.ServerID, err = v.q.diedWith(ctx, s.Deletion, v.began); err != nil {
			return nil, err
		}
		if d = fillIn(d, s.Deletion); d.StartedAt.IsZero() && d.EndedAt.IsZero() {
			d.StartedAt = s.SeenAt
		}
		known = true
	case !errors.Is(err, ErrNotFound):
		return nil, fmt.Errorf("look for the last sighting of %s %s: %w", d.ResourceKind, d.ResourceID, err)
	}
	if !known {
		return nil, nil
	}
	return []Deletion{d}, nil
}

// Orphan is a live image of a resource that the cloud does not have.
type Orphan struct {
	Pool         string       `json:"pool"`
	Name         string       `json:"name"`
	ResourceKind ResourceKind `json:"resource_kind"`
	ResourceID   string       `json:"resource_id"`
	// Reason says since when the resource is gone, where that is known.
	Reason string `json:"reason"`
}

// Orphans are those that the last run found.
type Orphans struct {
	At   time.Time `json:"at"`
	List []Orphan  `json:"list"`
}

// maxOrphans bounds the list that is kept.
const maxOrphans = 1000

// orphans finds the live images whose resource the cloud's listing does not
// have. They are told of, and left alone.
func (v *visit) orphans(ctx context.Context) error {
	found := Orphans{At: v.began, List: []Orphan{}}
	for name, pool := range v.names {
		d, ok := v.cloud.Suspect(name)
		// Cinder itself keeps a deleted volume that has clones, as …deleted.
		if !ok || v.alive[resourceOf(&d)] || strings.HasSuffix(name, ".deleted") {
			continue
		}
		o := Orphan{Pool: pool.String(), Name: name, ResourceKind: d.ResourceKind, ResourceID: d.ResourceID, Reason: "the cloud has no such " + string(d.ResourceKind)}
		del, err := v.q.deletions.Deletion(ctx, d.ID)
		switch {
		case err == nil && v.began.Sub(del.FirstSign()) < overlap:
			continue // its deletion is under way
		case err == nil:
			o.Reason = "its " + string(d.ResourceKind) + " was deleted at " + del.FirstSign().UTC().Format(time.RFC3339)
		case !errors.Is(err, ErrNotFound):
			return fmt.Errorf("look for deletion %s: %w", d.ID, err)
		}
		found.List = append(found.List, o)
	}
	slices.SortFunc(found.List, func(a, b Orphan) int { return strings.Compare(a.Pool+"/"+a.Name, b.Pool+"/"+b.Name) })
	for _, o := range found.List {
		v.w.add(ReportItem{Pool: o.Pool, Name: o.Name, Act: "orphan", Reason: o.Reason})
	}
	if v.dry {
		return nil
	}
	b, err := json.Marshal(Orphans{found.At, found.List[:min(len(found.List), maxOrphans)]})
	if err != nil {
		return fmt.Errorf("encode the orphans: %w", err)
	}
	if err := v.q.cfg.Marks.SetMark(ctx, orphansMark(v.cloud.Name()), b); err != nil {
		return fmt.Errorf("keep the orphans: %w", err)
	}
	return nil
}

func orphansMark(cloud string) string { return "clouds/" + cloud + "/orphans" }
