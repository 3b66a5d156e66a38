package ceph

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/ceph/go-ceph/rados"

	cephlab "quarantine/integration/ceph"
	"quarantine/internal/quarantine"
)

// TestMain lets more tests run at once than there are processors: most of
// their time they wait for Ceph.
func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		if err := flag.Set("test.parallel", "12"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
	}
	os.Exit(m.Run())
}

// testTimeout is the operation timeout of connections of tests in which Ceph
// does not hang: far beyond what a busy machine needs.
const testTimeout = 60 * time.Second

// testContext ends with the test, and before go test loses patience.
func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// newPool makes a pool for the test.
func newPool(t *testing.T, l *cephlab.Lab) quarantine.PoolRef {
	t.Helper()
	name, err := l.NewPool(testContext(t), "ceph")
	if err != nil {
		t.Fatal(err)
	}
	return quarantine.PoolRef{FSID: l.FSID, Pool: name}
}

// connect connects with the service's key until the test ends.
func connect(t *testing.T, l *cephlab.Lab, pools ...quarantine.PoolRef) *Cluster {
	t.Helper()
	return connectWithin(t, l, testTimeout, pools...)
}

// registry is a Registry of the pools, until the test ends.
func registry(t *testing.T, l *cephlab.Lab, pools ...quarantine.PoolRef) *Registry {
	t.Helper()
	r, err := NewRegistry(connect(t, l, pools...))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func connectWithin(t *testing.T, l *cephlab.Lab, timeout time.Duration, pools ...quarantine.PoolRef) *Cluster {
	t.Helper()
	cfg := ClusterConfig{Name: "lab", Conf: l.Conf, User: cephlab.Quarantine, OpTimeout: timeout, Workers: 64}
	for _, p := range pools {
		cfg.Pools = append(cfg.Pools, quarantine.Pool{PoolRef: p, Cloud: "cloud", Guarded: true, Protect: 24 * time.Hour})
	}
	c, err := Connect(testContext(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// connectAs makes a plain connection of another user.
func connectAs(t *testing.T, l *cephlab.Lab, user string) *rados.Conn {
	t.Helper()
	conn, err := rados.NewConnWithUser(user)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.ReadConfigFile(l.Conf); err != nil {
		t.Fatal(err)
	}
	for _, option := range []string{"rados_mon_op_timeout", "rados_osd_op_timeout", "client_mount_timeout"} {
		if err := conn.SetConfigOption(option, "120"); err != nil {
			t.Fatal(err)
		}
	}
	if err := conn.Connect(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Shutdown)
	return conn
}
