package ceph

import (
	"testing"
	"time"

	cephlab "quarantine/integration/ceph"
)

// Pools on the same OSDs, with as many copies, have the same free, to half a percent,
// whatever is in each: by that they are told (quarantine's beside).
func TestFreeIsTheSameForPoolsOnTheSameOSDs(t *testing.T) {
	t.Parallel()
	l := cephlab.Shared(t)
	full, empty := newPool(t, l), newPool(t, l)
	cl := newCloud(t, l)
	r, err := NewRegistry(connect(t, l, full, empty))
	if err != nil {
		t.Fatal(err)
	}
	const wrote = 64 << 20
	key, err := cl.CloudCreate(full, "disk", wrote)
	if err != nil {
		t.Fatal(err)
	}
	data := make([]byte, 4<<20)
	for i := range data {
		data[i] = byte(i) | 1
	}
	for at := int64(0); at < wrote; at += int64(len(data)) {
		if err := cl.CloudWrite(key, at, data); err != nil {
			t.Fatal(err)
		}
	}
	ctx := testContext(t)
	for {
		a, err := r.Usage(ctx, full)
		if err != nil {
			t.Fatal(err)
		}
		b, err := r.Usage(ctx, empty)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("used %d and %d, free %d and %d", a.UsedBytes, b.UsedBytes, a.FreeBytes, b.FreeBytes)
		if d := max(a.FreeBytes, b.FreeBytes) - min(a.FreeBytes, b.FreeBytes); d > a.FreeBytes/200 {
			t.Errorf("free differs by %d", d)
		}
		if a.UsedBytes >= wrote {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatal("what was written does not show")
		case <-time.After(500 * time.Millisecond):
		}
	}
}
