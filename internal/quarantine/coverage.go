package quarantine

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// The verdicts of a Coverage.
const (
	VerdictCaptured    = "captured"    // its disk is, or was, in quarantine
	VerdictLost        = "lost"        // its disk is recorded as lost
	VerdictMissed      = "missed"      // its disk is nowhere, and that is not recorded yet
	VerdictWaiting     = "waiting"     // the disk is still live under its name
	VerdictNothing     = "nothing"     // nothing of the cloud's was in the pools
	VerdictUnexplained = "unexplained" // in quarantine, and no cloud knows whose it was
	VerdictOrphaned    = "orphaned"    // a live image of a resource that is gone
)

// Verdict is what became of one disk, or of a resource without one.
type Verdict struct {
	Verdict      string       `json:"verdict"`
	Kind         Kind         `json:"kind,omitempty"`
	ResourceKind ResourceKind `json:"resource_kind,omitempty"`
	ResourceID   string       `json:"resource_id,omitempty"`
	ResourceName string       `json:"resource_name,omitempty"`
	Pool         string       `json:"pool,omitempty"`
	Image        string       `json:"image,omitempty"` // name of the RBD image
	Disk         string       `json:"disk,omitempty"`  // id in the catalog
	At           time.Time    `json:"at,omitzero"`
	Reason       string       `json:"reason,omitempty"`
}

// Coverage is how many of the disks that a cloud's deletions destroyed are in
// quarantine.
type Coverage struct {
	Cloud string    `json:"cloud"`
	From  time.Time `json:"from"`
	To    time.Time `json:"to"`
	// Deletions counts those that events or the cloud's APIs told of.
	Deletions int `json:"deletions"`
	// Captured counts disks in (or through) quarantine, Lost those recorded as
	// lost, Missed those that are nowhere: Captured / (Captured + Lost +
	// Missed) is the coverage.
	Captured    int `json:"captured"`
	Lost        int `json:"lost"`
	Missed      int `json:"missed"`
	Unexplained int `json:"unexplained"` // among the captured
	// Verdicts has an element for everything that is not plainly captured.
	Verdicts []Verdict `json:"verdicts"`
	// OrphansAt is when the pools were searched for orphans last (job clouds);
	// zero if never.
	OrphansAt time.Time `json:"orphans_at,omitzero"`
}

// Percent is the coverage in percent; 100 where no disk died.
func (c *Coverage) Percent() float64 {
	all := c.Captured + c.Lost + c.Missed
	if all == 0 {
		return 100
	}
	return 100 * float64(c.Captured) / float64(all)
}

// Coverage compares what the cloud deleted within [from, to), by its events and
// by its own database, with the catalog, and the pools with what was live in
// them before. It asks the cloud and Ceph now, and changes nothing. It is an
// error if either cannot be asked in full: a coverage that was not computed is
// not 100 %.
func (q *Inquirer) Coverage(ctx context.Context, cloud string, from, to time.Time) (Coverage, error) {
	c := Coverage{Cloud: cloud, From: from.UTC(), To: to.UTC(), Verdicts: []Verdict{}}
	reader, err := q.reader(cloud)
	if err != nil {
		return c, err
	}
	if !q.covering.TryLock() {
		return c, fmt.Errorf("coverage of %s: another one is being computed: %w", cloud, ErrBusy)
	}
	defer q.covering.Unlock()
	if !from.Before(to) {
		return c, invalidf("the period from %s to %s is empty", from.UTC().Format(time.RFC3339), to.UTC().Format(time.RFC3339))
	}
	a := &account{q: q, c: &c, deletions: map[string]Deletion{}, byDeletion: map[string][]Disk{}, earlier: &lives{ledger: q.reconciler.ledger, pools: q.poolsOf(cloud)}}
	for _, step := range []func() error{
		func() error { return a.collect(ctx, reader) },
		func() error { return a.disks(ctx) },
		func() error { return a.missed(ctx) },
		func() error { return a.judge(ctx) },
		func() error { return a.orphans(ctx) },
	} {
		if err := step(); err != nil {
			return c, fmt.Errorf("coverage of %s: %w", cloud, err)
		}
	}
	slices.SortStableFunc(c.Verdicts, func(x, y Verdict) int {
		return cmp.Or(cmp.Compare(verdictRank(x.Verdict), verdictRank(y.Verdict)), x.At.Compare(y.At), cmp.Compare(x.Image, y.Image), cmp.Compare(x.ResourceID, y.ResourceID))
	})
	return c, nil
}

// verdictRank puts the alarming first.
func verdictRank(v string) int {
	return slices.Index([]string{VerdictMissed, VerdictLost, VerdictWaiting, VerdictUnexplained, VerdictOrphaned, VerdictNothing, VerdictCaptured}, v)
}

