package quarantine

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Intake takes the trash entries that the storage watch reports, waits a
// moment, and adopts them in batches: the moment lets the cloud's event
// arrive, and seals taken together share one monitor commit. The guard
// protects meanwhile. What it drops, because too much comes at once or because
// Ceph does not answer, the reconciler finds in the trash.
type Intake struct {
	adopter *Adopter
	cfg     IntakeConfig

	mu      sync.Mutex
	waiting map[Key]TrashEntry
	wake    chan struct{}
}

// IntakeConfig tunes the Intake.
type IntakeConfig struct {
	// Settle is how long a batch gathers.
	Settle time.Duration
	// Workers is how many disks are adopted at once.
	Workers int
	// MaxWaiting bounds what waits; beyond it entries are left to the
	// reconciler.
	MaxWaiting int
}

// NewIntake makes the service; Run works.
func NewIntake(a *Adopter, cfg IntakeConfig) *Intake {
	return &Intake{adopter: a, cfg: cfg, waiting: map[Key]TrashEntry{}, wake: make(chan struct{}, 1)}
}

// Offer hands over an entry that has just arrived in the trash. It never
// blocks, because the one who removes the image waits for the watch.
func (c *Intake) Offer(e TrashEntry) {
	// This service's own moves are no news.
	if ownEntry(e.Key, e.Name) {
		return
	}
	c.mu.Lock()
	full := len(c.waiting) >= c.cfg.MaxWaiting
	if !full {
		c.waiting[e.Key] = e
	}
	c.mu.Unlock()
	if full {
		c.adopter.ledger.log.Warn("too many deletions wait to be adopted; this one is left to the reconciler", "pool", e.Key.PoolRef().String(), "image_id", e.Key.ImageID)
		return
	}
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Run adopts until ctx ends, and then finishes the adoptions that have begun.
func (c *Intake) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-c.wake:
		}
		timer := time.NewTimer(c.cfg.Settle)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
		c.batch(ctx)
	}
}

func (c *Intake) batch(ctx context.Context) {
	c.mu.Lock()
	entries := make([]TrashEntry, 0, len(c.waiting))
	for _, e := range c.waiting {
		entries = append(entries, e)
	}
	clear(c.waiting)
	c.mu.Unlock()
	// The work that has begun is finished when the service stops: WithoutCancel.
	// inParallel starts no more after that.
	_ = inParallel(ctx, c.cfg.Workers, len(entries), func(i int) {
		_, err := c.adopter.Adopt(context.WithoutCancel(ctx), entries[i], CaptureGuard)
		switch {
		case err == nil, errors.Is(err, ErrNotFound), errors.Is(err, ErrBusy):
			// gone or busy: whoever restored it knows; the reconciler looks again
		default:
			c.adopter.ledger.log.Error("adopt", "pool", entries[i].Key.PoolRef().String(), "image_id", entries[i].Key.ImageID, "error", err)
		}
	})
}
