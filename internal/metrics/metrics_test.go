package metrics_test

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"quarantine/internal/metrics"
	"quarantine/internal/quarantine"
)

var (
	vms  = quarantine.PoolRef{FSID: "fsid-1", Pool: "vms"}
	blue = quarantine.PoolRef{FSID: "fsid-1", Pool: "vms", Namespace: "blue"}
	twin = quarantine.PoolRef{FSID: "fsid-2", Pool: "vms"}
)

// catalog is what the metrics read.
type catalog struct {
	totals  []quarantine.Total
	oldest  time.Time
	err     error
	watches map[string]bool
	now     time.Time
	refused error // of the policy on disk
}

func start(c *catalog) *metrics.Metrics {
	return metrics.New(metrics.Config{
		Totals:        func(ctx context.Context) ([]quarantine.Total, error) { return c.totals, errors.Join(c.err, ctx.Err()) },
		OldestPending: func(ctx context.Context) (time.Time, error) { return c.oldest, errors.Join(c.err, ctx.Err()) },
		Watches:       func() map[string]bool { return c.watches },
		Speed:         func() float64 { return 1 },
		PolicyReady:   func() error { return c.refused },
		Clock:         func() time.Time { return c.now },
	})
}

// scrape returns the series of this service, by name and labels.
func scrape(t *testing.T, m *metrics.Metrics) map[string]float64 {
	t.Helper()
	return scrapeWith(t, m, t.Context())
}

func scrapeWith(t *testing.T, m *metrics.Metrics, ctx context.Context) map[string]float64 {
	t.Helper()
	rec := httptest.NewRecorder()
	m.Handler().ServeHTTP(rec, httptest.NewRequestWithContext(ctx, "GET", "/metrics", nil))
	if rec.Code != http.StatusOK {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	series := map[string]float64{}
	for line := range strings.Lines(rec.Body.String()) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "quarantine_") {
			continue
		}
		i := strings.LastIndex(line, " ")
		v, err := strconv.ParseFloat(line[i+1:], 64)
		if err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		series[line[:i]] = v
	}
	return series
}

// want checks some series; one that is missing is an error.
func want(t *testing.T, got, want map[string]float64) {
	t.Helper()
	for name, v := range want {
		if g, ok := got[name]; !ok || g != v {
			t.Errorf("%s is %v (there: %t), want %v", name, g, ok, v)
		}
	}
}

func absent(t *testing.T, got map[string]float64, prefix string) {
	t.Helper()
	for name := range got {
		if strings.HasPrefix(name, prefix) {
			t.Errorf("%s is there", name)
		}
	}
}

// What the catalog knows is shown by state and pool; a state without disks is
// shown as zero, and pools of one name share their numbers.
func TestCatalogGauges(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	c := &catalog{now: now, totals: []quarantine.Total{
		{PoolRef: vms, State: quarantine.Quarantined, Disks: 3, Bytes: 300, Used: 30},
		{PoolRef: twin, State: quarantine.Quarantined, Disks: 2, Bytes: 20, Used: 2},
		{PoolRef: blue, State: quarantine.Purged, Disks: 1, Bytes: 7, Used: 1},
	}, watches: map[string]bool{"vms": true, "vms/blue": false}}
	m := start(c)
	want(t, scrape(t, m), map[string]float64{
		`quarantine_disks{pool="vms",state="quarantined"}`:      5,
		`quarantine_bytes{pool="vms",state="quarantined"}`:      320,
		`quarantine_used_bytes{pool="vms",state="quarantined"}`: 32,
		`quarantine_disks{pool="vms",state="lost"}`:             0,
		`quarantine_disks{pool="vms/blue",state="purged"}`:      1,
		`quarantine_disks{pool="vms/blue",state="quarantined"}`: 0,
		`quarantine_oldest_pending_seconds`:                     0,
		`quarantine_watch_up{pool="vms"}`:                       1,
		`quarantine_watch_up{pool="vms/blue"}`:                  0,
		`quarantine_scrape_errors_total`:                        0,
	})
	c.oldest = now.Add(-90 * time.Second)
	want(t, scrape(t, m), map[string]float64{`quarantine_oldest_pending_seconds`: 90})
}

