package ceph

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"syscall"
	"time"

	"github.com/ceph/go-ceph/rados"

	"quarantine/internal/quarantine"
)

// TrashWatch hears of every image that comes into a pool's trash, while
// it comes. The remover waits for our acknowledgement (5 s at most), so each
// notification is acknowledged before anything else is done with it.
type TrashWatch struct {
	r    *Registry
	pool quarantine.PoolRef
	log  *slog.Logger
	// offer receives an entry, missed is told that something may have been
	// missed and that the trash must be listed. Neither may block.
	offer  func(quarantine.TrashEntry)
	missed func()

	mu sync.Mutex
	up bool
}

// NewTrashWatch makes the watch; Run works.
func NewTrashWatch(r *Registry, pool quarantine.PoolRef, log *slog.Logger, offer func(quarantine.TrashEntry), missed func()) *TrashWatch {
	return &TrashWatch{r: r, pool: pool, log: log, offer: offer, missed: missed}
}

// Up reports whether the watch stands.
func (w *TrashWatch) Up() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.up
}

func (w *TrashWatch) set(up bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.up = up
}

// The waits between two attempts to set the watch up.
const (
	watchRetryMin = time.Second
	watchRetryMax = time.Minute
	// watchCheck is how often a quiet watch is asked whether it still stands.
	watchCheck = 10 * time.Second
)

// Run watches until ctx ends. A watch that breaks (OSD restart, network) is
// set up again, and missed is called, because what came in between was not
// heard.
func (w *TrashWatch) Run(ctx context.Context) error {
	wait := watchRetryMin
	for ctx.Err() == nil {
		err := w.watch(ctx, func() { wait = watchRetryMin })
		w.set(false)
		if ctx.Err() != nil {
			return nil
		}
		w.log.Warn("the watch on the trash broke; it is set up again", "pool", w.pool.String(), "error", err, "in", wait)
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
		case <-timer.C:
		}
		wait = min(2*wait, watchRetryMax)
	}
	return nil
}

// watch sets the watch up and hands over what it hears until it breaks.
func (w *TrashWatch) watch(ctx context.Context, established func()) error {
	c, ioctx, err := w.r.pool(ctx, w.pool)
	if err != nil {
		return err
	}
	what := "watch the trash of " + w.pool.String()
	watcher, err := get(ctx, c, what, func() (*rados.Watcher, error) {
		// The object comes into being with the pool's first trash entry. An
		// empty one is what librbd makes, too.
		err := ioctx.Create(trashObject, rados.CreateExclusive)
		if err != nil && errnoOf(err) != syscall.EEXIST {
			return nil, err
		}
		return ioctx.Watch(trashObject)
	}, func(watcher *rados.Watcher) { _ = watcher.Delete() })
	if err != nil {
		return err
	}
	stop := make(chan struct{})
	var pump sync.WaitGroup
	broken := make(chan error, 1)
	pump.Go(func() { w.pump(watcher, stop, broken) })
	defer func() {
		// The pump goes on acknowledging until the watch is gone: a
		// notification that is under way would hold up its remover otherwise.
		err := c.do(context.WithoutCancel(ctx), "end the watch on the trash of "+w.pool.String(), watcher.Delete)
		if err != nil && !errors.Is(err, quarantine.ErrUnavailable) {
			w.log.Debug("end the watch", "pool", w.pool.String(), "error", err)
		}
		close(stop)
		pump.Wait()
	}()
	established()
	w.set(true)
	w.missed()
	tick := time.NewTicker(watchCheck)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-broken:
			return mapped(what, err)
		case <-tick.C:
			if _, err := get(ctx, c, what, watcher.Check, nil); err != nil {
				return err
			}
		}
	}
}

// pump takes the notifications off the watcher's unbuffered channels.
func (w *TrashWatch) pump(watcher *rados.Watcher, stop <-chan struct{}, broken chan<- error) {
	events, faults := watcher.Events(), watcher.Errors()
	for {
		select {
		case <-stop:
			return
		case ev, ok := <-events:
			if !ok {
				events = nil // deleted; stop follows
				continue
			}
			if err := ev.Ack(nil); err != nil {
				w.log.Debug("acknowledge a trash notification", "pool", w.pool.String(), "error", err)
			}
			w.hear(ev.Data)
		case err, ok := <-faults:
			if !ok {
				faults = nil
				continue
			}
			select {
			case broken <- err:
			default:
			}
		}
	}
}

// The operations of librbd's trash watcher (librbd::trash_watcher::NotifyOp).
const (
	opImageAdded   = 0
	opImageRemoved = 1
)

func (w *TrashWatch) hear(payload []byte) {
	id, spec, err := decodeTrashNotice(payload)
	switch {
	case errors.Is(err, errOtherNotice):
	case err != nil:
		w.log.Warn("a trash notification does not parse; the trash is listed instead", "pool", w.pool.String(), "error", err)
		w.missed()
	case spec.users():
		w.offer(spec.entry(w.pool.Key(id)))
	}
}

// errOtherNotice says that a notification is not about an arrival.
var errOtherNotice = errors.New("not an arrival")

// decodeTrashNotice reads a notification of librbd's trash watcher: version,
// compat (u8), length (u32), operation (u32); for an arrival the image id
// (string) and the TrashImageSpec.
func decodeTrashNotice(b []byte) (string, trashSpec, error) {
	if len(b) < 10 {
		return "", trashSpec{}, errSpec
	}
	switch op := binary.LittleEndian.Uint32(b[6:]); op {
	case opImageAdded:
	case opImageRemoved:
		return "", trashSpec{}, errOtherNotice
	default:
		return "", trashSpec{}, fmt.Errorf("operation %d: %w", op, errSpec)
	}
	id, rest, ok := decodeString(b[10:])
	if !ok {
		return "", trashSpec{}, errSpec
	}
	spec, _, err := decodeTrashSpec(rest)
	return id, spec, err
}
