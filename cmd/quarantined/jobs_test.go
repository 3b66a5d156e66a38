package main

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"quarantine/internal/quarantine"
)

// markStore keeps marks in memory.
type markStore struct {
	mu sync.Mutex
	m  map[string][]byte
}

func (s *markStore) Mark(_ context.Context, name string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b, ok := s.m[name]; ok {
		return b, nil
	}
	return nil, quarantine.ErrNotFound
}

func (s *markStore) SetMark(_ context.Context, name string, b []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.m[name] = b
	return nil
}

// newJobs makes the runner with one job, "collect".
func newJobs(collect func(ctx context.Context) quarantine.Report) *jobs {
	return &jobs{
		run: map[string]func(context.Context, string, quarantine.JobOptions) quarantine.Report{
			quarantine.JobCollect: func(ctx context.Context, actor string, o quarantine.JobOptions) quarantine.Report {
				r := collect(ctx)
				r.Job, r.Actor, r.DryRun = quarantine.JobCollect, actor, o.DryRun
				return r
			},
		},
		marks: &markStore{m: map[string][]byte{}}, clock: time.Now, log: slog.New(slog.DiscardHandler),
		finished: func(quarantine.LastRun) {}, prepare: func(context.Context) {}, busy: map[string]bool{},
	}
}

// A job runs on its schedule in UTC, never twice at once: a run that takes
// longer than the interval makes the schedule skip, and a person who asks for
// another is told. A stop waits for the run.
func TestScheduleSkipsAndWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		running, most, runs := 0, 0, 0
		j := newJobs(func(ctx context.Context) quarantine.Report {
			running++
			runs++
			most = max(most, running)
			time.Sleep(150 * time.Second) // the bubble's time; two and a half intervals
			running--
			return quarantine.Report{EndedAt: time.Now()}
		})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := j.schedule(ctx, map[string]string{quarantine.JobCollect: "* * * * *"}, time.Second); err != nil {
				t.Error(err)
			}
		})
		time.Sleep(9*time.Minute + 30*time.Second)
		if _, err := j.RunJob(ctx, "carol", quarantine.JobCollect, quarantine.JobOptions{}); running == 1 && !errors.Is(err, quarantine.ErrBusy) {
			t.Errorf("a person's run beside the schedule's: %v", err)
		}
		cancel()
		wg.Wait()
		if most != 1 || running != 0 {
			t.Errorf("%d ran at once, %d run after the stop", most, running)
		}
		if runs < 3 || runs > 5 {
			t.Errorf("%d runs of 150 s in nine and a half minutes", runs)
		}
	})
}

// What a run did is kept: a success moves the last success, a run that stopped
// or had failures does not, and a dry run leaves no trace.
func TestLastRunIsKept(t *testing.T) {
	next := quarantine.Report{}
	j := newJobs(func(context.Context) quarantine.Report { return next })
	at := func(hour int) time.Time { return time.Date(2026, 11, 24, hour, 0, 0, 0, time.UTC) }
	run := func(r quarantine.Report, o quarantine.JobOptions) quarantine.LastRun {
		t.Helper()
		next = r
		if _, err := j.RunJob(t.Context(), "carol", quarantine.JobCollect, o); err != nil {
			t.Fatal(err)
		}
		last, err := j.lastRun(t.Context(), quarantine.JobCollect)
		if err != nil {
			t.Fatal(err)
		}
		return last
	}
	if l := run(quarantine.Report{EndedAt: at(1), Items: make([]quarantine.ReportItem, 2)}, quarantine.JobOptions{}); !l.LastSuccess.Equal(at(1)) || l.Acts != 2 {
		t.Errorf("after a success: %+v", l)
	}
	if l := run(quarantine.Report{EndedAt: at(2), Stopped: "HEALTH_ERR"}, quarantine.JobOptions{}); !l.LastSuccess.Equal(at(1)) || l.Stopped != "HEALTH_ERR" {
		t.Errorf("after a stop: %+v", l)
	}
	if l := run(quarantine.Report{EndedAt: at(3), Items: []quarantine.ReportItem{{Error: "x"}}}, quarantine.JobOptions{}); !l.LastSuccess.Equal(at(1)) || l.Failed != 1 {
		t.Errorf("after a failure: %+v", l)
	}
	if l := run(quarantine.Report{EndedAt: at(4)}, quarantine.JobOptions{DryRun: true}); !l.EndedAt.Equal(at(3)) {
		t.Errorf("after a dry run: %+v", l)
	}
	if _, err := j.RunJob(t.Context(), "carol", "frob", quarantine.JobOptions{}); !errors.Is(err, quarantine.ErrNotFound) || !strings.Contains(err.Error(), "frob") {
		t.Errorf("an unknown job: %v", err)
	}
}

// A job that panics ends alone: the schedule goes on.
func TestPanickingJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runs := 0
		j := newJobs(func(context.Context) quarantine.Report {
			runs++
			panic("a bug")
		})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := j.schedule(ctx, map[string]string{quarantine.JobCollect: "* * * * *"}, 0); err != nil {
				t.Error(err)
			}
		})
		time.Sleep(3*time.Minute + time.Second)
		cancel()
		wg.Wait()
		if runs < 3 {
			t.Errorf("%d runs in three minutes", runs)
		}
	})
}