// A scrape that cannot read the catalog shows none of its numbers, rather than
// zeros, and counts that; the others are there. The next one is as before.
func TestUnreadableCatalogShowsNoNumbers(t *testing.T) {
	t.Parallel()
	c := &catalog{totals: []quarantine.Total{{PoolRef: vms, State: quarantine.Lost, Disks: 1}}, watches: map[string]bool{"vms": true}}
	m := start(c)
	m.GuardChecked(quarantine.GuardStatus{Pool: quarantine.Pool{PoolRef: vms, Guarded: true}})
	c.err = quarantine.ErrUnavailable
	got := scrape(t, m)
	for _, name := range []string{"quarantine_disks", "quarantine_bytes", "quarantine_used_bytes", "quarantine_oldest_pending_seconds"} {
		absent(t, got, name)
	}
	want(t, got, map[string]float64{`quarantine_scrape_errors_total`: 1, `quarantine_watch_up{pool="vms"}`: 1, `quarantine_guard_ok{pool="vms"}`: 1})
	c.err = nil
	// A client that is gone is no reason to read on, and no zero either.
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	absent(t, scrapeWith(t, m, gone), "quarantine_disks")
	want(t, scrape(t, m), map[string]float64{`quarantine_scrape_errors_total`: 2, `quarantine_disks{pool="vms",state="lost"}`: 1})
}

// A guarded pool that has no disks is shown with zeros.
func TestGuardedPoolWithoutDisks(t *testing.T) {
	t.Parallel()
	m := start(&catalog{})
	m.GuardChecked(quarantine.GuardStatus{Pool: quarantine.Pool{PoolRef: blue, Guarded: true}})
	want(t, scrape(t, m), map[string]float64{`quarantine_disks{pool="vms/blue",state="quarantined"}`: 0})
}

// The guard of a pool, and the age of its canary at the moment of the scrape.
// A pool that is meant to have none is not shown; of namesakes the worse is.
func TestGuard(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	c := &catalog{now: now}
	m := start(c)
	pool := func(p quarantine.PoolRef) quarantine.Pool { return quarantine.Pool{PoolRef: p, Guarded: true} }
	m.GuardChecked(quarantine.GuardStatus{Pool: pool(vms), CanaryAt: now.Add(-time.Minute)})
	m.GuardChecked(quarantine.GuardStatus{Pool: pool(blue), Fault: "off"})
	m.GuardChecked(quarantine.GuardStatus{Pool: quarantine.Pool{PoolRef: quarantine.PoolRef{Pool: "raw"}}, Fault: "off"})
	c.now = now.Add(time.Minute)
	got := scrape(t, m)
	want(t, got, map[string]float64{
		`quarantine_guard_ok{pool="vms"}`: 1, `quarantine_guard_ok{pool="vms/blue"}`: 0, `quarantine_canary_age_seconds{pool="vms"}`: 120,
	})
	absent(t, got, `quarantine_canary_age_seconds{pool="vms/blue"}`)
	absent(t, got, `quarantine_guard_ok{pool="raw"}`)
	m.GuardChecked(quarantine.GuardStatus{Pool: pool(twin), Fault: "off", CanaryAt: now.Add(-time.Hour)})
	for range 20 { // whichever of the two is looked at first
		want(t, scrape(t, m), map[string]float64{`quarantine_guard_ok{pool="vms"}`: 0, `quarantine_canary_age_seconds{pool="vms"}`: 3660})
	}
	m.GuardChecked(quarantine.GuardStatus{Pool: pool(twin), CanaryAt: c.now})
	want(t, scrape(t, m), map[string]float64{`quarantine_guard_ok{pool="vms"}`: 1, `quarantine_canary_age_seconds{pool="vms"}`: 120})
}

// A policy on disk that was refused is shown, also while the catalog cannot be read,
// until a good one is in force.
func TestRefusedPolicy(t *testing.T) {
	t.Parallel()
	c := &catalog{}
	m := start(c)
	want(t, scrape(t, m), map[string]float64{`quarantine_policy_ok`: 1})
	c.refused, c.err = quarantine.ErrRefused, quarantine.ErrUnavailable
	want(t, scrape(t, m), map[string]float64{`quarantine_policy_ok`: 0})
	c.refused = nil
	want(t, scrape(t, m), map[string]float64{`quarantine_policy_ok`: 1})
}

