package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"

	"quarantine/internal/quarantine"
)

// jobs runs the cron jobs, on their schedules and at a person's request. A job
// never runs twice at once: the schedule skips, a person is told.
type jobs struct {
	run   map[string]func(ctx context.Context, actor string, o quarantine.JobOptions) quarantine.Report
	marks quarantine.Marks
	clock quarantine.Clock
	log   *slog.Logger
	// finished is told of every run that was no dry run; for metrics.
	finished func(quarantine.LastRun)
	// prepare is called before each run, e.g. to read the policies again.
	prepare func(ctx context.Context)

	mu   sync.Mutex
	busy map[string]bool
}

// RunJob runs one job now. ErrNotFound if there is no such job, ErrBusy if it
// is running.
func (j *jobs) RunJob(ctx context.Context, actor, name string, o quarantine.JobOptions) (quarantine.Report, error) {
	run := j.run[name]
	if run == nil {
		return quarantine.Report{}, fmt.Errorf("job %q: %w", name, quarantine.ErrNotFound)
	}
	if !j.begin(name) {
		return quarantine.Report{}, fmt.Errorf("job %s is running already: %w", name, quarantine.ErrBusy)
	}
	defer j.end(name)
	j.prepare(ctx)
	rep := run(ctx, actor, o)
	if o.DryRun {
		return rep, nil
	}
	return rep, j.record(context.WithoutCancel(ctx), rep)
}

func (j *jobs) begin(name string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.busy[name] {
		return false
	}
	j.busy[name] = true
	return true
}

func (j *jobs) end(name string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.busy, name)
}

// record keeps the run for `status`, `doctor` and the metrics, across restarts.
func (j *jobs) record(ctx context.Context, rep quarantine.Report) error {
	last, err := j.lastRun(ctx, rep.Job)
	if err != nil {
		return err
	}
	last = quarantine.LastRun{
		Job: rep.Job, StartedAt: rep.StartedAt, EndedAt: rep.EndedAt, LastSuccess: last.LastSuccess,
		Acts: len(rep.Items), Failed: rep.Failed(), Stopped: rep.Stopped,
	}
	if rep.Stopped == "" && last.Failed == 0 {
		last.LastSuccess = rep.EndedAt
	}
	level := slog.LevelInfo
	if rep.Stopped != "" || last.Failed > 0 {
		level = slog.LevelWarn
	}
	j.log.Log(ctx, level, "job ended", "job", rep.Job, "actor", rep.Actor, "acts", last.Acts, "failed", last.Failed, "stopped", rep.Stopped)
	j.finished(last)
	b, err := json.Marshal(last)
	if err != nil {
		return fmt.Errorf("encode the last run of %s: %w", rep.Job, err)
	}
	if err := j.marks.SetMark(ctx, "job/"+rep.Job, b); err != nil {
		return fmt.Errorf("keep the last run of %s: %w", rep.Job, err)
	}
	return nil
}

func (j *jobs) lastRun(ctx context.Context, name string) (quarantine.LastRun, error) {
	b, err := j.marks.Mark(ctx, "job/"+name)
	if errors.Is(err, quarantine.ErrNotFound) {
		return quarantine.LastRun{Job: name}, nil
	}
	if err != nil {
		return quarantine.LastRun{}, fmt.Errorf("read the last run of %s: %w", name, err)
	}
	var last quarantine.LastRun
	if err := json.Unmarshal(b, &last); err != nil {
		return quarantine.LastRun{}, fmt.Errorf("read the last run of %s: %w", name, err)
	}
	return last, nil
}

// jobNames lists the jobs in the order in which people are shown them.
func jobNames() []string {
	return []string{quarantine.JobGuard, quarantine.JobReconcile, quarantine.JobClouds, quarantine.JobCollect, quarantine.JobFlatten, quarantine.JobIsolate}
}

// LastRuns returns the last run of each job; its times are zero if there was
// none.
func (j *jobs) LastRuns(ctx context.Context) ([]quarantine.LastRun, error) {
	var runs []quarantine.LastRun
	for _, name := range jobNames() {
		if j.run[name] == nil {
			continue
		}
		last, err := j.lastRun(ctx, name)
		if err != nil {
			return nil, err
		}
		runs = append(runs, last)
	}
	return runs, nil
}

// schedule runs the jobs by their cron lines, in UTC, until ctx ends, and then
// waits for those that are running. A job that still runs when its next slot
// comes is passed over, and one that panics ends alone.
func (j *jobs) schedule(ctx context.Context, lines map[string]string, jitter time.Duration) error {
	table, err := newTimetable(lines, j.clock())
	if err != nil {
		return err
	}
	var running sync.WaitGroup
	defer running.Wait()
	for {
		for _, name := range table.due(j.clock()) {
			running.Go(func() { j.scheduled(ctx, name, jitter) })
		}
		timer := time.NewTimer(table.wait(j.clock()))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}

// scheduled is one run of a job by the schedule.
func (j *jobs) scheduled(ctx context.Context, name string, jitter time.Duration) {
	defer func() {
		if p := recover(); p != nil {
			j.log.Error("job panicked", "job", name, "panic", p, "stack", string(debug.Stack()))
		}
	}()
	if !pause(ctx, jitter) {
		return
	}
	switch _, err := j.RunJob(ctx, "cron", name, quarantine.JobOptions{}); {
	case errors.Is(err, quarantine.ErrBusy):
		j.log.Warn("job skipped: the last run still goes on", "job", name)
	case err != nil && !errors.Is(err, context.Canceled):
		j.log.Error("job", "job", name, "error", err)
	}
}

// pause waits for a random part of the jitter, so that several daemons do not
// strike Ceph in the same second. It reports false when ctx ended first.
func pause(ctx context.Context, jitter time.Duration) bool {
	if jitter <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(rand.N(jitter))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
