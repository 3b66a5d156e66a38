package quarantine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Ledger changes disks. It is shared by all services: it serialises the acts
// on one disk, writes the custody log, and holds the one door through which a
// state changes.
type Ledger struct {
	disks   Disks
	images  Images
	custody Custodian
	past    CustodyReader
	clock   Clock
	log     *slog.Logger
	obs     Observer
	steps   Steps
	// standing are the holds on what is yet to be deleted.
	standing *standingCache

	// gate is held for reading by every act and for writing by the rebuild of
	// the catalog, which must see no act half-way.
	gate  sync.RWMutex
	mu    sync.Mutex
	locks map[string]*diskLock
	users map[string]int // disks that are being read (export)
}

type diskLock struct {
	ch   chan struct{}
	refs int
}

// LedgerConfig is what a Ledger is made of. Steps may be nil.
type LedgerConfig struct {
	Disks    Disks
	Images   Images
	Custody  Custodian
	History  CustodyReader
	Clock    Clock
	Log      *slog.Logger
	Observer Observer
	Steps    Steps
	// Standing keeps the standing holds; nil: there are none.
	Standing StandingStore
}

// NewLedger makes the Ledger.
func NewLedger(c LedgerConfig) *Ledger {
	return &Ledger{
		disks: c.Disks, images: c.Images, custody: c.Custody, past: c.History, clock: c.Clock, log: c.Log, obs: c.Observer, steps: c.Steps,
		standing: &standingCache{store: c.Standing, clock: c.Clock},
		locks:    map[string]*diskLock{}, users: map[string]int{},
	}
}

// lock serialises the acts on one disk. It waits for its turn or for ctx.
func (l *Ledger) lock(ctx context.Context, id string) (unlock func(), err error) {
	l.gate.RLock()
	l.mu.Lock()
	dl := l.locks[id]
	if dl == nil {
		dl = &diskLock{ch: make(chan struct{}, 1)}
		l.locks[id] = dl
	}
	dl.refs++
	l.mu.Unlock()
	release := func() {
		l.mu.Lock()
		if dl.refs--; dl.refs == 0 {
			delete(l.locks, id)
		}
		l.mu.Unlock()
		l.gate.RUnlock()
	}
	select {
	case dl.ch <- struct{}{}:
		return func() { <-dl.ch; release() }, nil
	case <-ctx.Done():
		release()
		return nil, fmt.Errorf("wait for disk %s: %w", id, ctx.Err())
	}
}

// use marks the disk as being read until the returned function is called; the
// collector leaves such disks alone.
func (l *Ledger) use(id string) (done func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.users[id]++
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.users[id]--; l.users[id] == 0 {
			delete(l.users, id)
		}
	}
}

// borrow returns the disk, marked as being read until done is called. It waits
// for the act that is under way, so that nobody decides between the mark and
// the state.
func (l *Ledger) borrow(ctx context.Context, id string) (d Disk, done func(), err error) {
	unlock, err := l.lock(ctx, id)
	if err != nil {
		return Disk{}, nil, err
	}
	defer unlock()
	if d, err = l.disks.Disk(ctx, id); err != nil {
		return d, nil, err
	}
	return d, l.use(id), nil
}

func (l *Ledger) inUse(id string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.users[id] > 0
}

// around performs one outside act between its two fault points.
func (l *Ledger) around(point string, act func() error) error {
	if l.steps == nil {
		return act()
	}
	if err := l.steps(point + ".before"); err != nil {
		return err
	}
	if err := act(); err != nil {
		return err
	}
	return l.steps(point + ".after")
}

// move is the one door: the only function that changes a disk's state. It
// refuses what the state machine does not know, commits the row, and tells the
// metric, the log and, for captures, the custody log. change may set other
// fields of the same commit.
func (l *Ledger) move(ctx context.Context, d Disk, to State, e Entry, change func(*Disk)) (Disk, error) {
	from := d.State
	if !CanMove(from, to) {
		return d, fmt.Errorf("disk %s: %w: it is %s and cannot become %s", d.ID, ErrRefused, orNew(from), to)
	}
	next := d
	next.State = to
	// The record on the image does not say so yet; who has written it before,
	// or writes it next, takes the mark off.
	next.RecordStale = to.InQuarantine()
	if to == Quarantined {
		// At rest: whatever was going on is over, and a person's wish to purge
		// it early does not outlive what took it back.
		next.Intent, next.ExpiringAt, next.EarlyBy, next.EarlyReason = "", time.Time{}, "", ""
	}
	if change != nil {
		change(&next)
	}
	var saved Disk
	err := l.around("catalog."+string(to), func() (err error) {
		saved, err = l.disks.PutDisk(ctx, next)
		return err
	})
	if err != nil {
		return d, fmt.Errorf("disk %s: write the state %s: %w", d.ID, to, err)
	}
	l.obs.Moved(&saved, from)
	l.log.Info("disk moved", "disk", saved.ID, "from", orNew(from), "to", to, "pool", saved.Key.PoolRef().String(),
		"image_id", saved.Key.ImageID, "name", saved.OriginalName, "actor", e.Actor, "rule", saved.Decision.Rule, "reason", e.Reason)
	if e.Act != "" {
		l.note(ctx, saved, e)
	}
	return saved, nil
}