// What is told is counted under the right labels.
func TestCounters(t *testing.T) {
	t.Parallel()
	m := start(&catalog{})
	m.Moved(&quarantine.Disk{ID: "0123456789abcdef", State: quarantine.Pending}, "")
	m.Moved(&quarantine.Disk{State: quarantine.Quarantined}, quarantine.Pending)
	m.Moved(&quarantine.Disk{State: quarantine.Quarantined}, quarantine.Pending)
	m.Captured(3 * time.Second)
	m.Captured(-time.Second)
	m.CustodyFailed()
	success := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	m.JobFinished(quarantine.LastRun{Job: "guard", LastSuccess: success})
	m.JobFinished(quarantine.LastRun{Job: "collect", Stopped: "the clock"})
	m.JobFinished(quarantine.LastRun{Job: "reconcile", LastSuccess: success, Failed: 2, Acts: 9})
	m.Requested("GET /v1/disks/{id}", 200, 30*time.Millisecond)
	m.Requested("GET /v1/disks/{id}", 404, time.Millisecond)
	m.Notification("os", "recorded", 4*time.Second)
	m.Notification("os", "ignored", 0)
	m.Notification("os", "ignored", -time.Second)
	m.BusConnected("os", "1", true)
	m.BusBacklog("os", "1", 7)
	m.BusConnected("os", "cell2", true)
	m.BusConnected("os", "cell2", false)
	m.Moved(&quarantine.Disk{Key: vms.Key("i"), State: quarantine.Expiring, EarlyBy: quarantine.EarlyByCapacity, UsedBytes: 7}, quarantine.Quarantined)
	m.Moved(&quarantine.Disk{Key: vms.Key("i"), State: quarantine.Expiring, EarlyBy: quarantine.EarlyByCapacity, UsedBytes: 7}, quarantine.Purging)
	m.Moved(&quarantine.Disk{Key: vms.Key("i"), State: quarantine.Expiring, EarlyBy: "ann", UsedBytes: 7}, quarantine.Quarantined)
	got := scrape(t, m)
	want(t, got, map[string]float64{
		`quarantine_evicted_total{pool="vms"}`:                                                   1,
		`quarantine_evicted_bytes_total{pool="vms"}`:                                             7,
		`quarantine_transitions_total{from="new",to="pending"}`:                                  1,
		`quarantine_transitions_total{from="pending",to="quarantined"}`:                          2,
		`quarantine_capture_lag_seconds_count`:                                                   2,
		`quarantine_capture_lag_seconds_sum`:                                                     3,
		`quarantine_capture_lag_seconds_bucket{le="2.5"}`:                                        1,
		`quarantine_capture_lag_seconds_bucket{le="5"}`:                                          2,
		`quarantine_custody_failures_total`:                                                      1,
		`quarantine_job_last_success_timestamp_seconds{job="guard"}`:                             float64(success.Unix()),
		`quarantine_job_failures_total{job="guard"}`:                                             0,
		`quarantine_job_failures_total{job="collect"}`:                                           1,
		`quarantine_job_failures_total{job="reconcile"}`:                                         1,
		`quarantine_job_last_success_timestamp_seconds{job="reconcile"}`:                         float64(success.Unix()),
		`quarantine_http_requests_total{route="GET /v1/disks/{id}",status="200"}`:                1,
		`quarantine_http_requests_total{route="GET /v1/disks/{id}",status="404"}`:                1,
		`quarantine_http_request_duration_seconds_count{route="GET /v1/disks/{id}"}`:             2,
		`quarantine_http_request_duration_seconds_bucket{route="GET /v1/disks/{id}",le="0.025"}`: 1,
		`quarantine_notifications_total{cloud="os",result="recorded"}`:                           1,
		`quarantine_notifications_total{cloud="os",result="ignored"}`:                            2,
		`quarantine_notification_lag_seconds_count{cloud="os"}`:                                  2,
		`quarantine_notification_lag_seconds_sum{cloud="os"}`:                                    4,
		`quarantine_bus_connected{bus="1",cloud="os"}`:                                           1,
		`quarantine_bus_connected{bus="cell2",cloud="os"}`:                                       0,
		`quarantine_bus_backlog_messages{bus="1",cloud="os"}`:                                    7,
	})
	absent(t, got, `quarantine_job_last_success_timestamp_seconds{job="collect"}`)
	for name := range got {
		if strings.Contains(name, "0123456789abcdef") {
			t.Errorf("%s bears a disk's id", name)
		}
	}
}

