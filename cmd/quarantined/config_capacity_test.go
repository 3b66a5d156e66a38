package main

import (
	"strings"
	"testing"
	"time"

	"quarantine/internal/quarantine"
)

// Watermarks are read as written, and hold for the whole pool, with its namespaces.
func TestCapacityConfig(t *testing.T) {
	t.Parallel()
	c, err := loadConfig(configFile(t, strings.Replace(goodConfig, "{name: vms, cloud: os}",
		"{name: vms, cloud: os, capacity: {high: 85%, low: 72.5 %, quarantine_high: 20TiB, quarantine_low: 1024}}, {name: vms, namespace: a}, {name: other}", 1)))
	if err != nil {
		t.Fatal(err)
	}
	pools := []quarantine.Pool{
		{PoolRef: quarantine.PoolRef{FSID: "f", Pool: "vms"}, Cluster: "ceph"},
		{PoolRef: quarantine.PoolRef{FSID: "f", Pool: "vms", Namespace: "a"}, Cluster: "ceph"},
		{PoolRef: quarantine.PoolRef{FSID: "f", Pool: "other"}, Cluster: "ceph"},
		{PoolRef: quarantine.PoolRef{FSID: "g", Pool: "vms"}, Cluster: "far"},
	}
	got := c.watermarks(pools)
	want := quarantine.Watermarks{High: 0.85, Low: 0.725, QuarantineHigh: 20 << 40, QuarantineLow: 1024}
	if len(got.Pools) != 1 || got.Pools[pools[0].PoolRef] != want || got.MinAge != 24*time.Hour {
		t.Errorf("%+v", got)
	}
}

// What cannot be right is refused, with a text that names it.
func TestCapacityMistakes(t *testing.T) {
	t.Parallel()
	for capacity, want := range map[string]string{
		"{}":                       "it needs high and low",
		"{high: 85%}":              "go together",
		"{quarantine_low: 1GiB}":   "it needs high",
		"{high: 85, low: 75}":      "no percentage",
		"{high: 85%, low: 0%}":     "no percentage",
		"{high: NaN%, low: 1%}":    "no percentage",
		"{high: 75%, low: 85%}":    "above its high one",
		"{quarantine_high: 1TB}":   "no size",
		"{quarantine_high: -1GiB}": "no size",
		"{quarantine_high: 1GiB, quarantine_low: 2GiB}":                                                "above its high one",
		"{high: 85%, low: 75%}}, {name: vms, namespace: a, cloud: os, capacity: {high: 85%, low: 70%}": "differs",
		"{hihg: 85%, low: 75%}": "hihg",
	} {
		_, err := loadConfig(configFile(t, strings.Replace(goodConfig, "cloud: os}", "cloud: os, capacity: "+capacity+"}", 1)))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v does not speak of %q", capacity, err, want)
		}
	}
	if _, err := loadConfig(configFile(t, strings.Replace(goodConfig, "name: alice", "name: capacity", 1))); err == nil || !strings.Contains(err.Error(), "bears that name") {
		t.Errorf("a token may be named as the service: %v", err)
	}
}