func orNew(s State) State {
	if s == "" {
		return "new"
	}
	return s
}

// note writes a custody entry whose absence must not stop the act: capture
// goes on when the log cannot be written, and a metric is raised.
func (l *Ledger) note(ctx context.Context, d Disk, e Entry) {
	if err := l.custody.Append(context.WithoutCancel(ctx), l.entry(d, e)); err != nil {
		l.obs.CustodyFailed()
		l.log.Error("custody entry not written", "disk", d.ID, "act", e.Act, "outcome", e.Outcome, "error", err)
	}
}

func (l *Ledger) entry(d Disk, e Entry) Entry {
	e.At = l.clock().UTC()
	e.Disk = d.ID
	if e.Key == nil && d.Key.ImageID != "" {
		key := d.Key
		e.Key = &key
	}
	if e.Outcome == "" {
		e.Outcome = OutcomeDone
	}
	return e
}

// Outcomes of a custody entry.
const (
	OutcomeIntent  = "intent"
	OutcomeDone    = "done"
	OutcomeRefused = "refused"
	OutcomeFailed  = "failed"
)

// witnessed performs an act that must not happen unseen: the intent is in the
// custody log before act runs, or act does not run. What came of it follows.
func (l *Ledger) witnessed(ctx context.Context, d Disk, e Entry, act func() error) error {
	e.Outcome = OutcomeIntent
	err := l.around("custody."+e.Act, func() error {
		return l.custody.Append(ctx, l.entry(d, e))
	})
	if err != nil {
		return fmt.Errorf("disk %s: %s is not done, because its custody entry cannot be written: %w", d.ID, e.Act, err)
	}
	err = act()
	e.Outcome = OutcomeDone
	if err != nil {
		e.Outcome = OutcomeFailed
		if errors.Is(err, ErrRefused) {
			e.Outcome = OutcomeRefused
		}
		e.Detail = withDetail(e.Detail, "error", err.Error())
	}
	l.note(ctx, d, e)
	return err
}

// refuse records that an act was refused and returns the reason.
func (l *Ledger) refuse(ctx context.Context, d Disk, e Entry, err error) error {
	e.Outcome = OutcomeRefused
	e.Detail = withDetail(e.Detail, "error", err.Error())
	l.note(ctx, d, e)
	return err
}

func withDetail(m map[string]string, k, v string) map[string]string {
	out := map[string]string{k: v}
	for mk, mv := range m {
		if mk != k {
			out[mk] = mv
		}
	}
	return out
}

// syncRecord writes the disk's record to its image and clears RecordStale, after
// what the record of before promises more was taken over (catchUp). On failure the
// disk is returned as the catalog has it, with the error.
func (l *Ledger) syncRecord(ctx context.Context, d Disk) (Disk, error) {
	row := d // as the catalog has it
	err := func() error {
		img, err := l.images.OpenImage(ctx, d.Key)
		if err != nil {
			return err
		}
		defer img.Close()
		if d, err = l.catchUp(ctx, row, img.Info().Record); err != nil {
			return err
		}
		if d.Version != row.Version {
			row = d // it was moved
		}
		return l.writeRecord(ctx, img, d)
	}()
	if err != nil {
		return row, fmt.Errorf("disk %s: renew the record on its image: %w", row.ID, err)
	}
	next := d
	next.RecordStale = false
	saved, err := l.disks.PutDisk(ctx, next)
	if err != nil {
		return row, fmt.Errorf("disk %s: write the catalog: %w", row.ID, err)
	}
	return saved, nil
}

// softSync is syncRecord for acts that are done whether or not the record
// could be renewed: the catalog keeps RecordStale, and the reconciler goes on.
func (l *Ledger) softSync(ctx context.Context, d Disk) Disk {
	synced, err := l.syncRecord(ctx, d)
	if err != nil {
		l.log.Warn("record on the image is old until the next reconcile", "disk", d.ID, "error", err)
	}
	return synced
}

func (l *Ledger) writeRecord(ctx context.Context, img Image, d Disk) error {
	d.RecordStale = false
	b, err := EncodeRecord(d)
	if err != nil {
		return err
	}
	return l.around("record", func() error { return img.WriteRecord(ctx, b) })
}
