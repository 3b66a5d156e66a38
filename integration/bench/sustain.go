package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"quarantine/integration/measure"
	"quarantine/internal/quarantine"
)

const (
	// burst is how many disks die at once, burstEvery how often that happens: a
	// hundred times the rate of a site that deletes 400 VMs an hour.
	burst      = 1000
	burstEvery = 90 * time.Second
	// barGrowth is how much memory the last minute may have, in parts of that of
	// the second.
	barGrowth = 1.10
)

// sustained is what came of adoptions in bursts for a long time.
type sustained struct {
	died, kept int
	took       time.Duration // with the time between the bursts
	seals      score         // the adoptions alone
	// rss is the process's memory at the end of each minute.
	rss []int64
}

// sustain has a burst of disks die again and again, and the service adopt them.
func (b *bench) sustain(ctx context.Context, long time.Duration) (s sustained, err error) {
	began := b.now()
	every := min(burstEvery, long)
	minutes := time.NewTicker(min(time.Minute, long/4))
	defer minutes.Stop()
	note := func() error {
		rss, err := memory()
		s.rss = append(s.rss, rss)
		return err
	}
	for b.now().Sub(began) < long {
		next := time.NewTimer(every - b.now().Sub(began)%every)
		n := int(burst * every / burstEvery)
		entries, err := b.died(ctx, n)
		if err != nil {
			return s, err
		}
		s.died += n
		disks, err := b.adoptAll(ctx, maxWorkers, entries, &s.seals)
		if err != nil {
			return s, err
		}
		s.kept += len(disks)
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
	s.kept = 0 // what the catalog says counts
	for _, t := range totals {
		if t.State == quarantine.Quarantined {
			s.kept += int(t.Disks)
		}
	}
	return s, note()
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
	fmt.Fprintf(w, "%d disks died in %s, %d at once; %d are kept; adopted and sealed at %.0f an hour\nmemory, by the minute, in MB:", s.died, s.took.Round(time.Second), burst, s.kept, s.seals.perHour())
	for _, r := range s.rss {
		fmt.Fprintf(w, " %.0f", float64(r)/1e6)
	}
	fmt.Fprint(w, "\n\n")
}

func (s *sustained) verdicts() []measure.Verdict {
	second := s.rss[min(1, len(s.rss)-1)]
	return []measure.Verdict{
		{Name: "sustained_adopt", Value: float64(s.kept) / s.took.Hours(), Unit: "disks/h", Bar: burst * float64(time.Hour) / float64(burstEvery) * 0.999},
		{Name: "sustained_lost", Value: float64(s.died - s.kept), Unit: "disks", Bar: 0, AtMost: true},
		{Name: "sustained_memory", Value: float64(s.rss[len(s.rss)-1]) / float64(second), Unit: "ratio-max", Bar: barGrowth, AtMost: true},
		{Name: "sustained_epochs_per_1000", Value: s.seals.epochsPer1000(), Unit: "epochs", Bar: barSealEpochs, AtMost: true},
	}
}
