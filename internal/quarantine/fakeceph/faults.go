package fakeceph

import (
	"cmp"
	"context"
	"fmt"
	"sync"

	"quarantine/internal/quarantine"
)

// Call is one call of a method of the domain's interfaces. Verb is the
// method's name; Key, Pool and Name are set where the method has them.
type Call struct {
	Verb string
	Key  quarantine.Key
	Pool quarantine.PoolRef
	Name string
}

// faults decides what happens to calls.
type faults struct {
	mu            sync.Mutex
	before, after func(Call) error
	failing       map[string]failure
	blocked       map[string]*block
}

type failure struct {
	n   int
	err error
}

type block struct {
	entered chan struct{}
	once    sync.Once
	release chan struct{}
}

// Before sets a hook that sees every call before it acts; an error fails the
// call, which then does nothing. Nil takes it off.
func (c *Ceph) Before(hook func(Call) error) {
	c.faults.mu.Lock()
	defer c.faults.mu.Unlock()
	c.faults.before = hook
}

// After sets a hook that sees every call that acted and succeeded; an error
// fails the call although it was done, as a lost answer does.
func (c *Ceph) After(hook func(Call) error) {
	c.faults.mu.Lock()
	defer c.faults.mu.Unlock()
	c.faults.after = hook
}

// FailNext makes the next n calls of the verb fail with err, without effect.
func (c *Ceph) FailNext(verb string, n int, err error) {
	c.faults.mu.Lock()
	defer c.faults.mu.Unlock()
	if c.faults.failing == nil {
		c.faults.failing = map[string]failure{}
	}
	c.faults.failing[verb] = failure{n, err}
}

// Block makes calls of the verb wait until release is called, as a cluster
// that hangs does: a context's end does not free them. entered is closed when
// the first call waits.
func (c *Ceph) Block(verb string) (entered <-chan struct{}, release func()) {
	b := &block{entered: make(chan struct{}), release: make(chan struct{})}
	c.faults.mu.Lock()
	defer c.faults.mu.Unlock()
	if c.faults.blocked == nil {
		c.faults.blocked = map[string]*block{}
	}
	c.faults.blocked[verb] = b
	return b.entered, sync.OnceFunc(func() {
		c.faults.mu.Lock()
		delete(c.faults.blocked, verb)
		c.faults.mu.Unlock()
		close(b.release)
	})
}

func (f *faults) enter(k Call) error {
	f.mu.Lock()
	b, hook := f.blocked[k.Verb], f.before
	var err error
	if fail, ok := f.failing[k.Verb]; ok && fail.n > 0 {
		fail.n--
		f.failing[k.Verb] = fail
		err = fail.err
	}
	f.mu.Unlock()
	if b != nil {
		b.once.Do(func() { close(b.entered) })
		<-b.release
	}
	if hook != nil {
		if herr := hook(k); herr != nil {
			return herr
		}
	}
	return err
}

func (f *faults) leave(k Call) error {
	f.mu.Lock()
	hook := f.after
	f.mu.Unlock()
	if hook == nil {
		return nil
	}
	return hook(k)
}

// call performs one act under the fake's lock, between its two hooks.
func call[T any](ctx context.Context, c *Ceph, k Call, act func() (T, error)) (T, error) {
	var zero T
	if err := ended(ctx); err != nil {
		return zero, err
	}
	if err := c.faults.enter(k); err != nil {
		return zero, err
	}
	v, err := func() (T, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if fsid := cmp.Or(k.Key.FSID, k.Pool.FSID); fsid != "" {
			if err := c.cluster(fsid); err != nil {
				return zero, err
			}
		}
		return act()
	}()
	if err != nil {
		return v, err
	}
	if err := c.faults.leave(k); err != nil {
		return zero, err
	}
	return v, nil
}

// ended returns the end of a context as the real adapter does: nothing may be
// concluded from it.
func ended(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", quarantine.ErrUnavailable, err)
	}
	return nil
}

// do is call for acts without a result.
func do(ctx context.Context, c *Ceph, k Call, act func() error) error {
	_, err := call(ctx, c, k, func() (struct{}, error) { return struct{}{}, act() })
	return err
}
