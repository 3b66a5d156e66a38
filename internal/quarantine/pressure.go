package quarantine

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
)

const (
	// loadEvery is how often a pass that removes looks how busy Ceph is.
	loadEvery = 2 * time.Second
	// slowDown is the part of its speed that a pass keeps at each look that finds
	// Ceph busy; speedUp is what it gets back, of full speed, at each that does
	// not: in a minute, so that it does not swing.
	slowDown = 0.5
	speedUp  = 1.0 / 32
	// recoveryPart is the most of full speed that a pass has while Ceph moves
	// data: removals and recovery would wait for the same disks.
	recoveryPart = 0.25
)

// Slowdown is why removals go slower than they may.
type Slowdown struct {
	// Part is the present part of full speed, above 0 and below 1.
	Part   float64   `json:"part"`
	Reason string    `json:"reason"`
	Since  time.Time `json:"since"`
}

// pressure slows removals down while Ceph is busy: half as fast at each look
// that finds it so, down to one disk at a time, and slowly faster after. The
// number of disks that are worked on at once goes with it, and every budget.
// A cluster that is nearly full is no reason: removals are what helps it.
type pressure struct {
	clusters Clusters
	max      time.Duration // 0: removals are never slowed down
	workers  int
	clock    Clock
	log      *slog.Logger

	mu     sync.Mutex
	slow   Slowdown // Part 1: full speed
	active int
	// changed is closed, and made anew, when somebody may enter who could not.
	changed chan struct{}
}

func newPressure(clusters Clusters, s Safety, clock Clock, log *slog.Logger) *pressure {
	return &pressure{
		clusters: clusters, max: s.MaxLatency, workers: max(s.Workers, 1), clock: clock, log: log,
		slow: Slowdown{Part: 1}, changed: make(chan struct{}),
	}
}

// speed is the present part of full speed.
func (p *pressure) speed() float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.slow.Part
}

// Slowed returns why removals go slower than they may, or nil.
func (c *Collector) Slowed() *Slowdown { return c.pressure.slowed() }

// slowed returns why removals are slow, or nil.
func (p *pressure) slowed() *Slowdown {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.slow.Part >= 1 {
		return nil
	}
	s := p.slow
	return &s
}

// enter waits until one more disk may be worked on.
func (p *pressure) enter(ctx context.Context) error {
	for {
		p.mu.Lock()
		if p.active < max(int(p.slow.Part*float64(p.workers)+0.5), 1) {
			p.active++
			p.mu.Unlock()
			return nil
		}
		changed := p.changed
		p.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait for the turn: %w", ctx.Err())
		}
	}
}

func (p *pressure) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.active--
	p.tell()
}

// tell wakes all that wait. The caller holds p.mu.
func (p *pressure) tell() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// watch looks how busy Ceph is, now and again and again, until the returned
// function is called. why is told the reason of each slowdown.
func (p *pressure) watch(ctx context.Context, why func(string)) (stop func()) {
	if p.max <= 0 {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	p.look(ctx, why)
	if s := p.slowed(); s != nil {
		why(s.Reason) // since an earlier pass, perhaps
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		t := time.NewTicker(loadEvery)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				p.look(ctx, why)
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() { cancel(); <-done }
}

// look asks every cluster how busy it is, and sets the speed.
func (p *pressure) look(ctx context.Context, why func(string)) {
	var reasons []string
	floor, most := 1/float64(p.workers), 1.0
	for _, fsid := range clusterIDs(p.clusters) {
		l, err := p.clusters.Load(ctx, fsid)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			reasons = append(reasons, "it is not known how busy Ceph is: "+err.Error())
			most = min(most, recoveryPart)
			continue
		case l.Latency > p.max:
			reasons = append(reasons, fmt.Sprintf("%s take %s, more than %s", l.Of, l.Latency.Round(time.Millisecond/10), p.max))
			most = min(most, p.speed()*slowDown)
		}
		if l.Recovering != "" {
			reasons = append(reasons, "Ceph moves data: "+l.Recovering)
			most = min(most, recoveryPart)
		}
	}
	p.set(max(most, floor), strings.Join(reasons, "; "), why)
}

// set makes most the largest part of full speed; without a reason, the speed
// grows.
func (p *pressure) set(most float64, reason string, why func(string)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	was := p.slow
	switch {
	case reason == "":
		p.slow.Part = min(1, was.Part+speedUp)
	default:
		p.slow.Part, p.slow.Reason = min(was.Part, most), reason
	}
	switch {
	case was.Part >= 1 && p.slow.Part < 1:
		p.slow.Since = p.clock().UTC()
		why(reason)
		p.log.Warn("removals slow down", "reason", reason, "part", p.slow.Part)
	case was.Part < 1 && p.slow.Part >= 1:
		p.log.Info("removals go at full speed again", "slow_since", was.Since, "reason", was.Reason)
	}
	if p.slow.Part > was.Part {
		p.tell()
	}
}
