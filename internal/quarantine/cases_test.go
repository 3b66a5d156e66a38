package quarantine_test

import (
	"errors"
	"testing"

	"quarantine/internal/quarantine"
)

// A hold for a case that nobody has opened opens it; one for a closed case opens it
// again. A case with holds is closed only with their release, standing ones too.
func TestCases(t *testing.T) {
	w := newWorld(t)
	one, two := w.quarantined(), w.stray("two")
	for _, key := range []quarantine.Key{one, two} {
		if _, err := w.cases.Hold(w.ctx, "carol", key.DiskID(), "case-9", "an incident"); err != nil {
			t.Fatal(err)
		}
	}
	w.stand(quarantine.StandingCloud, "os")
	c, err := w.cases.ShowCase(w.ctx, "case-9")
	if err != nil || c.Title != "an incident" || c.OpenedBy != "carol" || c.Disks != 2 || len(c.Standing) != 1 || !c.Open() {
		t.Fatalf("%+v, %v", c, err)
	}
	if _, err := w.cases.OpenCase(w.ctx, "carol", quarantine.Case{ID: "case-9", Title: "t"}); !errors.Is(err, quarantine.ErrExists) {
		t.Errorf("opened twice: %v", err)
	}
	edited, err := w.cases.EditCase(w.ctx, "dave", quarantine.Case{ID: "case-9", Title: "a theft", People: []string{"ann"}, Deadline: t0.Add(day)})
	if err != nil || edited.Title != "a theft" || edited.OpenedBy != "carol" || edited.Overdue(t0) || !edited.Overdue(t0.Add(day)) {
		t.Errorf("%+v, %v", edited, err)
	}
	_, err = w.cases.CloseCase(w.ctx, "dave", "case-9", "over", false)
	w.refused("closed with holds", err)
	closed, err := w.cases.CloseCase(w.ctx, "dave", "case-9", "over", true)
	if err != nil || closed.Open() || closed.ClosedBy != "dave" {
		t.Fatalf("%+v, %v", closed, err)
	}
	for _, key := range []quarantine.Key{one, two, w.stray("three")} {
		if d := w.disk(key); d.Held() {
			t.Errorf("%s is held", key)
		}
	}
	_, err = w.cases.CloseCase(w.ctx, "dave", "case-9", "over", true)
	w.refused("closed twice", err)
	if _, err := w.cases.Hold(w.ctx, "carol", one.DiskID(), "case-9", "after all"); err != nil {
		t.Fatal(err)
	}
	if c, err := w.cases.ShowCase(w.ctx, "case-9"); err != nil || !c.Open() || c.Title != "a theft" || c.Disks != 1 {
		t.Errorf("%+v, %v", c, err)
	}
	for _, err := range []error{
		func() error { _, err := w.cases.ShowCase(w.ctx, "none"); return err }(),
		func() error {
			_, err := w.cases.EditCase(w.ctx, "a", quarantine.Case{ID: "none", Title: "t"})
			return err
		}(),
		func() error { _, err := w.cases.CloseCase(w.ctx, "a", "none", "r", false); return err }(),
	} {
		if !errors.Is(err, quarantine.ErrNotFound) {
			t.Errorf("%v", err)
		}
	}
	if _, err := w.cases.OpenCase(w.ctx, "carol", quarantine.Case{ID: " ", Title: "t"}); !errors.Is(err, quarantine.ErrInvalid) {
		t.Errorf("no id: %v", err)
	}
}
