package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"quarantine/integration/measure"
	"quarantine/internal/ceph"
	"quarantine/internal/quarantine"
)

const (
	// burst is how many disks die at once, burstEvery how often that happens: a
	// little more than barSustained, which is in disks an hour and a hundred times
	// the rate of a site that deletes 400 VMs an hour.
	burst        = 1000
	burstEvery   = 85 * time.Second
	barSustained = 40_000
	// steadyEvery is the time between two deaths at 400 an hour, and steadyFor how
	// long that is looked at.
	steadyEvery = 9 * time.Second
	steadyFor   = 3 * time.Minute
	// barGrowth is how much memory the last minute may have, in parts of that of
	// the second.
	barGrowth = 1.10
)

// sustained is what came of adoptions in bursts for a long time.
type sustained struct {
	died, kept int
	took       time.Duration // with the time between the bursts
	seals      score         // the adoptions alone
	// late is how long after its time the latest burst began.
	late time.Duration
	// steady are adoptions at 400 an hour.
	steady score
	// rss is the process's memory at the end of each minute, and heap what Go has of
	// it in use: the rest is librbd's, and what malloc keeps.
	rss  []int64
	heap []uint64
}

// sustain has a burst of disks die again and again, and the service adopt them.
// They are made before, by a cloud that on a real site has machines of its own.
func (b *bench) sustain(ctx context.Context, long time.Duration) (s sustained, err error) {
	every := min(burstEvery, long)
	n := int(burst * every / burstEvery)
	type servers struct{ servers, names []string }
	var bursts []servers
	for range (long + every - 1) / every {
		var u servers
		u.servers, u.names = b.servers(n)
		if err := b.cloud.clone(ctx, b.pools.ours, u.names); err != nil {
			return s, err
		}
		bursts = append(bursts, u)
	}
	if err := b.ours.past(ctx, pastDisks*n/burst, b.now()); err != nil {
		return s, err
	}
	// As the daemon does.
	trimming, stop := context.WithCancel(ctx)
	trimmed := make(chan error, 1)
	go func() { trimmed <- ceph.ReturnMemory(trimming) }()
	defer func() {
		stop()
		err = errors.Join(err, <-trimmed)
	}()
	minutes := time.NewTicker(min(time.Minute, long/4))
	defer minutes.Stop()
	note := func() error {
		rss, err := memory()
		s.rss = append(s.rss, rss)
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		s.heap = append(s.heap, m.HeapInuse)
		return err
	}
	began := b.now()
	for i, u := range bursts {
		s.late = max(s.late, b.now().Sub(began)-time.Duration(i)*every)
		next := time.NewTimer(time.Duration(i+1)*every - b.now().Sub(began))
		entries, err := b.die(ctx, u.servers, u.names)
		if err != nil {
			return s, err
		}
		s.died += n
		if _, err := b.adoptAll(ctx, maxWorkers, entries, &s.seals); err != nil {
			return s, err
		}
		for waiting := true; waiting; {
			select {
			case <-next.C:
				waiting = false
			case <-minutes.C:
				if err := note(); err != nil {
					return s, err
				}
			case <-ctx.Done():
				return s, ctx.Err()
			}
		}
	}
	s.took = b.now().Sub(began)
	totals, err := b.ours.catalog.Totals(ctx)
	if err != nil {
		return s, err
	}
	for _, t := range totals {
		if t.State == quarantine.Quarantined {
			s.kept += int(t.Disks)
		}
	}
	if err := note(); err != nil {
		return s, err
	}
	return s, b.steadily(ctx, min(steadyFor, long), &s.steady)
}

// steadily has disks die one at a time, at the rate of a large site, each of
// which is sealed before the next one dies: they share no commit of the
// monitors.
func (b *bench) steadily(ctx context.Context, long time.Duration, s *score) error {
	n := max(int(long/steadyEvery), 1)
	tick := time.NewTicker(min(steadyEvery, long))
	defer tick.Stop()
	for range n {
		entries, err := b.died(ctx, 1)
		if err != nil {
			return err
		}
		if _, err := b.adoptAll(ctx, 1, entries, s); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// memory is what this process has of the machine's memory, in bytes.
func memory() (int64, error) {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, fmt.Errorf("ask for the memory used: %w", err)
	}
	f := strings.Fields(string(b))
	if len(f) < 2 {
		return 0, fmt.Errorf("ask for the memory used: statm is %q", b)
	}
	pages, err := strconv.ParseInt(f[1], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("ask for the memory used: %w", err)
	}
	return pages * int64(os.Getpagesize()), nil
}

func (s *sustained) print(w io.Writer) {
	fmt.Fprintf(w, "%d disks died in %s, %d at once, the latest %s late; %d are kept; adopted and sealed at %.0f an hour\n", s.died, s.took.Round(time.Second), burst, s.late.Round(time.Millisecond), s.kept, s.seals.perHour())
	fmt.Fprintf(w, "one at a time, 400 an hour: %.0f epochs of the OSD map per 1,000 seals\nmemory, by the minute, in MB:", s.steady.epochsPer1000())
	for _, r := range s.rss {
		fmt.Fprintf(w, " %.0f", float64(r)/1e6)
	}
	fmt.Fprint(w, "\nof that in Go's heap:")
	for _, h := range s.heap {
		fmt.Fprintf(w, " %.0f", float64(h)/1e6)
	}
	fmt.Fprint(w, "\n\n")
}

func (s *sustained) verdicts() []measure.Verdict {
	second := s.rss[min(1, len(s.rss)-1)]
	return []measure.Verdict{
		{Name: "sustained_adopt", Value: float64(s.kept) / s.took.Hours(), Unit: "disks/h", Bar: barSustained},
		{Name: "sustained_lost", Value: float64(s.died - s.kept), Unit: "disks", Bar: 0, AtMost: true},
		{Name: "sustained_memory", Value: float64(s.rss[len(s.rss)-1]) / float64(second), Unit: "ratio-max", Bar: barGrowth, AtMost: true},
		{Name: "sustained_epochs_per_1000", Value: s.seals.epochsPer1000(), Unit: "epochs", Bar: barSealEpochs, AtMost: true},
	}
}
