package ceph

import (
	"slices"
	"testing"

	cephlab "quarantine/integration/ceph"
)

// A purge schedule, as the manager writes it, is seen with the service's own
// key; a pool without one has none.
func TestPurgeSchedules(t *testing.T) {
	t.Parallel()
	l := cephlab.Shared(t)
	pool := newPool(t, l)
	r := registry(t, l, pool)
	if got, err := r.PurgeSchedules(t.Context(), pool); err != nil || len(got) != 0 {
		t.Fatalf("a new pool: %q, %v", got, err)
	}
	const schedule = `[{"interval": "1d", "start_time": null}]`
	conn := connectAs(t, l, cephlab.Admin)
	io, err := conn.OpenIOContext(pool.Pool)
	if err != nil {
		t.Fatal(err)
	}
	defer io.Destroy()
	if err := io.SetOmap(scheduleObject, map[string][]byte{"2//": []byte(schedule)}); err != nil {
		t.Fatal(err)
	}
	if got, err := r.PurgeSchedules(t.Context(), pool); err != nil || !slices.Equal(got, []string{schedule}) {
		t.Fatalf("got %q, %v", got, err)
	}
}
