package main

import (
	"context"
	"sync"
)

// each calls work for every item, by so many workers at once, and waits for
// all of them. After an error, or the end of ctx, no more is begun, and that
// is returned.
func each[T any](ctx context.Context, workers int, items []T, work func(T) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	queue := make(chan T, len(items))
	for _, item := range items {
		queue <- item
	}
	close(queue)
	var wg sync.WaitGroup
	for range min(workers, len(items)) {
		wg.Go(func() {
			for item := range queue {
				if ctx.Err() != nil {
					return
				}
				if err := work(item); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}
