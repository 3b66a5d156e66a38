package cephlab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"quarantine/internal/cephcaps"
)

// NewPool makes a pool for RBD whose name begins with the prefix and which no
// other test has, and gives the lab's users their caps on it.
//
// Ceph's OSDs read a client's caps when it connects: connect after NewPool.
func (l *Lab) NewPool(ctx context.Context, prefix string) (string, error) {
	name := prefix + "-" + newUUID()[:8]
	if err := l.makePool(ctx, name); err != nil {
		return "", fmt.Errorf("make pool %s: %w", name, err)
	}
	if err := l.initPool(ctx, name); err != nil {
		return "", fmt.Errorf("make pool %s: %w", name, err)
	}
	return name, nil
}

// initPool checks, by a snapshot, that the pool can do what RBD needs.
// Similar to: rbd pool init.
func (l *Lab) initPool(ctx context.Context, pool string) error {
	_, err := l.RBD(ctx, Admin, "pool", "init", pool)
	return err
}

// makePool makes the pool and gives the users their caps on it, with one
// `ceph` process. The list of pools is in a locked file, because tests of
// several processes share a lab, and each must write the caps on all pools.
func (l *Lab) makePool(ctx context.Context, pool string) (err error) {
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
	pools = append(pools, pool)
	commands := []string{"osd pool create " + pool + " 8 8 replicated", "osd pool application enable " + pool + " rbd"}
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
