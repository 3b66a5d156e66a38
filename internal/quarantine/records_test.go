package quarantine_test

import (
	"fmt"
	"testing"
	"time"

	"quarantine/internal/quarantine"
)

// A run renews the records of many disks, also behind more than a page of those that
// cannot be renewed; a dry run tells of them and renews none.
func TestManyOldRecords(t *testing.T) {
	w := newWorld(t)
	const failing = 1001 // a page, and one
	for i := range failing + 1 {
		w.jump(time.Second)
		w.alter(w.stray(fmt.Sprint("disk-", i)), func(d *quarantine.Disk) { d.RecordStale = true })
	}
	old := func() (n int) {
		for _, d := range w.disks() {
			if d.RecordStale {
				n++
			}
		}
		return n
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
	if all, failed := records(quarantine.JobOptions{DryRun: true}); all != failing+1 || failed != 0 || old() != failing+1 {
		t.Errorf("dry: %d, %d failed, %d are old", all, failed, old())
	}
	w.ceph.FailNext("WriteRecord", failing, fmt.Errorf("no answer: %w", quarantine.ErrUnavailable))
	if all, failed := records(quarantine.JobOptions{}); all != failing+1 || failed != failing || old() != failing {
		t.Errorf("%d, %d failed, %d are old", all, failed, old())
	}
	if all, failed := records(quarantine.JobOptions{}); all != failing || failed != 0 || old() != 0 {
		t.Errorf("again: %d, %d failed, %d are old", all, failed, old())
	}
}
