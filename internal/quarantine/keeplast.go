package quarantine

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// The groups of which a policy can keep the last disks.
const (
	KeepByVM      = "vm"
	KeepByProject = "project"
)

// Group selects the disks of one project of a cloud, and with a Resource those of
// the VMs (or volumes) of that name in it. What no event explains is in no group.
type Group struct {
	Cloud     string
	ProjectID string
	Resource  string
}

// groupOf is the group that the disk is one of, for the last of a kind; false if
// it is not known whose it was, or by vm what its name was.
func groupOf(d *Disk, by string) (Group, bool) {
	del := d.Deletion
	if del == nil || del.Project.ID == "" {
		return Group{}, false
	}
	g := Group{Cloud: del.Cloud, ProjectID: del.Project.ID}
	if by == KeepByVM {
		g.Resource = del.ResourceName
		return g, g.Resource != ""
	}
	return g, by == KeepByProject
}

// errLastOfKind is why a disk whose time is over does not go.
var errLastOfKind = errors.New("it is one of the last of its kind")

// lastOfKind returns an errLastOfKind while the disk's decision keeps it as one of
// the newest N of its group, by the time of their death, and else nil. It counts
// those that stay: what is expiring or being purged is on its way out, and would
// else take the place of an older disk and then be gone as well.
//
// Who is one of the newest N has fewer than N newer ones, of which none that is
// kept for the same reason goes; so it does not matter in which order, or how many
// at once, the disks of a group are looked at. It only lengthens: where it is
// asked, the disk's time is over. Who was let go early, by people or for want of
// room, is not asked for; but once its time is over, what was evicted is as any
// other, because nobody looks any more whether there is room for it again.
func (l *Ledger) lastOfKind(ctx context.Context, d *Disk) error {
	keep := d.Decision.KeepLast
	if keep.N <= 0 || d.EarlyBy != "" && !(d.EarlyBy == EarlyByCapacity && d.over(l.clock())) {
		return nil
	}
	g, ok := groupOf(d, keep.By)
	if !ok {
		return nil
	}
	// One more than N, because the disk itself may be among them, and as many
	// isolated copies, which are not others of the kind.
	newest, err := l.disks.FindDisks(ctx, DiskFilter{
		Group: &g, States: []State{Pending, Quarantined, Restoring}, DeletedFrom: d.DeletedAt, Sort: "deleted_at", Desc: true, Limit: 2 * (keep.N + 1),
	})
	if err != nil {
		return fmt.Errorf("find the last of the kind of disk %s: %w", d.ID, err)
	}
	newer := 0
	for i := range newest {
		if n := &newest[i]; n.ID != d.ID && n.CopyOf == nil && !isCopyOf(d, n) && (n.DeletedAt.After(d.DeletedAt) || n.ID > d.ID) {
			newer++
		}
	}
	if newer >= keep.N {
		return nil
	}
	return fmt.Errorf("disk %s: %w: %w: rule %q keeps the last %d by %s", d.ID, ErrRefused, errLastOfKind, d.Decision.Rule, keep.N, keep.By)
}

// isCopyOf reports whether c is an isolated copy of d.
func isCopyOf(c, d *Disk) bool { return c.CopyOf != nil && c.CopyOf.Disk == d.ID }

// reprieve takes back the mark of a disk that became one of the last of its kind
// while it was expiring, because newer ones went.
func (c *Collector) reprieve(ctx context.Context, d Disk, actor string, why error) error {
	d, err := c.ledger.move(ctx, d, Quarantined, Entry{Act: "kept", Actor: actor, Reason: why.Error()}, nil)
	if err != nil {
		return err
	}
	c.ledger.softSync(ctx, d)
	return why
}

// displaced is when the disk is not among the last of its kind any more, by the
// deaths that the catalog knows: that of the Nth newer one of its group; forever
// if there is none yet, and the zero time if the decision keeps no last ones of
// its group. Whether the newer ones stay is not looked at.
func displaced(ctx context.Context, disks Disks, d *Disk, keep KeepLast) (time.Time, error) {
	g, ok := groupOf(d, keep.By)
	if keep.N <= 0 || !ok {
		return time.Time{}, nil
	}
	// Few are not counted, as a rule.
	for _, limit := range []int{keep.N + fewTies, keep.N + maxTies} {
		newer, err := disks.FindDisks(ctx, DiskFilter{
			Group: &g, States: []State{Pending, Quarantined, Expiring, Purging, Purged, Restoring, Restored}, DeletedFrom: d.DeletedAt, Sort: "deleted_at", Limit: limit,
		})
		if err != nil {
			return time.Time{}, fmt.Errorf("find the last of the kind of disk %s: %w", d.ID, err)
		}
		n := 0
		for i := range newer {
			if other := &newer[i]; other.ID == d.ID || other.CopyOf != nil || isCopyOf(d, other) || !other.DeletedAt.After(d.DeletedAt) && other.ID < d.ID {
				continue
			}
			if n++; n == keep.N {
				return newer[i].DeletedAt, nil
			}
		}
		if len(newer) < limit {
			break
		}
	}
	return forever, nil
}

// fewTies and maxTies are how many disks of a group that died in one second, or are
// copies, displaced reads beyond those that it counts: at first, and at most.
const (
	fewTies = 2
	maxTies = 64
)
