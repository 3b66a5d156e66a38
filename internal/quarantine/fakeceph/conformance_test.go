package fakeceph_test

import (
	"testing"
	"time"

	"quarantine/internal/quarantine"
	"quarantine/internal/quarantine/cephtest"
	"quarantine/internal/quarantine/fakeceph"
)

// The fake behaves as the real adapter does, which runs the same suite.
func TestConformance(t *testing.T) { cephtest.Run(t, open) }

// Its guard, too.
func TestConformanceOfTheGuard(t *testing.T) { cephtest.RunGuard(t, open) }

// The same with two clusters.
func TestConformanceOfClusters(t *testing.T) { cephtest.RunClusters(t, open) }

func open(t *testing.T) cephtest.Backend {
	const near, far = "11111111-0000-4000-8000-000000000000", "22222222-0000-4000-8000-000000000000"
	now := time.Date(2026, 1, 2, 3, 4, 5, 678_000_000, time.UTC)
	clock := func() time.Time { return now }
	b := cephtest.Backend{
		Pool:      quarantine.PoolRef{FSID: near, Pool: "vms"},
		Other:     quarantine.PoolRef{FSID: near, Pool: "volumes"},
		Namespace: quarantine.PoolRef{FSID: near, Pool: "vms", Namespace: "ns"},
		Far:       quarantine.PoolRef{FSID: far, Pool: "vms"},
		Clock:     clock,
	}
	fake := fakeceph.New(clock)
	for _, p := range []quarantine.PoolRef{b.Pool, b.Other, b.Namespace} {
		fake.AddPool(quarantine.Pool{PoolRef: p, Cluster: "near"})
	}
	fake.AddPool(quarantine.Pool{PoolRef: b.Far, Cluster: "far"})
	b.Ceph, b.Remover, b.Cloud = fake, fake.Remover(), fake
	return b
}
