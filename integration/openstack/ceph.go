package openstacklab

import (
	"context"
	"fmt"
	"os"
	"strings"

	"quarantine/internal/cephcaps"
)

// protection is how long the guard protects a disk in the trash: ten years, in
// seconds.
const protection = "315360000"

// guardOption is the pool setting that makes librbd move an image to the trash
// instead of removing it.
const guardOption = "rbd_move_to_trash_on_remove"

// cephSide makes the pools and the cloud's key, and the key's file. The key's caps are those that this project gives a
// cloud: it cannot switch the guard off.
func (l *Lab) cephSide(ctx context.Context, guarded bool, p *Pools) error {
	pools := []struct {
		prefix string
		name   *string
	}{{"vms", &p.VMs}, {"volumes", &p.Volumes}, {"images", &p.Images}}
	var makers []func() error
	for _, pool := range pools {
		makers = append(makers, func() (err error) {
			*pool.name, err = l.Ceph.NewPool(ctx, pool.prefix)
			return err
		})
	}
	if err := together(makers...); err != nil {
		return err
	}
	caps := cephcaps.CloudCaps([]string{p.VMs, p.Volumes, p.Images})
	steps := []func() error{func() error {
		keyring, err := l.Ceph.Ceph(ctx, append([]string{"auth", "get-or-create", "client." + l.site.CephUser}, caps.Args()...)...)
		if err != nil {
			return err
		}
		return os.WriteFile(l.path("ceph/keyring"), []byte(keyring), 0o600)
	}}
	if guarded {
		for _, pool := range []string{p.VMs, p.Volumes, p.Images} {
			steps = append(steps, func() error { return l.Guard(ctx, pool, true) })
		}
	}
	return together(steps...)
}

// Guard switches the guard of a pool on, with ten years of protection, or off.
func (l *Lab) Guard(ctx context.Context, pool string, on bool) error {
	set := func(key, value string) error {
		if _, err := l.Ceph.RBD(ctx, "admin", "config", "pool", "set", pool, key, value); err != nil {
			return fmt.Errorf("guard pool %s: %w", pool, err)
		}
		return nil
	}
	if !on {
		return set(guardOption, "false")
	}
	return together(
		func() error { return set(guardOption+"_expire_seconds", protection) },
		func() error { return set(guardOption, "true") })
}

// cephMon reads where the monitor is from the Ceph lab's configuration.
func cephMon(conf string) (string, error) {
	b, err := os.ReadFile(conf)
	if err != nil {
		return "", fmt.Errorf("find the monitor: %w", err)
	}
	for line := range strings.Lines(string(b)) {
		if k, v, ok := strings.Cut(line, "="); ok && strings.TrimSpace(k) == "mon_host" {
			return strings.TrimSpace(v), nil
		}
	}
	return "", fmt.Errorf("find the monitor: %s has no mon_host", conf)
}

// cephKey is the cloud's secret.
func (l *Lab) cephKey() (string, error) {
	b, err := os.ReadFile(l.path("ceph/keyring"))
	if err != nil {
		return "", fmt.Errorf("read the cloud's key: %w", err)
	}
	for line := range strings.Lines(string(b)) {
		if k, v, ok := strings.Cut(line, "="); ok && strings.TrimSpace(k) == "key" {
			return strings.TrimSpace(v), nil
		}
	}
	return "", fmt.Errorf("read the cloud's key: %s has none", l.path("ceph/keyring"))
}
