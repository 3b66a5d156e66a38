package quarantine_test

import (
	"fmt"
	"testing"

	"quarantine/internal/quarantine"
)

// A run renews the records of many disks, also behind more than a page of those that
// cannot be renewed; a dry run tells of them and renews none.
func TestManyOldRecords(t *testing.T) {
	w := newWorld(t)
	w.jump(day)
	key := w.quarantined()
	w.ceph.FailNext("WriteRecord", 1, fmt.Errorf("no answer: %w", quarantine.ErrUnavailable))
	w.hold(key, "C")
	const lost = 1100 // their images are not there
	for i := range lost {
		k := vms.Key(fmt.Sprintf("%x", i))
		d := quarantine.Disk{ID: k.DiskID(), Key: k, OriginalName: fmt.Sprint("disk-", i), State: quarantine.Quarantined, DeletedAt: t0, QuarantinedAt: t0,
			RetainUntil: t0.Add(day), RecordStale: true}
		if _, err := w.store.PutDisk(w.ctx, d); err != nil {
			t.Fatal(err)
		}
	}
	records := func(o quarantine.JobOptions) (all, failed int) {
		for _, it := range w.reconciler.Run(w.ctx, "cron", o).Items {
			if it.Act == "record" {
				all++
				if it.Error != "" {
					failed++
				}
			}
		}
		return all, failed
	}
	if all, failed := records(quarantine.JobOptions{DryRun: true}); all != lost+1 || failed != 0 || !w.disk(key).RecordStale {
		t.Errorf("dry: %d, %d failed", all, failed)
	}
	if all, failed := records(quarantine.JobOptions{}); all != lost+1 || failed != lost || w.disk(key).RecordStale {
		t.Errorf("%d, %d failed; the one that can be renewed is old: %v", all, failed, w.disk(key).RecordStale)
	}
	if on, err := w.recordOn(key); err != nil || !on.Held() {
		t.Errorf("the record: %+v, %v", on.Holds, err)
	}
}
