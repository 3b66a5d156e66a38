package quarantine_test

import (
	"errors"
	"strings"
	"testing"

	"quarantine/internal/quarantine"
)

// lose loses the catalog and starts again.
func (w *world) lose() {
	w.t.Helper()
	w.store.lose()
	w.obs.forget()
	w.restart()
	w.reconcile()
}

// A catalog that is lost comes back from the images with everything that is
// known of each disk: state, dates, holds, and whose it was, without a word
// from the cloud.
func TestImportBringsEverythingBack(t *testing.T) {
	for _, cloudType := range []string{quarantine.CloudOpenStack, quarantine.CloudGeneric} {
		w := newWorld(t)
		key := w.create(vms, diskName)
		del := w.deleteOf(quarantine.KindDelete, "req-1")
		del.CloudType = cloudType
		w.record(del)
		w.remove(key)
		w.adopt(key)
		w.hold(key, "case-1")
		w.pass(day)
		before := w.disk(key)
		w.lose()
		after := w.disk(key)
		before.Version, after.Version = 0, 0
		before.UsedBytes = after.UsedBytes // measured again
		sameDisk(t, after, before)
	}
}

// Where the custody log is lost too, the record is all there is: the disk is
// kept at least as long as it says, with its holds and its identity.
func TestImportWithoutCustody(t *testing.T) {
	for name, lose := range map[string]func(*custody){
		"lost":       func(c *custody) { c.entries = nil },
		"unreadable": func(c *custody) { c.unreadable = errors.New("the chain does not hold") },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			key := w.expiring()
			before := w.disk(key)
			lose(w.custody)
			w.lose()
			d := w.is(key, quarantine.Quarantined) // nobody but the record says that it was expiring
			if d.RetainUntil.Before(before.RetainUntil) || d.Deletion == nil || d.Deletion.ID != before.Deletion.ID {
				t.Errorf("was %+v, is %+v", before, d)
			}
			w.pass(grace)
			w.collect()
			w.nothingRemoved()
		})
	}
}

// A record of a newer program is not guessed at, and not written over.
func TestImportOfANewerRecord(t *testing.T) {
	w := newWorld(t)
	key := w.quarantined()
	newer := strings.Replace(w.recordOf(key), `"version":1`, `"version":2`, 1)
	w.ceph.SetMeta(key, quarantine.RecordKey, newer)
	w.store.lose()
	w.obs.forget()
	w.restart()
	if _, err := w.adopter.Adopt(w.ctx, w.entry(key), quarantine.CaptureGuard); !errors.Is(err, quarantine.ErrRefused) {
		t.Errorf("%v", err)
	}
	if w.recordOf(key) != newer {
		t.Error("the record was written over")
	}
}

// recordOf is the record on the image.
func (w *world) recordOf(key quarantine.Key) string {
	w.t.Helper()
	img, err := w.ceph.OpenImage(w.ctx, key)
	if err != nil {
		w.t.Fatalf("open: %v", err)
	}
	defer img.Close()
	return string(img.Info().Record)
}
