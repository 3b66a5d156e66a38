package ceph

import (
	"testing"
	"time"

	cephlab "quarantine/integration/ceph"
	"quarantine/internal/quarantine"
)

// One slow OSD of many does not count, one of few does.
func TestSlowest(t *testing.T) {
	t.Parallel()
	osd := func(commit, apply string) string {
		return `{"id":0,"perf_stats":{"commit_latency_ms":` + commit + `,"apply_latency_ms":` + apply + `}},`
	}
	form := func(osds string) string {
		return `{"osdstats":{"osd_perf_infos":[` + osds + `{"id":9,"perf_stats":{"commit_latency_ms":1,"apply_latency_ms":1}}]}}`
	}
	many := ""
	for range 30 {
		many += osd("3", "4")
	}
	for text, want := range map[string]time.Duration{
		form(""): time.Millisecond, form(osd("70", "2")): 70 * time.Millisecond, form(osd("2", "80")): 80 * time.Millisecond,
		form(many + osd("900", "900")): 4 * time.Millisecond, `{"osdstats":{"osd_perf_infos":[]}}`: 0,
	} {
		if got, err := slowest([]byte(text)); err != nil || got != want {
			t.Errorf("%s: %v, %v, want %s", text, got, err, want)
		}
	}
	if _, err := slowest([]byte("[")); err == nil {
		t.Error("what does not parse is no latency")
	}
}

// Data that waits to be moved is not moved; what is moved is named.
func TestRecovering(t *testing.T) {
	t.Parallel()
	for states, want := range map[string]string{
		`{"state_name":"active+clean","count":9},{"state_name":"active+remapped+backfill_wait","count":3}`: "",
		`{"state_name":"active+clean","count":9},{"state_name":"active+remapped+backfilling","count":3}`:   "3 placement groups are active+remapped+backfilling",
		`{"state_name":"active+recovering","count":1}`:                                                     "1 placement groups are active+recovering",
	} {
		if got, err := recovering([]byte(`{"pgmap":{"pgs_by_state":[` + states + `]}}`)); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", states, got, err, want)
		}
	}
}

// A key that may ask the manager hears of all OSDs' writes; the usual one times
// a read of its own.
func TestLoadByKey(t *testing.T) {
	t.Parallel()
	l := cephlab.Shared(t)
	pool := newPool(t, l)
	for user, want := range map[string]string{cephlab.Admin: "writes of the OSDs", cephlab.Quarantine: "the service's own reads"} {
		c, err := Connect(t.Context(), ClusterConfig{
			Name: "lab", Conf: l.Conf, User: user, OpTimeout: 20 * time.Second, Workers: 4, Clock: time.Now,
			Pools: []quarantine.Pool{{PoolRef: quarantine.PoolRef{Pool: pool.Pool}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		r, err := NewRegistry(c)
		if err != nil {
			t.Fatal(err)
		}
		load, err := r.Load(t.Context(), c.FSID())
		if err != nil || load.Of != want || load.Recovering != "" || user == cephlab.Quarantine && load.Latency <= 0 {
			t.Errorf("%s: %+v, %v, want %q", user, load, err, want)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}
