package quarantine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// sealMark is where the round of the seals goes on.
const sealMark = "seals/round"

// sealRound is a place in the disks by their time of death: those that died at
// the time and were looked at are Done.
type sealRound struct {
	From time.Time `json:"from"`
	Done int       `json:"done"`
}

// seals looks at the next of the seals, a bounded number in each run, and at all
// those that are known to be broken and could not be taken again. It is what
// finds a seal that was removed without the monitors' knowledge, by writing to
// the image's header: the watch sees only what goes through them.
func (r *Reconciler) seals(ctx context.Context, w *run, dry bool) error {
	if r.cfg.Snapshots == nil || r.cfg.Marks == nil || dry {
		return nil
	}
	no := false
	broken, err := r.ledger.disks.FindDisks(ctx, DiskFilter{SealBroken: true, Sealed: &no, States: []State{Quarantined, Expiring}})
	if err != nil {
		return fmt.Errorf("find the disks without a seal: %w", err)
	}
	if err := r.lookAtSeals(ctx, w, broken); err != nil {
		return err
	}
	var at sealRound
	b, err := r.cfg.Marks.Mark(ctx, sealMark)
	if err == nil {
		err = json.Unmarshal(b, &at)
	}
	if err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("read where the round of the seals is: %w", err)
	}
	if at, err = r.someSeals(ctx, w, at, r.cfg.SealsAtOnce); err != nil {
		return err
	}
	if b, err = json.Marshal(at); err != nil {
		return fmt.Errorf("encode where the round of the seals is: %w", err)
	}
	if err := r.cfg.Marks.SetMark(ctx, sealMark, b); err != nil {
		return fmt.Errorf("keep where the round of the seals is: %w", err)
	}
	return nil
}

// allSeals looks at every seal.
func (r *Reconciler) allSeals(ctx context.Context) error {
	var w run
	for at := (sealRound{}); ; {
		next, err := r.someSeals(ctx, &w, at, 1000)
		if err != nil || next == (sealRound{}) {
			return err
		}
		at = next
	}
}

// someSeals looks at up to n seals from the place on, and returns where to go
// on: the beginning, when the end is reached.
func (r *Reconciler) someSeals(ctx context.Context, w *run, at sealRound, n int) (sealRound, error) {
	disks, err := r.ledger.disks.FindDisks(ctx, DiskFilter{
		States: []State{Quarantined, Expiring}, DeletedFrom: at.From, Limit: n, Offset: at.Done,
	})
	if err != nil {
		return at, fmt.Errorf("find the seals to look at: %w", err)
	}
	if err := r.lookAtSeals(ctx, w, disks); err != nil {
		return at, err
	}
	if len(disks) < n {
		return sealRound{}, nil
	}
	for _, d := range disks {
		if !d.DeletedAt.Equal(at.From) {
			at = sealRound{From: d.DeletedAt}
		}
		at.Done++
	}
	return at, nil
}

func (r *Reconciler) lookAtSeals(ctx context.Context, w *run, disks []Disk) error {
	return inParallel(ctx, r.cfg.Workers, len(disks), func(i int) {
		d := &disks[i]
		act, reason, err := r.checkSeal(ctx, d.ID, 0)
		if act == "" && err == nil {
			return
		}
		it := ReportItem{Disk: d.ID, Pool: d.Key.PoolRef().String(), Name: d.OriginalName, Act: act, Reason: reason}
		if err != nil {
			it.Error = err.Error()
		}
		w.add(it)
	})
}
