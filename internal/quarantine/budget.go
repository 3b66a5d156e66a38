package quarantine

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// budgetTick is how often who waits for a budget looks again.
const budgetTick = 10 * time.Millisecond

// budget bounds how much is done in a second, evenly. Who takes from it goes at
// once, and who comes next waits until that is paid for. What nobody takes is
// lost, so that no burst follows a pause. A nil budget bounds nothing.
type budget struct {
	rate float64 // units a second
	// speed is the part of the rate that holds just now.
	speed func() float64
	// ticks tell the time as well: a clock that is stepped does not change the
	// pace.
	ticks <-chan time.Time
	turn  chan struct{} // held by the one that waits in front

	left float64 // in units; below 0: a debt
	last time.Time
}

// newBudget makes a budget; nil if the rate is 0.
func newBudget(rate float64, speed func() float64) *budget {
	if rate <= 0 {
		return nil
	}
	// It is never stopped: a budget lives as long as the process.
	return &budget{rate: rate, speed: speed, ticks: time.NewTicker(budgetTick).C, turn: make(chan struct{}, 1)}
}

// take waits until all that was taken before is paid for, and takes n units.
func (b *budget) take(ctx context.Context, n float64) error {
	if b == nil {
		return nil
	}
	select {
	case b.turn <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("wait for the turn: %w", ctx.Err())
	}
	defer func() { <-b.turn }()
	select {
	case <-b.ticks:
		// It waited here since an unknown time, and tells of that time. Where there
		// is no debt, nobody came since: the idle time must not pay for what is
		// taken now.
		if b.left >= 0 {
			b.last = time.Time{}
		}
	default:
	}
	for b.left < 0 {
		select {
		case now := <-b.ticks:
			if !b.last.IsZero() {
				b.left += now.Sub(b.last).Seconds() * b.rate * b.speed()
			}
			b.last = now
			// A tick comes a little late; what that is too much is kept, or the
			// pace would always be missed by half a tick.
			b.left = min(b.left, b.rate*budgetTick.Seconds())
		case <-ctx.Done():
			return fmt.Errorf("wait for the turn: %w", ctx.Err())
		}
	}
	b.left -= n
	return nil
}

// budgets are those of all removals.
type budgets struct {
	objectRate, byteRate float64
	speed                func() float64
	disks                *budget

	mu    sync.Mutex
	pools map[PoolRef]*poolBudget
}

// poolBudget is that of one pool, whatever the namespace.
type poolBudget struct{ objects, bytes *budget }

func newBudgets(s Safety, speed func() float64) *budgets {
	return &budgets{
		objectRate: s.ObjectsPerSecond, byteRate: float64(s.BytesPerSecond), speed: speed,
		disks: newBudget(s.DisksPerSecond, speed), pools: map[PoolRef]*poolBudget{},
	}
}

func (b *budgets) of(p PoolRef) *poolBudget {
	p.Namespace = ""
	b.mu.Lock()
	defer b.mu.Unlock()
	pb := b.pools[p]
	if pb == nil {
		pb = &poolBudget{objects: newBudget(b.objectRate, b.speed), bytes: newBudget(b.byteRate, b.speed)}
		b.pools[p] = pb
	}
	return pb
}

// take waits until the pool's objects and bytes may be removed.
func (b *budgets) take(ctx context.Context, p PoolRef, w load) error {
	pb := b.of(p)
	if err := pb.objects.take(ctx, float64(w.objects)); err != nil {
		return err
	}
	return pb.bytes.take(ctx, float64(w.bytes))
}
