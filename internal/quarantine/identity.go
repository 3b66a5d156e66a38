package quarantine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// identity joins disks with Deletions and asks the policy. Adopter and
// Recorder share it, because either side may come first.
type identity struct {
	ledger    *Ledger
	deletions Deletions
	policy    Policy
	clusters  Clusters
}

// cloudOf returns the cloud that a pool belongs to, or "" if the pool may hold
// disks of any.
func (j *identity) cloudOf(p PoolRef) string { return j.pool(p).Cloud }

func (j *identity) pool(p PoolRef) Pool {
	for _, pool := range j.clusters.Pools() {
		if pool.PoolRef == p {
			return pool
		}
	}
	return Pool{PoolRef: p}
}

// explain returns the Deletion of a disk that is not in the catalog yet, or
// nil.
func (j *identity) explain(ctx context.Context, d Disk) (*Deletion, error) {
	result, _, err := j.group(ctx, d.OriginalName, &d)
	if err != nil {
		return nil, err
	}
	return result[d.ID], nil
}

// group joins all disks that bore the name, with extra among them.
func (j *identity) group(ctx context.Context, name string, extra *Disk) (map[string]*Deletion, []Disk, error) {
	deletions, err := j.deletions.DeletionsOf(ctx, JoinKeys(name))
	if err != nil {
		return nil, nil, fmt.Errorf("find the deletions of %q: %w", name, err)
	}
	disks, err := j.ledger.disks.FindDisks(ctx, DiskFilter{OriginalNames: []string{name}})
	if err != nil {
		return nil, nil, fmt.Errorf("find the disks named %q: %w", name, err)
	}
	if extra != nil {
		kept := disks[:0]
		for _, d := range disks {
			if d.ID != extra.ID {
				kept = append(kept, d)
			}
		}
		disks = append(kept, *extra)
	}
	return joinWithCopies(disks, deletions, j.cloudOf), disks, nil
}

// joinWithCopies is Join, in which the copies of a disk (isolate) have no death
// of their own: they have the Deletion of their original, and the one that they
// had while the catalog does not know it.
func joinWithCopies(disks []Disk, deletions []Deletion, cloudOf func(PoolRef) string) map[string]*Deletion {
	originals := slices.DeleteFunc(slices.Clone(disks), func(d Disk) bool { return d.CopyOf != nil })
	result := Join(originals, deletions, cloudOf)
	for _, d := range disks {
		if d.CopyOf == nil {
			continue
		}
		result[d.ID] = result[d.CopyOf.Disk]
		if !slices.ContainsFunc(originals, func(o Disk) bool { return o.ID == d.CopyOf.Disk }) {
			result[d.ID] = d.Deletion
		}
	}
	return result
}

// decide asks the policy about the disk as it is known now, and sets what
// follows from it. retain-until only grows, and so does what protects the disk: an
// identity that comes late, or a policy that changed, never takes back what was
// promised.
func (j *identity) decide(d *Disk, now time.Time) {
	dec := j.policy.Decide(FactsOf(*d, j.pool(d.Key.PoolRef())))
	switch until := promise(d, dec); {
	case d.Shortened.covers(dec, until, promise(d, Decision{Retain: dec.Min})):
		dec.Reason += cutShortBy(d.Shortened)
	case until.After(d.RetainUntil):
		d.RetainUntil = until
	case until.Before(d.RetainUntil):
		dec.Reason += "; an earlier promise keeps it longer, until " + d.RetainUntil.UTC().Format(time.RFC3339)
	}
	d.Decision = dec.atLeast(d.Decision)
	d.placePolicyHold(dec, now)
}

// byPolicy begins the By of a hold that a policy placed.
const byPolicy = "policy:"

// promise is until when a decision keeps the disk. It is counted from the later
// of death and capture: a client's wrong clock, or a disk that lay in the trash
// before its pool was in our care, must not make it expire the moment it is
// adopted.
func promise(d *Disk, dec Decision) time.Time {
	from := d.DeletedAt
	if d.QuarantinedAt.After(from) {
		from = d.QuarantinedAt
	}
	return from.Add(dec.Retain).UTC().Truncate(time.Second)
}

// FactsOf is what a policy sees of a disk in that pool.
func FactsOf(d Disk, pool Pool) Facts {
	f := Facts{
		Deletion: d.Deletion, Pool: pool.PoolRef, Cluster: pool.Cluster, Cloud: pool.Cloud,
		OriginalName: d.OriginalName, Role: d.Role, SizeBytes: d.SizeBytes, Capture: d.Capture, DeletedAt: d.DeletedAt,
	}
	if d.Deletion != nil {
		f.Cloud = d.Deletion.Cloud
	}
	return f
}

// withDeletion sets the Deletion and the role that it gives the disk.
func (j *identity) withDeletion(d *Disk, del *Deletion) {
	d.Deletion = del
	if del == nil {
		return
	}
	if ref := del.refFor(d.Key.PoolRef(), d.OriginalName); ref != nil && ref.Role != "" {
		d.Role = ref.Role
	}
}

