package quarantine

import (
	"context"
	"errors"
)

// ahead begins to find what will be needed later, beside the caller, who must call end
// at last. found waits for it; a panic of find is then its caller's. Nothing may change
// meanwhile what find looks at.
func ahead[T any](ctx context.Context, find func(context.Context) (T, error)) (found func() (T, error), end func()) {
	ctx, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	var out T
	var panicked any
	err := errors.New("nobody looked") // stays where find ends its goroutine
	go func() {
		defer close(done)
		defer func() { panicked = recover() }()
		out, err = find(ctx)
	}()
	found = func() (T, error) {
		<-done
		if panicked != nil {
			panic(panicked)
		}
		return out, err
	}
	return found, func() {
		stop()
		<-done
	}
}
