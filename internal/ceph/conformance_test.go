package ceph

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ceph/go-ceph/rbd"

	cephlab "quarantine/integration/ceph"
	"quarantine/internal/quarantine"
	"quarantine/internal/quarantine/cephtest"
)

// The adapter on a real Ceph, with the service's key, behaves as the fake on
// which the domain is tested; the other side acts with the cloud's key. Each
// test has namespaces of its own in two pools.
func TestConformance(t *testing.T) {
	t.Parallel()
	l := cephlab.Shared(t)
	vms, volumes := newPool(t, l), newPool(t, l)
	inVMs, inVolumes := namespaces(t, l, vms), namespaces(t, l, volumes)
	cephtest.Run(t, func(t *testing.T) cephtest.Backend {
		b := cephtest.Backend{Pool: inVMs(t), Namespace: inVMs(t), Other: inVolumes(t)}
		return backend(t, b, newCloud(t, l), connect(t, l, b.Pool, b.Other, b.Namespace))
	})
}

// The guard is a setting of a whole pool: each test has one of its own.
func TestConformanceOfTheGuard(t *testing.T) {
	t.Parallel()
	l := cephlab.Shared(t)
	inOther := namespaces(t, l, newPool(t, l))
	cephtest.RunGuard(t, func(t *testing.T) cephtest.Backend {
		b := cephtest.Backend{Pool: newPool(t, l), Other: inOther(t)}
		b.Namespace = namespaces(t, l, b.Pool)(t)
		return backend(t, b, newCloud(t, l), connect(t, l, b.Pool, b.Other, b.Namespace))
	})
}

func backend(t *testing.T, b cephtest.Backend, cl cephtest.Cloud, clusters ...*Cluster) cephtest.Backend {
	t.Helper()
	r, err := NewRegistry(clusters...)
	if err != nil {
		t.Fatal(err)
	}
	b.Ceph, b.Remover, b.Cloud, b.Clock = r, NewRemover(r, time.Now), cl, time.Now
	return b
}

// namespaces returns a function that makes a new namespace in the pool.
func namespaces(t *testing.T, l *cephlab.Lab, p quarantine.PoolRef) func(t *testing.T) quarantine.PoolRef {
	t.Helper()
	io, err := connectAs(t, l, cephlab.Admin).OpenIOContext(p.Pool)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(io.Destroy)
	var n atomic.Int32
	return func(t *testing.T) quarantine.PoolRef {
		t.Helper()
		q := p
		q.Namespace = fmt.Sprint("ns", n.Add(1))
		if err := rbd.NamespaceCreate(io, q.Namespace); err != nil {
			t.Fatal(err)
		}
		return q
	}
}
