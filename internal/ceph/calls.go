package ceph

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"syscall"

	"quarantine/internal/quarantine"
)

// do runs a call that yields nothing but an error.
func (c *Cluster) do(ctx context.Context, what string, call func() error) error {
	_, err := get(ctx, c, what, func() (struct{}, error) { return struct{}{}, call() }, nil)
	return err
}

// get runs a call on a goroutine in one of the cluster's slots and waits for
// its result or for ctx. A result that comes after the caller has gone is
// given to drop.
func get[T any](ctx context.Context, c *Cluster, what string, call func() (T, error), drop func(T)) (T, error) {
	var none T
	if err := ctx.Err(); err != nil {
		return none, mapped(what, err)
	}
	select {
	case c.slots <- struct{}{}:
	case <-ctx.Done():
		return none, mapped(what, ctx.Err())
	}
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		<-c.slots
		return none, fmt.Errorf("%s: cluster %s is closed: %w", what, c.name, quarantine.ErrUnavailable)
	}
	c.calls.Add(1)
	c.mu.Unlock()

	type result struct {
		value T
		err   error
	}
	ch := make(chan result)
	left := make(chan struct{})
	go func() {
		defer c.calls.Done()
		defer func() { <-c.slots }()
		v, err := stepped(c.steps, what, call, drop)
		c.note(err)
		select {
		case ch <- result{v, err}:
		case <-left:
			if err == nil && drop != nil {
				drop(v)
			}
		}
	}()
	select {
	case r := <-ch:
		return r.value, mapped(what, r.err)
	case <-ctx.Done():
		close(left)
		return none, mapped(what, ctx.Err())
	}
}

// stepped makes the call between its two fault points. A result that the
// second turns into an error is given to drop.
func stepped[T any](steps quarantine.Steps, what string, call func() (T, error), drop func(T)) (T, error) {
	if steps == nil {
		return call()
	}
	var none T
	if err := steps("ceph: " + what + ".before"); err != nil {
		return none, err
	}
	v, err := call()
	if err != nil {
		return v, err
	}
	if err := steps("ceph: " + what + ".after"); err != nil {
		if drop != nil {
			drop(v)
		}
		return none, err
	}
	return v, nil
}

// note looks whether an error says that Ceph has blocklisted this connection:
// then it answers nothing else any more. librbd has the same errno for an image that
// it is just closing, so that an OSD is asked, which nobody waits for but Close. The
// caller's call keeps the connection until note returns.
func (c *Cluster) note(err error) {
	if errnoOf(err) != syscall.ESHUTDOWN || !c.asking.TryLock() {
		return
	}
	c.calls.Add(1)
	go func() {
		defer c.calls.Done()
		defer c.asking.Unlock()
		if c.refused() {
			c.shutOutOnce.Do(func() { close(c.shutOut) })
		}
	}()
}

// refused asks for an object of each pool, without librbd: an OSD refuses a
// blocklisted client's every operation. One that has not heard of it yet still
// answers, and is asked again after the next call.
func (c *Cluster) refused() bool {
	c.mu.Lock()
	ios := slices.Collect(maps.Values(c.ioctxs))
	c.mu.Unlock()
	for _, io := range ios {
		if _, err := io.Stat(trashObject); errnoOf(err) == syscall.ESHUTDOWN {
			return true
		}
	}
	return false
}

// keep makes Close wait for a handle until release. It is called by the call
// that opens the handle, which Close waits for already.
func (c *Cluster) keep() { c.calls.Add(1) }

// release ends a handle and tells its end. It takes no slot, because hanging
// calls may have them all, and works while the cluster is being closed.
func (c *Cluster) release(end func() error) <-chan error {
	done := make(chan error, 1)
	go func() {
		defer c.calls.Done()
		done <- end()
	}()
	return done
}
