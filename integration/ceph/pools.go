package cephlab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"quarantine/internal/cephcaps"
)

// NewPool makes a pool for RBD whose name begins with the prefix and which no
// other test has, and gives the lab's users their caps on it.
//
// Ceph's OSDs read a client's caps when it connects: connect after NewPool.
func (l *Lab) NewPool(ctx context.Context, prefix string) (string, error) {
	name := prefix + "-" + newUUID()[:8]
	made := make(chan error, 1)
	l.mu.Lock()
	l.wanted = append(l.wanted, wantedPool{name, made})
	first := !l.making
	l.making = true
	l.mu.Unlock()
	if first {
		// Not with ctx: it makes the pools of others, too.
		l.makeWanted(context.WithoutCancel(ctx))
	}
	err := <-made
	if err == nil {
		err = l.initPool(ctx, name)
	}
	if err != nil {
		return "", fmt.Errorf("make pool %s: %w", name, err)
	}
	return name, nil
}

// wantedPool is a pool that somebody waits for.
type wantedPool struct {
	name string
	made chan<- error
}

// makeWanted makes pools until none is wanted. Those that are asked for while
// one `ceph` process works are left to the next: the tests of a package ask at
// the same time, and a process costs more than a pool.
func (l *Lab) makeWanted(ctx context.Context) {
	for {
		l.mu.Lock()
		batch := l.wanted
		l.wanted = nil
		l.making = len(batch) > 0
		l.mu.Unlock()
		if len(batch) == 0 {
			return
		}
		var names []string
		for _, p := range batch {
			names = append(names, p.name)
		}
		ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
		err := l.makePools(ctx, names)
		cancel()
		for _, p := range batch {
			p.made <- err
		}
	}
}

// initPool checks, by a snapshot, that the pool can do what RBD needs.
// Similar to: rbd pool init.
func (l *Lab) initPool(ctx context.Context, pool string) error {
	_, err := l.RBD(ctx, Admin, "pool", "init", pool)
	return err
}

// makePools makes the pools and gives the users their caps on them. The list
// of pools is in a locked file, because tests of several processes share a
// lab, and each must write the caps on all pools.
func (l *Lab) makePools(ctx context.Context, names []string) (err error) {
	lock, err := os.OpenFile(l.poolsFile()+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("lock the list of pools: %w", err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("lock the list of pools: %w", err)
	}
	pools, err := l.readPools()
	if err != nil {
		return err
	}
	pools = append(pools, names...)
	var commands []string
	for _, name := range names {
		commands = append(commands, "osd pool create "+name+" 8 8 replicated", "osd pool application enable "+name+" rbd")
	}
	for _, u := range userCaps(pools) {
		if u.user == Auditor {
			continue // has no pools
		}
		commands = append(commands, "auth caps client."+u.user+quoted(u.caps))
	}
	// On the list first: caps on a pool that was not made do no harm.
	if err := l.writePools(pools); err != nil {
		return err
	}
	return l.script(ctx, commands...)
}

// quoted returns caps as the arguments of a command of script.
func quoted(c cephcaps.Caps) string {
	var b strings.Builder
	for _, a := range c.Args() {
		b.WriteString(` "` + a + `"`)
	}
	return b.String()
}

func (l *Lab) poolsFile() string { return filepath.Join(l.Dir, "pools") }

func (l *Lab) readPools() ([]string, error) {
	b, err := os.ReadFile(l.poolsFile())
	if err != nil {
		return nil, fmt.Errorf("read the list of pools: %w", err)
	}
	return strings.Fields(string(b)), nil
}

func (l *Lab) writePools(pools []string) error {
	if err := os.WriteFile(l.poolsFile(), []byte(strings.Join(pools, "\n")+"\n"), 0o600); err != nil {
		return fmt.Errorf("write the list of pools: %w", err)
	}
	return nil
}