// reader finds the cloud's API.
func (q *Inquirer) reader(cloud string) (CloudReader, error) {
	for _, r := range q.cfg.Clouds {
		if r.Name() == cloud {
			return r, nil
		}
	}
	return nil, fmt.Errorf("cloud %q with an API: %w", cloud, ErrNotFound)
}

// account is a Coverage in the making.
type account struct {
	q          *Inquirer
	c          *Coverage
	deletions  map[string]Deletion
	byDeletion map[string][]Disk
	// nameless are the disks that no deletion explains: each may be the one that
	// a deletion requires.
	nameless []Disk
	earlier  *lives
}

// collect gathers the deletions of the period, from both sides.
func (a *account) collect(ctx context.Context, reader CloudReader) error {
	recorded, err := a.q.cfg.Inquiries.FindDeletions(ctx, a.c.Cloud, a.c.From, a.c.To)
	if err != nil {
		return fmt.Errorf("read the recorded deletions: %w", err)
	}
	for _, d := range recorded {
		a.deletions[d.ID] = d
	}
	return reader.Dead(ctx, a.c.From, func(d Deletion) error {
		if at := d.LastSign(); at.Before(a.c.From) || !at.Before(a.c.To) {
			return nil
		}
		if _, ok := a.deletions[d.ID]; ok {
			return nil
		}
		d, _, err := a.q.known(ctx, d)
		a.deletions[d.ID] = d
		return err
	})
}

