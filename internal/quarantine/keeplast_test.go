package quarantine_test

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"quarantine/internal/quarantine"
)

// dies makes a disk of a VM of that name and project die.
func (w *world) dies(name, project string) quarantine.Disk {
	w.t.Helper()
	image := fmt.Sprintf("disk-%d", len(w.disks()))
	del := w.deleteOf(quarantine.KindDelete, "")
	del.ID, del.ResourceID = quarantine.DeletionID("os", quarantine.KindDelete, image, ""), image
	del.ResourceName, del.Project = name, quarantine.Principal{ID: project}
	del.StartedAt, del.EndedAt = w.now(), w.now()
	del.Disks = []quarantine.DiskRef{{Pool: "vms", Name: image}}
	key := w.create(vms, image)
	w.record(del)
	w.remove(key)
	return w.adopt(key)
}

// settle runs passes until nothing changes any more.
func (w *world) settle() {
	for range 3 {
		w.collector.Run(w.ctx, "cron", quarantine.JobOptions{})
		w.pass(grace)
	}
	w.collector.Run(w.ctx, "cron", quarantine.JobOptions{})
}

// Of any history, exactly the last N of each group are kept beyond their time, and
// nothing goes before it: keeping the last only lengthens. A disk of which it is
// not known whose it was is in no group. What a simulation says of the same policy
// is the same.
func TestTheLastOfAKindAreKept(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t)
		keep := quarantine.KeepLast{N: rapid.IntRange(1, 3).Draw(rt, "n"), By: rapid.SampledFrom([]string{quarantine.KeepByVM, quarantine.KeepByProject}).Draw(rt, "by")}
		dec := quarantine.Decision{Rule: "r", Retain: 5 * day, KeepLast: keep}
		w.policy.use(dec)
		from := w.now()
		var all []quarantine.Disk
		for i := range rapid.IntRange(1, 10).Draw(rt, "disks") {
			w.pass(time.Duration(rapid.IntRange(0, 60).Draw(rt, fmt.Sprint("after", i))) * time.Hour)
			name := rapid.SampledFrom([]string{"web", "db", ""}).Draw(rt, fmt.Sprint("name", i))
			all = append(all, w.dies(name, rapid.SampledFrom([]string{"p", "q", ""}).Draw(rt, fmt.Sprint("project", i))))
			if rapid.Bool().Draw(rt, fmt.Sprint("pass", i)) {
				w.collector.Run(w.ctx, "cron", quarantine.JobOptions{})
			}
			for _, d := range all {
				if is := w.disk(d.Key); is.State == quarantine.Purged && is.PurgedAt.Before(d.RetainUntil) {
					rt.Fatalf("%s was purged at %s, and was to be kept until %s", d.OriginalName, is.PurgedAt, d.RetainUntil)
				}
			}
		}
		// Long after all are due.
		for range 7 {
			w.pass(day)
		}
		w.settle()
		groups := map[string][]quarantine.Disk{}
		for _, d := range all {
			g := d.Deletion.Project.ID
			if keep.By == quarantine.KeepByVM {
				g += "/" + d.Deletion.ResourceName
			}
			if d.Deletion.Project.ID == "" || keep.By == quarantine.KeepByVM && d.Deletion.ResourceName == "" {
				g = ""
			}
			groups[g] = append(groups[g], d)
		}
		last := 0
		for g, disks := range groups {
			slices.SortFunc(disks, func(a, b quarantine.Disk) int {
				return cmp.Or(b.DeletedAt.Compare(a.DeletedAt), cmp.Compare(b.ID, a.ID))
			})
			for i, d := range disks {
				want := quarantine.Purged
				if g != "" && i < keep.N {
					want = quarantine.Quarantined
					last++
				}
				if is := w.disk(d.Key); is.State != want {
					rt.Fatalf("%s, the %dth newest of %q, is %s, want %s", d.OriginalName, i+1, g, is.State, want)
				}
			}
		}
		points := w.simulate(always{dec}, quarantine.SimulationOptions{From: from, To: w.now(), Step: 12 * time.Hour}).Points
		if end := points[len(points)-1]; end.Now.Disks != int64(last) || end.Then.Disks != int64(last) {
			rt.Fatalf("%d are kept, and the simulation says %+v", last, end)
		}
	})
}

// A disk that is expiring when the newer ones leave is one of the last again, and
// is taken back; a person may have one go early all the same.
func TestOneOfTheLastIsTakenBack(t *testing.T) {
	w := newWorld(t)
	w.policy.use(quarantine.Decision{Rule: "r", Retain: 5 * day, KeepLast: quarantine.KeepLast{N: 1, By: quarantine.KeepByVM}})
	old := w.dies("web", "p")
	w.pass(day)
	newer := w.dies("web", "p")
	w.pass(5 * day)
	w.collect()
	w.is(old.Key, quarantine.Expiring)
	w.is(newer.Key, quarantine.Quarantined)
	if _, err := w.restorer.InPlace(w.ctx, "carol", newer.ID, "needed"); err != nil {
		t.Fatal(err)
	}
	w.settle()
	w.is(old.Key, quarantine.Quarantined)
	w.nothingRemoved()
	// Nor does the loss of the catalog bring the mark back, or a record and a policy
	// without the promise take it away.
	d := w.disk(old.Key)
	d.Decision.KeepLast = quarantine.KeepLast{}
	w.writeRecord(d)
	w.policy.use(quarantine.Decision{Rule: "r", Retain: 5 * day})
	w.rebuild()
	w.settle()
	w.nothingRemoved()
	w.is(old.Key, quarantine.Quarantined)
	if _, err := w.collector.ExpireEarly(w.ctx, "dave", old.ID, "enough"); err != nil {
		t.Fatal(err)
	}
	w.settle()
	w.removedOnce(old.Key)
}

// writeRecord writes a record on the disk's image, as whoever has the cloud's key
// can.
func (w *world) writeRecord(d quarantine.Disk) {
	w.t.Helper()
	b, err := quarantine.EncodeRecord(d)
	if err != nil {
		w.t.Fatalf("write a record: %v", err)
	}
	img, err := w.ceph.OpenImage(w.ctx, d.Key)
	if err != nil {
		w.t.Fatalf("write a record: %v", err)
	}
	defer img.Close()
	if err := img.WriteRecord(w.ctx, b); err != nil {
		w.t.Fatalf("write a record: %v", err)
	}
}
