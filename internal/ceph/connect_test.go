package ceph

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	cephlab "quarantine/integration/ceph"
	"quarantine/internal/quarantine"
)

// deadMonitor returns the configuration of a cluster whose monitor is not
// there.
func deadMonitor(t *testing.T, timeout time.Duration) ClusterConfig {
	t.Helper()
	dir := t.TempDir()
	conf, keyring := filepath.Join(dir, "ceph.conf"), filepath.Join(dir, "keyring")
	// Port 1 of this machine, where nothing listens; the key is well formed.
	for name, text := range map[string]string{
		conf:    "[global]\nfsid = 33333333-0000-4000-8000-000000000000\nmon_host = v2:127.0.0.1:1/0\nlog_to_stderr = false\n",
		keyring: "[client.quarantine]\n\tkey = AQAAAAAAAAAAABAAAQIDBAUGBwgJCgsMDQ4PEA==\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return ClusterConfig{Name: "dead", Conf: conf, User: "quarantine", Keyring: keyring, OpTimeout: timeout, Workers: 1}
}

// Connecting to a monitor that is not there fails within the timeout, and says
// that nothing may be concluded; so it does when the caller has gone.
func TestConnectToADeadMonitor(t *testing.T) {
	t.Parallel()
	start := time.Now()
	_, err := Connect(testContext(t), deadMonitor(t, 2*time.Second))
	if !errors.Is(err, quarantine.ErrUnavailable) {
		t.Errorf("got %v, want that it is unavailable", err)
	}
	if d := time.Since(start); d > closeTimeout(2*time.Second) {
		t.Errorf("it took %s", d)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err = Connect(ctx, deadMonitor(t, 2*time.Second))
	if !errors.Is(err, quarantine.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want that it is unavailable and late", err)
	}
}

// A configuration that cannot work is refused at once, by its name.
func TestConnectRefusals(t *testing.T) {
	t.Parallel()
	l := cephlab.Shared(t)
	pool := newPool(t, l)
	good := ClusterConfig{Name: "lab", Conf: l.Conf, User: cephlab.Quarantine, OpTimeout: testTimeout, Workers: 1}
	for name, c := range map[string]struct {
		change func(*ClusterConfig)
		want   error
	}{
		"NoPool":      {func(c *ClusterConfig) { c.Pools[0].Pool += "-not" }, quarantine.ErrNotFound},
		"NoNamespace": {func(c *ClusterConfig) { c.Pools[0].Namespace = "not" }, quarantine.ErrNotFound},
		"NoConf":      {func(c *ClusterConfig) { c.Conf = filepath.Join(t.TempDir(), "none") }, quarantine.ErrNotFound},
		"NoKeyring":   {func(c *ClusterConfig) { c.Keyring = filepath.Join(t.TempDir(), "none") }, quarantine.ErrNotFound},
		"NoUser":      {func(c *ClusterConfig) { c.User, c.Keyring = "nobody", l.Keyring(cephlab.Quarantine) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := good
			cfg.Pools = []quarantine.Pool{{PoolRef: pool}}
			c.change(&cfg)
			_, err := Connect(testContext(t), cfg)
			if err == nil || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

// Two connections to one cluster would adopt each disk twice.
func TestRegistryRefusesOneClusterTwice(t *testing.T) {
	t.Parallel()
	l := cephlab.Shared(t)
	pool := newPool(t, l)
	a, b := connect(t, l, pool), connect(t, l, pool)
	if _, err := NewRegistry(a, b); !errors.Is(err, quarantine.ErrInvalid) {
		t.Errorf("got %v, want that it is invalid", err)
	}
	if _, err := NewRegistry(a); err != nil {
		t.Error(err)
	}
}

// A call on a closed cluster is refused; Close may be called again.
func TestClosedCluster(t *testing.T) {
	t.Parallel()
	l := cephlab.Shared(t)
	pool := newPool(t, l)
	c := connect(t, l, pool)
	r, err := NewRegistry(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx := testContext(t)
	key, err := newCloud(t, l).CloudCreate(pool, "disk", 4<<20)
	if err != nil {
		t.Fatal(err)
	}
	img, err := r.OpenImage(ctx, key)
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan error)
	go func() { closed <- r.Close() }()
	until(t, "the beginning of Close", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.closed
	})
	// An image that is still open can be closed, and Close waits for that.
	if err := img.WriteRecord(ctx, []byte("{}")); !errors.Is(err, quarantine.ErrUnavailable) {
		t.Errorf("writing ended with %v", err)
	}
	select {
	case err := <-closed:
		t.Errorf("Close did not wait for an open image: %v", err)
	default:
	}
	for range 2 {
		if err := img.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if _, err := r.Health(ctx, l.FSID); !errors.Is(err, quarantine.ErrUnavailable) {
		t.Errorf("got %v, want that it is unavailable", err)
	}
}
