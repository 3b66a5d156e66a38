package quarantine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Place is where a parent image is.
type Place string

// The places.
const (
	PlaceLive  Place = "live"
	PlaceTrash Place = "trash"
	PlaceGone  Place = "gone" // nowhere: somebody flattened its clones
	// PlaceUnknown: it could not be looked for (ParentImage.Fault).
	PlaceUnknown Place = "unknown"
)

// ParentImage is an image on which disks in quarantine stand.
type ParentImage struct {
	Key  Key    `json:"key"`
	Name string `json:"name"`
	// Where it is now; Fault is why that is unknown.
	Where Place  `json:"where"`
	Fault string `json:"fault,omitempty"`
	// Disk and State are set where the parent is a disk in quarantine itself.
	Disk  string `json:"disk,omitempty"`
	State State  `json:"state,omitempty"`
	// Blocked: somebody wants it gone, and the children keep it. Why says it.
	Blocked bool   `json:"blocked"`
	Why     string `json:"why,omitempty"`
	// CopyBytes is what a flatten of all its children would copy, as far as it
	// was measured; Unmeasured counts the children of which it was not.
	CopyBytes  int64 `json:"copy_bytes"`
	Unmeasured int   `json:"unmeasured"`
	// Children are the disks that stand on it, by id.
	Children []ParentChild `json:"children"`
}

// ParentChild is a disk that stands on a parent.
type ParentChild struct {
	ID           string `json:"id"`
	OriginalName string `json:"original_name"`
	ResourceName string `json:"resource_name"` // of its VM or volume; "" while unexplained
	Pool         string `json:"pool"`          // or pool/namespace
	State        State  `json:"state"`
	Snapshot     string `json:"snapshot"` // of the parent
	SizeBytes    int64  `json:"size_bytes"`
	// CopyBytes is what a flatten would copy; -1 until measured.
	CopyBytes   int64     `json:"copy_bytes"`
	RetainUntil time.Time `json:"retain_until"`
	// Holds are the case ids of the open holds.
	Holds []string `json:"holds"`
	// Flatten is what the policy of today says, Refused why it cannot be done.
	Flatten FlattenRule `json:"flatten"`
	Refused string      `json:"refused,omitempty"`
}

// Parents lists every image on which disks in quarantine stand, those first
// that are blocked, then by pool and name. No child is opened: of those it tells
// what the catalog knows. A parent that cannot be looked for is listed with its
// fault.
//
// Blocked are: a live image whose deletion was reported, or whose snapshot
// somebody has removed already (clone format 2 allows that); one in the trash
// that nobody keeps; and one in quarantine whose own time is over. Of a delete
// that the image service refused (Glance: 409) with clones of format 1 nothing
// can be seen from here.
func (f *Flattener) Parents(ctx context.Context) ([]ParentImage, error) {
	byKey := map[Key]*ParentImage{}
	err := eachDisk(ctx, f.ledger.disks, DiskFilter{States: []State{Pending, Quarantined, Expiring, Purging, Restoring}}, func(d *Disk) error {
		if !d.Pins() {
			return nil
		}
		p := byKey[d.Parent.Key]
		if p == nil {
			p = &ParentImage{Key: d.Parent.Key, Name: d.Parent.Name}
			byKey[p.Key] = p
		}
		c := f.child(d)
		if c.CopyBytes < 0 {
			p.Unmeasured++
		} else {
			p.CopyBytes += c.CopyBytes
		}
		p.Children = append(p.Children, c)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("find the disks that stand on others: %w", err)
	}
	list := make([]ParentImage, 0, len(byKey))
	for _, p := range byKey {
		slices.SortFunc(p.Children, func(a, b ParentChild) int { return cmp.Compare(a.ID, b.ID) })
		if err := f.locate(ctx, p); err != nil {
			return nil, fmt.Errorf("look at parent %s/%s: %w", p.Key.PoolRef(), p.Name, err)
		}
		list = append(list, *p)
	}
	slices.SortFunc(list, func(a, b ParentImage) int {
		return cmp.Or(-cmp.Compare(bit(a.Blocked), bit(b.Blocked)), cmp.Compare(a.Key.PoolRef().String(), b.Key.PoolRef().String()),
			cmp.Compare(a.Name, b.Name), cmp.Compare(a.Key.FSID, b.Key.FSID), cmp.Compare(a.Key.ImageID, b.Key.ImageID))
	})
	return list, nil
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (f *Flattener) child(d *Disk) ParentChild {
	c := ParentChild{
		ID: d.ID, OriginalName: d.OriginalName, Pool: d.Key.PoolRef().String(), State: d.State, Snapshot: d.Parent.Snapshot,
		SizeBytes: d.SizeBytes, CopyBytes: d.Parent.CopyBytes, RetainUntil: d.RetainUntil, Holds: []string{},
		Flatten: f.ruleOf(*d), Refused: d.Parent.Refused,
	}
	if d.Deletion != nil {
		c.ResourceName = d.Deletion.ResourceName
	}
	for _, h := range d.OpenHolds() {
		c.Holds = append(c.Holds, h.CaseID)
	}
	return c
}

// ruleOf is what the policy of today says about flattening the disk.
func (f *Flattener) ruleOf(d Disk) FlattenRule {
	pool := Pool{PoolRef: d.Key.PoolRef()}
	for _, p := range f.clusters.Pools() {
		if p.PoolRef == pool.PoolRef {
			pool = p
		}
	}
	return cmp.Or(f.policy.Decide(FactsOf(d, pool)).Flatten, FlattenNever)
}

// locate finds out where the parent is, and whether somebody wants it gone.
func (f *Flattener) locate(ctx context.Context, p *ParentImage) error {
	own, err := f.ledger.disks.Disk(ctx, p.Key.DiskID())
	switch {
	case err == nil && own.State.InQuarantine():
		p.Disk, p.State = own.ID, own.State
	case err != nil && !errors.Is(err, ErrNotFound):
		return err
	}
	w, err := f.lineages.Whereabouts(ctx, p.Key, p.Name)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		p.Where, p.Fault = PlaceUnknown, err.Error()
		return nil
	case w.Live:
		p.Where, p.Name = PlaceLive, w.Name
		p.Why, err = f.wantedGone(ctx, p, w)
	case w.InTrash && p.Disk == "":
		p.Where, p.Why = PlaceTrash, "it is in the trash, and nobody keeps it"
	case w.InTrash:
		p.Where = PlaceTrash
		if own.State == Expiring || own.State == Purging {
			p.Why = "its own time in quarantine was over on " + own.ExpiringAt.UTC().Format(time.DateOnly)
		}
	default:
		p.Where = PlaceGone
	}
	p.Blocked = p.Why != ""
	return err
}

// wantedGone is why somebody wants a live parent gone, or "".
func (f *Flattener) wantedGone(ctx context.Context, p *ParentImage, w Whereabouts) (string, error) {
	deletions, err := f.deletions.DeletionsOf(ctx, JoinKeys(p.Name))
	if err != nil {
		return "", fmt.Errorf("find the deletions of %q: %w", p.Name, err)
	}
	for _, del := range deletions {
		if del.Kind != KindImageDelete {
			continue
		}
		for _, ref := range del.Disks {
			if ref.Matches(p.Key.PoolRef(), p.Name) {
				return "its deletion was reported at " + del.ReceivedAt.UTC().Format(time.RFC3339), nil
			}
		}
	}
	if w.SnapshotRemoved {
		return "a snapshot of it was removed while clones stand on it", nil
	}
	return "", nil
}
