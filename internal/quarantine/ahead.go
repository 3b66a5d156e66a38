package quarantine

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
)

// ahead begins to find what will be needed later, beside the caller, who must call end
// at last. found waits for it. A panic of find is the caller's, in found and in end: in
// a goroutine of its own it would end the daemon, past the caller's recover.
func ahead[T any](ctx context.Context, find func(context.Context) (T, error)) (found func() (T, error), end func()) {
	ctx, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	var out T
	panicked := ""
	err := errors.New("nobody looked") // stays where find ends its goroutine
	go func() {
		defer close(done)
		defer func() {
			if p := recover(); p != nil {
				panicked = fmt.Sprintf("%v\n%s", p, debug.Stack())
			}
		}()
		out, err = find(ctx)
	}()
	wait := func() {
		<-done
		if panicked != "" {
			panic(panicked)
		}
	}
	found = func() (T, error) {
		wait()
		return out, err
	}
	return found, func() {
		stop()
		wait()
	}
}
