package metrics

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"quarantine/internal/quarantine"
)

// scrape reads what is read at each scrape, once.
type scrape struct {
	m   *Metrics
	ctx context.Context
}

// descriptions of the gauges that are read at each scrape.
type descriptions struct {
	disks, bytes, used, pending, guard, canary, watch, speed, policy *prometheus.Desc
}

func describe() descriptions {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, labels, nil)
	}
	return descriptions{
		disks:   desc("disks", "Disks in the catalog.", "state", "pool"),
		bytes:   desc("bytes", "Provisioned bytes of the disks in the catalog.", "state", "pool"),
		used:    desc("used_bytes", "Allocated bytes of the disks in the catalog, of those that were measured.", "state", "pool"),
		pending: desc("oldest_pending_seconds", "How long the oldest pending disk has been waiting for its seal; 0 if none is."),
		guard:   desc("guard_ok", "1 if the guard of the pool held at the last check, else 0.", "pool"),
		canary:  desc("canary_age_seconds", "Since when no canary was found in the pool's trash.", "pool"),
		watch:   desc("watch_up", "1 if the watch of the pool's trash is established, else 0.", "pool"),
		speed:   desc("collect_speed", "The part of full speed at which space is freed; below 1 while Ceph is busy."),
		policy:  desc("policy_ok", "1 if the policy in force is the one on disk; 0 if that one was refused: the old one decides, and nothing is removed."),
	}
}

// Describe sends nothing: which gauges there are depends on what can be read.
func (s *scrape) Describe(chan<- *prometheus.Desc) {}

// Collect reads and sends the gauges.
func (s *scrape) Collect(ch chan<- prometheus.Metric) {
	d := describe()
	gauge := func(desc *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, v, labels...)
	}
	now := s.m.cfg.Clock()
	gauge(d.speed, s.m.cfg.Speed())
	gauge(d.policy, number(s.m.cfg.PolicyReady() == nil))
	for pool, up := range s.m.cfg.Watches() {
		gauge(d.watch, number(up), pool)
	}
	guards := s.m.guardsByName()
	for pool, g := range guards {
		gauge(d.guard, number(g.ok), pool)
		if !g.canaryAt.IsZero() { // never found: there is no age to show
			gauge(d.canary, max(0, now.Sub(g.canaryAt).Seconds()), pool)
		}
	}
	failed := s.totals(d, guards, gauge)
	oldest, err := s.m.cfg.OldestPending(s.ctx)
	switch {
	case err != nil:
		failed = true
	case oldest.IsZero():
		gauge(d.pending, 0)
	default:
		gauge(d.pending, max(0, now.Sub(oldest).Seconds()))
	}
	if failed {
		s.m.scrapeErrors.Inc()
	}
	s.m.scrapeErrors.Collect(ch) // last, so that a scrape shows its own failure
}

// totals sends the counts of every state of every pool that is guarded or has
// disks, zeros included, so that a count which falls to nothing is not taken
// for one that is missing.
func (s *scrape) totals(d descriptions, guards map[string]guard, gauge func(*prometheus.Desc, float64, ...string)) (failed bool) {
	totals, err := s.m.cfg.Totals(s.ctx)
	if err != nil {
		return true
	}
	type label struct {
		state quarantine.State
		pool  string
	}
	sums := map[label]quarantine.Total{}
	pools := map[string]bool{}
	for pool := range guards {
		pools[pool] = true
	}
	for _, t := range totals {
		// Pools of one name in several clusters share a label.
		k := label{t.State, t.PoolRef.String()}
		sum := sums[k]
		sum.Disks += t.Disks
		sum.Bytes += t.Bytes
		sum.Used += t.Used
		sums[k] = sum
		pools[k.pool] = true
	}
	for pool := range pools {
		for _, state := range quarantine.States() {
			sum := sums[label{state, pool}]
			gauge(d.disks, float64(sum.Disks), string(state), pool)
			gauge(d.bytes, float64(sum.Bytes), string(state), pool)
			gauge(d.used, float64(sum.Used), string(state), pool)
		}
	}
	return false
}
