package ceph

import (
	"context"
	"errors"
	"syscall"
	"testing"

	cephlab "quarantine/integration/ceph"
	"quarantine/internal/quarantine"
)

// A client that Ceph has blocklisted is told to end, so that it is started
// again with another connection; until then its calls say that it cannot reach
// Ceph, and conclude nothing.
func TestBlocklistedClientEnds(t *testing.T) {
	t.Parallel()
	l := cephlab.Shared(t)
	pool := newPool(t, l)
	c := connect(t, l, pool)
	r, err := NewRegistry(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx := testContext(t)
	stopped, stop := context.WithCancel(ctx)
	stop()
	if err := r.Run(stopped); err != nil {
		t.Errorf("Run ended with %v", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	addr, err := c.conn.GetAddrs()
	if err != nil {
		t.Fatal(err)
	}
	listen(t, r, pool)
	if _, err := l.Ceph(ctx, "osd", "blocklist", "add", addr, "600"); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, quarantine.ErrUnavailable) {
		t.Errorf("Run ended with %v", err)
	}
	if _, err := quarantine.ListTrash(ctx, r, pool); !errors.Is(err, quarantine.ErrUnavailable) || errors.Is(err, quarantine.ErrNotFound) {
		t.Errorf("a listing ended with %v", err)
	}
	if _, err := r.OpenImage(ctx, pool.Key("0123456789ab")); !errors.Is(err, quarantine.ErrUnavailable) || errors.Is(err, quarantine.ErrNotFound) {
		t.Errorf("opening ended with %v", err)
	}
}

// librbdCloses is what librbd says of an image's lock while it closes the image.
type librbdCloses struct{}

func (librbdCloses) Error() string {
	return "rbd: ret=-108, Cannot send after transport endpoint shutdown"
}
func (librbdCloses) ErrorCode() int { return -int(syscall.ESHUTDOWN) }

// That a call fails as those of a blocklisted client do ends nothing while Ceph
// still answers.
func TestClosedImageEndsNothing(t *testing.T) {
	t.Parallel()
	l := cephlab.Shared(t)
	c := connect(t, l, newPool(t, l))
	err := c.do(testContext(t), "lock an image", func() error { return librbdCloses{} })
	if !errors.Is(err, quarantine.ErrUnavailable) {
		t.Errorf("the call ended with %v", err)
	}
	c.asking.Lock() // it has been asked
	defer c.asking.Unlock()
	select {
	case <-c.shutOut:
		t.Error("the client is taken for blocklisted")
	default:
	}
}
