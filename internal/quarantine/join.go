package quarantine

import (
	"cmp"
	"slices"
	"time"
)

// ClockSkew is how far the clocks of a cloud's hosts and of the Ceph clients
// may differ, and how long after its end event an act may still be removing.
const ClockSkew = time.Minute

// Join says which Deletion explains which disk, for disks that all bore one
// name. It is a pure function of the two sets, so that it gives the same answer
// in whatever order events and disks arrived, and may be asked again whenever
// either set grows.
//
// Each Deletion explains at most one disk of a name in a pool (an image name is
// borne by one image at a time), and each disk has at most one Deletion. Of all
// pairs that can be, the nearest in time are taken first. A disk that is not in
// quarantine any more keeps its Deletion.
//
// The result has an entry for each disk that is explained.
func Join(disks []Disk, deletions []Deletion, cloudOf func(PoolRef) string) map[string]*Deletion {
	type pair struct {
		disk     *Disk
		deletion *Deletion
		gap      time.Duration
	}
	type use struct {
		deletion string
		pool     PoolRef
	}
	result := map[string]*Deletion{}
	used := map[use]bool{}
	for i := range disks {
		// The record of a lost disk without an image id is the absence of a
		// disk: it must not keep the disk's arrival from being joined.
		if d := &disks[i]; !d.State.InQuarantine() && d.Deletion != nil && d.Key.ImageID != "" {
			used[use{d.Deletion.ID, d.Key.PoolRef()}] = true
			result[d.ID] = d.Deletion
		}
	}
	var pairs []pair
	for i := range disks {
		d := &disks[i]
		if result[d.ID] != nil || d.State == Lost {
			continue
		}
		pool := d.Key.PoolRef()
		for j := range deletions {
			del := &deletions[j]
			if cloud := cloudOf(pool); cloud != "" && cloud != del.Cloud {
				continue
			}
			if del.refFor(pool, d.OriginalName) == nil {
				continue
			}
			if gap, ok := del.gapTo(d.DeletedAt); ok && !del.before(d.AliveSince) {
				pairs = append(pairs, pair{d, del, gap})
			}
		}
	}
	slices.SortFunc(pairs, func(a, b pair) int {
		return cmp.Or(cmp.Compare(lastResort(a.deletion), lastResort(b.deletion)), cmp.Compare(a.gap, b.gap), cmp.Compare(a.disk.ID, b.disk.ID), cmp.Compare(a.deletion.ID, b.deletion.ID))
	})
	for _, p := range pairs {
		u := use{p.deletion.ID, p.disk.Key.PoolRef()}
		if result[p.disk.ID] == nil && !used[u] {
			result[p.disk.ID] = p.deletion
			used[u] = true
		}
	}
	return result
}

// lastResort is 1 for a Deletion that by itself destroys nothing: a soft delete
// explains a disk only where no other report does.
func lastResort(d *Deletion) int {
	if d.Kind == KindSoftDelete {
		return 1
	}
	return 0
}

// refFor is the most exact reference of the Deletion to an image of that name
// in that pool, or nil.
func (d *Deletion) refFor(pool PoolRef, name string) *DiskRef {
	var found *DiskRef
	for i := range d.Disks {
		r := &d.Disks[i]
		if r.Matches(pool, name) && (found == nil || (found.Prefix && !r.Prefix)) {
			found = r
		}
	}
	return found
}

// gapTo is how far the death of a disk at that time is from the Deletion, and
// whether the Deletion can have caused it at all. A cause does not come after
// its effect (but for ClockSkew), so a disk that died before the first sign
// counts its gap ten times.
func (d *Deletion) gapTo(death time.Time) (time.Duration, bool) {
	gap, ok := d.gapToSigns(death)
	// Names of an OpenStack or OpenNebula are used once. Elsewhere ("slot1")
	// they come again, and an old report must not explain a later machine.
	if timeless := d.StartedAt.IsZero() && d.EndedAt.IsZero(); gap > MaxGap && (timeless || d.CloudType == CloudGeneric) {
		return 0, false
	}
	return gap, ok
}

// before reports whether all that is known of the Deletion happened before the
// time; it did not before no time.
func (d *Deletion) before(t time.Time) bool {
	last := d.ReceivedAt
	for _, sign := range []time.Time{d.StartedAt, d.EndedAt} {
		if !sign.IsZero() {
			last = sign
		}
	}
	return !t.IsZero() && last.Before(t)
}

// MaxGap is how far the death of a disk may be from a report whose cloud uses
// names again, or that says no time.
const MaxGap = 24 * time.Hour

func (d *Deletion) gapToSigns(death time.Time) (time.Duration, bool) {
	if d.livesOn() && !d.EndedAt.IsZero() && death.After(d.EndedAt.Add(ClockSkew)) {
		return 0, false
	}
	cause := d.StartedAt
	switch {
	case cause.IsZero() && d.EndedAt.IsZero():
		// A report without times: a hook may be called before the removal, or
		// after it.
		return death.Sub(d.ReceivedAt).Abs(), true
	case cause.IsZero():
		// Only the end is known: the death was before it.
		if death.After(d.EndedAt.Add(ClockSkew)) {
			return 0, false
		}
		return death.Sub(d.EndedAt).Abs(), true
	}
	gap := death.Sub(cause)
	switch {
	case gap >= -time.Second: // the trash counts whole seconds
		return gap.Abs(), true
	case gap >= -ClockSkew:
		return 10 * -gap, true
	}
	return 0, false
}

// livesOn reports whether the resource goes on living after the act, so that
// later deaths under the same name have another cause.
func (d *Deletion) livesOn() bool {
	switch d.Kind {
	case KindRebuild, KindShelveOffload, KindResize, KindUnrescue, KindRecreate, KindDiskDetach:
		return true
	}
	return false
}
