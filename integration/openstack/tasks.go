package openstacklab

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// task is a step of bringing a lab up.
type task struct {
	name  string
	after []string // the tasks that must be done before
	do    func(ctx context.Context) error
}

// perform does all tasks, each as soon as those before it are done, and logs
// how long each took. The first error ends the others.
func perform(ctx context.Context, log *slog.Logger, tasks []task) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := map[string]chan struct{}{}
	for _, t := range tasks {
		done[t.name] = make(chan struct{})
	}
	begin := time.Now()
	since := func(t time.Time) time.Duration { return time.Since(t).Round(100 * time.Millisecond) }
	var wg sync.WaitGroup
	for _, t := range tasks {
		wg.Go(func() {
			for _, before := range t.after {
				ch, ok := done[before]
				if !ok {
					cancel(fmt.Errorf("%s comes after %s, which nobody does", t.name, before))
					return
				}
				select {
				case <-ch:
				case <-ctx.Done():
					return
				}
			}
			start := time.Now()
			if err := t.do(ctx); err != nil {
				cancel(fmt.Errorf("%s: %w", t.name, err))
				return
			}
			log.Info(t.name, "took", since(start), "done_at", since(begin))
			close(done[t.name])
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}
