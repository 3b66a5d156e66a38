package quarantine_test

import (
	"errors"
	"testing"

	"quarantine/internal/quarantine"
)

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