// The names and labels are what dashboards and alerts are written for.
func TestNames(t *testing.T) {
	t.Parallel()
	c := &catalog{totals: []quarantine.Total{{PoolRef: vms, State: quarantine.Lost}}, watches: map[string]bool{"vms": true}}
	m := start(c)
	m.Moved(&quarantine.Disk{State: quarantine.Pending}, "")
	m.Moved(&quarantine.Disk{Key: vms.Key("i"), State: quarantine.Expiring, EarlyBy: quarantine.EarlyByCapacity, UsedBytes: 7}, quarantine.Quarantined)
	m.GuardChecked(quarantine.GuardStatus{Pool: quarantine.Pool{PoolRef: vms, Guarded: true}, CanaryAt: time.Unix(1, 0)})
	m.CapacitySampled([]quarantine.PoolState{{Pool: "vms", Usage: &quarantine.PoolUsage{UsedBytes: 1, FreeBytes: 3}, Short: 7}})
	m.JobFinished(quarantine.LastRun{Job: "guard", LastSuccess: time.Unix(1, 0)})
	m.Requested("r", 200, 0)
	m.Notification("os", "recorded", time.Second)
	m.BusConnected("os", "1", true)
	m.BusBacklog("os", "1", 7)
	names := map[string]bool{}
	for series := range scrape(t, m) {
		name, labels, _ := strings.Cut(strings.TrimSuffix(series, "}"), "{")
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			name = strings.TrimSuffix(name, suffix)
		}
		var keys []string
		for _, l := range strings.Split(labels, ",") {
			if key, _, _ := strings.Cut(l, "="); key != "" && key != "le" {
				keys = append(keys, key)
			}
		}
		names[name+"{"+strings.Join(keys, ",")+"}"] = true
	}
	expected := []string{
		"quarantine_bus_backlog_messages{bus,cloud}", "quarantine_bus_connected{bus,cloud}", "quarantine_bytes{pool,state}", "quarantine_canary_age_seconds{pool}", "quarantine_capture_lag_seconds{}", "quarantine_collect_speed{}",
		"quarantine_custody_failures_total{}", "quarantine_disks{pool,state}", "quarantine_evicted_bytes_total{pool}", "quarantine_evicted_total{pool}", "quarantine_guard_ok{pool}",
		"quarantine_http_request_duration_seconds{route}", "quarantine_http_requests_total{route,status}",
		"quarantine_job_failures_total{job}", "quarantine_job_last_success_timestamp_seconds{job}", "quarantine_notification_lag_seconds{cloud}",
		"quarantine_notifications_total{cloud,result}", "quarantine_oldest_pending_seconds{}", "quarantine_policy_ok{}", "quarantine_pool_fill_ratio{pool}", "quarantine_pool_short_bytes{pool}", "quarantine_scrape_errors_total{}",
		"quarantine_tampering_total{act}", "quarantine_transitions_total{from,to}", "quarantine_used_bytes{pool,state}", "quarantine_watch_up{pool}",
	}
	if got := slices.Sorted(maps.Keys(names)); !slices.Equal(got, expected) {
		t.Errorf("%q\nwant %q", got, expected)
	}
}

// Two of them do not meet: there is no registry that they share. And all may be
// called at once.
func TestSeveralAndConcurrent(t *testing.T) {
	t.Parallel()
	a, b := start(&catalog{}), start(&catalog{})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				a.CustodyFailed()
				a.GuardChecked(quarantine.GuardStatus{Pool: quarantine.Pool{PoolRef: vms, Guarded: true}, CanaryAt: time.Unix(1, 0)})
			}
			a.Handler().ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/metrics", nil))
		})
	}
	wg.Wait()
	want(t, scrape(t, a), map[string]float64{`quarantine_custody_failures_total`: 400})
	want(t, scrape(t, b), map[string]float64{`quarantine_custody_failures_total`: 0})
}