// disks counts the period's disks in the cloud's pools.
func (a *account) disks(ctx context.Context) error {
	count := func(d Disk) {
		if d.Deletion != nil {
			a.byDeletion[d.Deletion.ID] = append(a.byDeletion[d.Deletion.ID], d)
		} else {
			a.nameless = append(a.nameless, d)
		}
		v := verdictOf(d)
		if d.State == Lost {
			v.Verdict, v.Reason = VerdictLost, "it was removed without going through the trash, or never arrived in it"
			a.c.Lost++
			a.c.Verdicts = append(a.c.Verdicts, v)
			return
		}
		a.c.Captured++
		if d.Deletion == nil {
			a.c.Unexplained++
			v.Verdict, v.Reason = VerdictUnexplained, "no event and no cloud tells whose it was"
			a.c.Verdicts = append(a.c.Verdicts, v)
		}
	}
	for _, pool := range a.q.poolsOf(a.c.Cloud) {
		err := eachDisk(ctx, a.q.disks, DiskFilter{Pool: &pool.PoolRef, DeletedFrom: a.c.From, DeletedTo: a.c.To}, func(d *Disk) error {
			if d.Deletion == nil || d.Deletion.Cloud == a.c.Cloud {
				count(*d)
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("read the disks of %s: %w", pool.PoolRef, err)
		}
	}
	// Lost ones that are known by name only have no pool.
	lost, err := a.q.disks.FindDisks(ctx, DiskFilter{States: []State{Lost}, Cloud: a.c.Cloud, DeletedFrom: a.c.From, DeletedTo: a.c.To})
	if err != nil {
		return fmt.Errorf("read the lost disks: %w", err)
	}
	for _, d := range lost {
		if d.Key.ImageID == "" {
			count(d)
		}
	}
	return nil
}

func verdictOf(d Disk) Verdict {
	v := Verdict{Verdict: VerdictCaptured, Pool: d.Key.PoolRef().String(), Image: d.OriginalName, Disk: d.ID, At: d.DeletedAt}
	if del := d.Deletion; del != nil {
		v.Kind, v.ResourceKind, v.ResourceID, v.ResourceName = del.Kind, del.ResourceKind, del.ResourceID, del.ResourceName
	}
	return v
}

// missed looks for images that were live once and are nowhere now.
func (a *account) missed(ctx context.Context) error {
	if a.q.reconciler.cfg.Seen == nil {
		return nil
	}
	for _, pool := range a.q.poolsOf(a.c.Cloud) {
		l, err := a.q.reconciler.lookAt(ctx, pool)
		if err != nil {
			return err
		}
		for _, m := range l.missing {
			// It was removed at some time between its last sighting and now.
			if !m.SeenAt.Before(a.c.To) {
				continue
			}
			a.nameless = append(a.nameless, Disk{
				Key: pool.Key(m.ImageID), OriginalName: m.Name, State: Lost, AliveSince: m.SeenAt.Add(-ClockSkew), DeletedAt: a.q.cfg.Clock(),
			})
			a.c.Missed++
			a.c.Verdicts = append(a.c.Verdicts, Verdict{Verdict: VerdictMissed, Pool: pool.PoolRef.String(), Image: m.Name, At: m.SeenAt.UTC(), Reason: missedReason(m)})
		}
	}
	return nil
}

// judge goes through the deletions: each required disk must be there. Those
// that began later choose first among the disks that no deletion explains,
// because fewer of them can be theirs.
func (a *account) judge(ctx context.Context) error {
	a.c.Deletions = len(a.deletions)
	for _, d := range slices.SortedFunc(maps.Values(a.deletions), func(x, y Deletion) int {
		return cmp.Or(y.FirstSign().Compare(x.FirstSign()), cmp.Compare(x.ID, y.ID))
	}) {
		if err := a.judgeOne(ctx, d); err != nil {
			return err
		}
	}
	return nil
}

func (a *account) judgeOne(ctx context.Context, d Deletion) error {
	v := Verdict{Kind: d.Kind, ResourceKind: d.ResourceKind, ResourceID: d.ResourceID, ResourceName: d.ResourceName, At: d.FirstSign()}
	ours, err := discarded(ctx, a.q.reconciler.cfg.Marks, &d)
	if err != nil {
		return err
	}
	if ours {
		v.Verdict, v.Reason = VerdictNothing, "a restore made it, could not give it to the cloud, and had it deleted"
		a.c.Verdicts = append(a.c.Verdicts, v)
		return nil
	}
	var open []DiskRef
	required := false
	for _, ref := range d.Disks {
		required = required || ref.Required
		if ref.Required && !a.has(d, ref) {
			open = append(open, ref)
		}
	}
	if len(open) > 0 || len(a.byDeletion[d.ID]) == 0 {
		// A disk may have died outside of the period that its deletion is in.
		if err := a.fetch(ctx, d); err != nil {
			return err
		}
	}
	for _, ref := range open {
		if a.has(d, ref) || a.take(&d, ref) {
			continue
		}
		if was, err := a.earlier.endedBy(ctx, &d, ref); err != nil {
			return err
		} else if was {
			continue
		}
		v := v
		v.Image = ref.Name
		where, err := a.q.reconciler.stillLive(ctx, d, ref)
		switch {
		case err != nil:
			return err
		case where != "":
			v.Verdict, v.Pool, v.Reason = VerdictWaiting, where, "the cloud has not removed it yet"
		default:
			v.Verdict, v.Reason = VerdictMissed, "the "+string(d.Kind)+" destroyed it, and it is nowhere"
			a.c.Missed++
		}
		a.c.Verdicts = append(a.c.Verdicts, v)
	}
	if !required && len(a.byDeletion[d.ID]) == 0 {
		v.Verdict, v.Reason = VerdictNothing, "no disk of it was seen in the pools"
		a.c.Verdicts = append(a.c.Verdicts, v)
	}
	return nil
}

// has reports whether the disk is there, lost or not, and explained by the
// deletion.
func (a *account) has(d Deletion, ref DiskRef) bool {
	return slices.ContainsFunc(a.byDeletion[d.ID], func(k Disk) bool {
		return ref.Matches(k.Key.PoolRef(), k.OriginalName) || k.OriginalName == ref.Name
	})
}

// take takes a disk that no deletion explains and that may be the one, so that
// it stands for no other: it is counted already, and nothing says that it is
// another.
func (a *account) take(d *Deletion, ref DiskRef) bool {
	i := slices.IndexFunc(a.nameless, func(k Disk) bool { return d.mayHaveDestroyed(k, ref) })
	if i < 0 {
		return false
	}
	a.nameless = slices.Delete(a.nameless, i, i+1)
	return true
}

// fetch finds the disks of the deletion whenever they died.
func (a *account) fetch(ctx context.Context, d Deletion) error {
	for _, ref := range d.Disks {
		disks, err := a.q.disks.FindDisks(ctx, ref.filter())
		if err != nil {
			return fmt.Errorf("find the disks named %q: %w", ref.Name, err)
		}
		for _, k := range disks {
			if k.DeletionID() == d.ID && !slices.ContainsFunc(a.byDeletion[d.ID], func(o Disk) bool { return o.ID == k.ID }) {
				a.byDeletion[d.ID] = append(a.byDeletion[d.ID], k)
			}
		}
	}
	return nil
}

// orphans adds what the last run of the job found.
func (a *account) orphans(ctx context.Context) error {
	b, err := a.q.cfg.Marks.Mark(ctx, orphansMark(a.c.Cloud))
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the orphans: %w", err)
	}
	var found Orphans
	if err := json.Unmarshal(b, &found); err != nil {
		return fmt.Errorf("read the orphans: %w: %w", ErrInvalid, err)
	}
	a.c.OrphansAt = found.At
	for _, o := range found.List {
		a.c.Verdicts = append(a.c.Verdicts, Verdict{Verdict: VerdictOrphaned, ResourceKind: o.ResourceKind, ResourceID: o.ResourceID, Pool: o.Pool, Image: o.Name, At: found.At, Reason: o.Reason})
	}
	return nil
}
