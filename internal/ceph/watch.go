package ceph

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
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
	// Gone, where it is set before Run, is told of every image that left the
	// trash, removed or restored. It may not block.
	Gone func(quarantine.Key)

	// silence is how long ago the OSD may have confirmed the watch last.
	silence time.Duration

	mu sync.Mutex
	up bool
}

// NewTrashWatch makes the watch; Run works.
func NewTrashWatch(r *Registry, pool quarantine.PoolRef, log *slog.Logger, offer func(quarantine.TrashEntry), missed func()) *TrashWatch {
	return &TrashWatch{r: r, pool: pool, log: log, offer: offer, missed: missed, silence: watchSilence}
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
	// watchCheck is how often a watch is asked whether it still stands. The
	// answer comes from the client's own memory.
	watchCheck = time.Second
	// watchSilence: librados asks the OSD every 5 s to confirm the watch, and
	// the OSD drops one that it has not heard of for 30 s.
	watchSilence = 15 * time.Second
	// watchEnd is how long Run waits, when it ends, for Ceph to take the watch
	// off.
	watchEnd = 2 * time.Second
)

// Run watches until ctx ends. A watch that breaks is set up again. After that,
// and after a time in which Ceph did not answer, missed is called, because what
// came in between was perhaps not heard.
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
	s, err := get(ctx, c, what, func() (*standing, error) {
		// The object comes into being with the pool's first trash entry. An
		// empty one is what librbd makes, too. That it can be asked for shows
		// also that Ceph answers: go-ceph holds a lock of all watches of the
		// process while it sets one up.
		err := ioctx.Create(trashObject, rados.CreateExclusive)
		if err != nil && errnoOf(err) != syscall.EEXIST {
			return nil, err
		}
		watcher, err := ioctx.Watch(trashObject)
		if err != nil {
			return nil, err
		}
		c.keep()
		s := &standing{watcher: watcher, broken: make(chan error, 1), stop: make(chan struct{})}
		s.pump.Go(func() { w.pump(s) })
		return s, nil
	}, func(s *standing) { c.release(s.end) })
	if err != nil {
		return err
	}
	defer func() {
		s.over.Store(true)
		timer := time.NewTimer(watchEnd)
		defer timer.Stop()
		select {
		case err := <-c.release(s.end):
			if err != nil {
				w.log.Debug("end the watch", "pool", w.pool.String(), "error", err)
			}
		case <-timer.C: // Ceph hangs; Cluster.Close waits for the rest
		}
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
		case err := <-s.broken:
			c.note(err)
			return mapped(what, err)
		case <-tick.C:
			age, err := s.watcher.Check()
			if err != nil {
				return mapped(what, err)
			}
			w.confirmed(age <= w.silence)
		}
	}
}

// confirmed notes whether the OSD answers. While it does not, nothing is
// heard; librados itself takes the watch up again when it does, or says that it
// broke.
func (w *TrashWatch) confirmed(ok bool) {
	if ok == w.Up() {
		return
	}
	w.set(ok)
	if ok {
		w.log.Info("the watch on the trash is confirmed again", "pool", w.pool.String())
		w.missed()
	} else {
		w.log.Warn("the watch on the trash is not confirmed; Ceph does not answer", "pool", w.pool.String())
	}
}

// standing is a watch that was set up.
type standing struct {
	watcher *rados.Watcher
	broken  chan error
	// over: what is heard from now on is of no interest any more.
	over atomic.Bool
	stop chan struct{}
	pump sync.WaitGroup
}

// end takes the watch off. The pump works until it is gone: a notification
// that is under way would hold up its remover otherwise.
func (s *standing) end() error {
	err := s.watcher.Delete()
	close(s.stop)
	s.pump.Wait()
	return err
}

// pump takes the notifications off the watcher's unbuffered channels.
func (w *TrashWatch) pump(s *standing) {
	events, faults := s.watcher.Events(), s.watcher.Errors()
	for {
		select {
		case <-s.stop:
			return
		case ev, ok := <-events:
			if !ok {
				events = nil // deleted; stop follows
				continue
			}
			if err := ev.Ack(nil); err != nil {
				w.log.Debug("acknowledge a trash notification", "pool", w.pool.String(), "error", err)
			}
			if !s.over.Load() {
				w.hear(ev.Data)
			}
		case err, ok := <-faults:
			if !ok {
				faults = nil
				continue
			}
			select {
			case s.broken <- err:
			default:
			}
		}
	}
}