// rejoin recomputes the Deletions of all disks that bore the name and updates
// those whose Deletion is another one, or says more, than before. It returns
// the disks it changed.
func (j *identity) rejoin(ctx context.Context, name string) ([]Disk, error) {
	result, disks, err := j.group(ctx, name, nil)
	if err != nil {
		return nil, err
	}
	var changed []Disk
	for _, d := range disks {
		want := result[d.ID]
		if !d.State.InQuarantine() || sameDeletion(d.Deletion, want) {
			continue
		}
		saved, err := j.rejoinOne(ctx, d.ID, want)
		if err != nil {
			return changed, err
		}
		changed = append(changed, saved)
	}
	return changed, nil
}

func sameDeletion(a, b *Deletion) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Equal(*b)
}

func (j *identity) rejoinOne(ctx context.Context, id string, want *Deletion) (Disk, error) {
	l := j.ledger
	unlock, err := l.lock(ctx, id)
	if err != nil {
		return Disk{}, err
	}
	defer unlock()
	d, err := l.disks.Disk(ctx, id)
	if err != nil {
		return Disk{}, fmt.Errorf("read disk %s: %w", id, err)
	}
	return j.rejoinLocked(ctx, d, want)
}

// rejoinLocked is rejoinOne for a disk whose lock the caller holds.
func (j *identity) rejoinLocked(ctx context.Context, d Disk, want *Deletion) (Disk, error) {
	l := j.ledger
	var err error
	// A purge that has begun is not turned round by a name: the row keeps what
	// the decision to purge was based on.
	if !d.State.InQuarantine() || d.State == Purging || sameDeletion(d.Deletion, want) {
		return d, nil
	}
	now := l.clock()
	entry := Entry{Act: "join", Actor: "recorder", Reason: "no deletion explains it any more"}
	if want != nil {
		entry.Reason = string(want.Kind) + " of " + string(want.ResourceKind) + " " + want.ResourceID
		entry.Detail = joinDetail(d.Deletion, want)
	}
	var held []Entry
	change := func(n *Disk) {
		j.withDeletion(n, want)
		j.decide(n, now)
		held = j.holdBy(ctx, n, now)
		n.RecordStale = true
	}
	if d.State == Expiring {
		preview := d
		change(&preview)
		// One that was evicted may be somebody else's now: the next pass decides anew.
		if !due(&preview, now) || preview.EarlyBy == EarlyByCapacity && preview.RetainUntil.After(now) {
			entry.Detail = promised(&preview, entry.Detail)
			d, err = l.move(ctx, d, Quarantined, entry, change)
			if err != nil {
				return d, err
			}
			l.noteAll(ctx, d, held)
			return l.softSync(ctx, d), nil
		}
	}
	next := d
	change(&next)
	saved, err := l.disks.PutDisk(ctx, next)
	if err != nil {
		return d, fmt.Errorf("disk %s: write its deletion: %w", d.ID, err)
	}
	entry.Detail = promised(&saved, entry.Detail)
	l.note(ctx, saved, entry)
	l.noteAll(ctx, saved, held)
	l.log.Info("disk joined", "disk", saved.ID, "deletion", saved.DeletionID(), "rule", saved.Decision.Rule, "retain_until", saved.RetainUntil)
	if saved.State == Pending || saved.State == Restoring {
		return saved, nil // its record is written when it is sealed, or by the reconciler
	}
	return l.softSync(ctx, saved), nil
}

// joinDetail says whose the disk is now, and where that differs whose it was
// before: a report that comes later may say more, or something else, and the
// custody log tells who believed what when.
func joinDetail(was, is *Deletion) map[string]string {
	detail := map[string]string{detailDeletion: is.ID}
	if was == nil {
		was = &Deletion{}
	}
	for _, f := range []struct{ name, was, is string }{
		{"vm", was.ResourceID, is.ResourceID}, {"project", was.Project.ID, is.Project.ID},
		{"user", was.User.ID, is.User.ID}, {"deleter", was.Deleter.ID, is.Deleter.ID},
	} {
		if f.is != "" {
			detail[f.name] = f.is
		}
		if f.was != "" && f.was != f.is {
			detail[f.name+"_before"] = f.was
		}
	}
	return detail
}

// resolveLost removes the lost records that the disk's appearance disproves.
func (j *identity) resolveLost(ctx context.Context, d Disk) error {
	if d.Deletion == nil {
		return nil
	}
	for _, ref := range d.Deletion.Disks {
		if !ref.Required || !ref.Matches(d.Key.PoolRef(), d.OriginalName) {
			continue
		}
		if err := j.dropLost(ctx, d, lostID(d.Deletion.ID, ref.Name), Entry{Act: "found", Actor: "adopter", Reason: arrivedAfterAll}); err != nil {
			return err
		}
	}
	return nil
}

const arrivedAfterAll = "the disk arrived after all"

// dropLost removes a lost record without an image id, in favour of d, and notes
// why.
func (j *identity) dropLost(ctx context.Context, d Disk, id string, why Entry) error {
	lost, err := j.ledger.disks.Disk(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for a lost record of %s: %w", d.ID, err)
	}
	if lost.State != Lost {
		return nil
	}
	if err := j.ledger.disks.DropLost(ctx, id); err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("close the lost record %s: %w", id, err)
	}
	why.Detail = map[string]string{"disk": d.ID}
	j.ledger.note(ctx, lost, why)
	return nil
}

// lostID is the id of the record of a disk that a Deletion required and that
// was not found. It has no image id, so it is derived from the claim.
func lostID(deletionID, name string) string { return digest("lost", deletionID, name) }
