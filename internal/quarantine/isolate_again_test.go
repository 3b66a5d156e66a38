package quarantine_test

import (
	"errors"
	"testing"

	"quarantine/internal/quarantine"
)

// Who asks for a copy after an earlier one was purged gets another, and until then
// the original is not purged. A policy's wish was fulfilled by the first.
func TestCopyThatIsGoneIsNone(t *testing.T) {
	w := newWorld(t)
	w.evidencePool()
	w.isolates()
	key := w.quarantined()
	w.isolate()
	c := w.copyOf(key)
	if _, err := w.collector.ExpireEarly(w.ctx, "dave", c.DiskID(), "enough"); err != nil {
		t.Fatal(err)
	}
	w.pass(grace)
	w.collect()
	w.is(c, quarantine.Purged)
	if rep := w.isolate(); len(rep.Items) != 0 {
		t.Errorf("what people had purged is made again: %+v", rep.Items)
	}
	is := w.isolator(quarantine.IsolateConfig{})
	if pool, err := is.Preview(w.ctx, key.DiskID()); err != nil || pool != evidence {
		t.Errorf("%v, %v", pool, err)
	}
	// Its making is cut short, and its original's time is over.
	w.proc.points, w.proc.at = nil, 0
	w.ceph.FailNext("CreateImage", 1, errors.New("full"))
	if _, err := is.Isolate(w.ctx, "carol", key.DiskID(), "after all", nil); err == nil {
		t.Fatal("copied into a full pool")
	}
	w.pass(retain)
	w.collect()
	w.pass(grace)
	w.collector.Run(w.ctx, "cron", quarantine.JobOptions{})
	w.is(key, quarantine.Expiring)
	w.isolate()
	w.copyOf(key)
}

// A daemon that died inside the making of the copy's image, and has left its name
// without an image, is no hindrance: the next run copies, and nothing is left.
func TestCopyAfterACreateThatWasCutShort(t *testing.T) {
	w := newWorld(t)
	w.evidencePool()
	w.isolates()
	key := w.quarantined()
	if _, err := w.ceph.CloudCreateCut(evidence, quarantine.CopyPrefix+key.DiskID()); err != nil {
		t.Fatal(err)
	}
	if found := w.check(); len(found) != 1 || found[0].Kind != quarantine.CheckUnfinished {
		t.Errorf("before, a check finds %+v", found)
	}
	if rep := w.isolate(); rep.Failed() != 0 || len(rep.Items) != 1 {
		t.Errorf("%+v", rep.Items)
	}
	w.copyOf(key)
	w.sound("after the copy")
}

// The copy of a disk that was evicted is not on its way out, and its record says
// nothing else: a check finds that they agree.
func TestCopyOfAnEvictedDisk(t *testing.T) {
	w := newWorld(t)
	w.evidencePool()
	w.isolates()
	key := w.quarantined()
	w.alter(key, func(d *quarantine.Disk) {
		d.State, d.ExpiringAt = quarantine.Expiring, w.now()
		d.EarlyBy, d.EarlyReason = quarantine.EarlyByCapacity, "pool vms is too full"
	})
	w.forgeRecord(key, func(*quarantine.Disk) {})
	w.isolate()
	c := w.copyOf(key)
	if on, err := w.recordOn(c); err != nil || on.EarlyBy != "" || on.EarlyReason != "" {
		t.Errorf("the record says %q, %q, %v", on.EarlyBy, on.EarlyReason, err)
	}
	w.sound("after the copy")
}
