package quarantine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// discardNote remembers that this service itself has something removed that a
// restore has made, so that it is not missed. It stands under the name of the
// resource in the cloud, and of the image.
type discardNote struct {
	// From is when it began; zero: it came to nothing, and the note is void.
	From time.Time `json:"from,omitzero"`
	// Until is when it was done; zero: it is not known whether it was.
	Until time.Time `json:"until,omitzero"`
}

// discardedMark names the note of a resource of a cloud.
func discardedMark(cloud string, kind ResourceKind, id string) string {
	return "discarded/" + cloud + "/" + string(kind) + "/" + id
}

// discardedImage names the note of an image.
func discardedImage(key Key) string { return "discarded-image/" + key.DiskID() }

// covers reports whether a removal between these times was this service's own.
// A resource that could not be removed, or was removed later, was somebody's.
func (n discardNote) covers(first, last time.Time) bool {
	return n.endedAfter(first) && !last.Before(n.From.Add(-ClockSkew))
}

// endedAfter reports whether there was such a removal, and whether it may have
// gone on at that time or later. What was seen alive after it was removed by
// somebody else.
func (n discardNote) endedAfter(at time.Time) bool {
	if n.From.IsZero() {
		return false
	}
	until := n.Until
	if until.IsZero() {
		until = n.From.Add(leftoverAge)
	}
	return !at.After(until.Add(ClockSkew))
}

// noted performs a removal with a note of it, which is there before anything
// is removed, and is made void when the removal fails.
func noted(ctx context.Context, marks Marks, clock Clock, name string, act func() error) error {
	n := discardNote{From: clock().UTC()}
	if err := setNote(ctx, marks, name, n); err != nil {
		return err
	}
	err := act()
	if err != nil {
		return errors.Join(err, setNote(ctx, marks, name, discardNote{}))
	}
	n.Until = clock().UTC()
	// Without its end the note serves for leftoverAge; what was removed is no
	// failure for that.
	_ = setNote(ctx, marks, name, n)
	return nil
}

func setNote(ctx context.Context, marks Marks, name string, n discardNote) error {
	b, err := json.Marshal(n)
	if err != nil {
		return fmt.Errorf("encode the note %s: %w", name, err)
	}
	if err := marks.SetMark(ctx, name, b); err != nil {
		return fmt.Errorf("write the note %s: %w", name, err)
	}
	return nil
}

// noteOf reads a note; the zero one where there is none.
func noteOf(ctx context.Context, marks Marks, name string) (discardNote, error) {
	var n discardNote
	if marks == nil {
		return n, nil
	}
	b, err := marks.Mark(ctx, name)
	if errors.Is(err, ErrNotFound) {
		return n, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &n)
	}
	if err != nil {
		return discardNote{}, fmt.Errorf("read the note %s: %w", name, err)
	}
	return n, nil
}

// discarded reports whether the Deletion is of a resource that a restore has
// made and deleted.
func discarded(ctx context.Context, marks Marks, del *Deletion) (bool, error) {
	n, err := noteOf(ctx, marks, discardedMark(del.Cloud, del.ResourceKind, del.ResourceID))
	return err == nil && n.covers(del.FirstSign(), del.LastSign()), err
}
