package catalogtest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"quarantine/internal/quarantine"
)

var vmsPool = quarantine.PoolRef{FSID: "f", Pool: "vms"}

func seeImages(t tb, s Store, pool quarantine.PoolRef, seen []quarantine.SeenImage, forget ...string) {
	t.Helper()
	if err := s.SeeImages(background(), pool, seen, forget); err != nil {
		t.Fatalf("see images of %s: %v", pool, err)
	}
}

// remembers checks all that is remembered of the pool, in order.
func remembers(t tb, s Store, pool quarantine.PoolRef, want ...quarantine.SeenImage) {
	t.Helper()
	got, err := s.SeenImages(background(), pool)
	if err != nil {
		t.Fatalf("seen images of %s: %v", pool, err)
	}
	if len(got) != len(want) {
		t.Fatalf("%s: %+v is remembered, want %+v", pool, got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%s: %+v is remembered, want %+v", pool, got[i], want[i])
		}
	}
}

// Images are remembered by pool and id, with their last name and time, until
// they are forgotten.
func seenImages(t *testing.T, s Store) {
	at := func(n int) time.Time { return t0.Add(time.Duration(n) * time.Microsecond) }
	a, b, c := quarantine.SeenImage{ImageID: "a", Name: "a_disk", SeenAt: at(1)},
		quarantine.SeenImage{ImageID: "b", Name: "b_disk", SeenAt: at(1)}, quarantine.SeenImage{ImageID: "c", Name: "c_disk", SeenAt: at(1)}
	remembers(t, s, vmsPool)
	seeImages(t, s, vmsPool, nil)
	seeImages(t, s, vmsPool, []quarantine.SeenImage{c, a, b})
	remembers(t, s, vmsPool, a, b, c)

	renamed := quarantine.SeenImage{ImageID: "b", Name: "other", SeenAt: at(2)}
	odd := quarantine.SeenImage{ImageID: "d", Name: "d_disk", SeenAt: at(2).Add(999).In(time.FixedZone("east", 3600))}
	d := quarantine.SeenImage{ImageID: "d", Name: "d_disk", SeenAt: at(2)}
	for range 2 {
		seeImages(t, s, vmsPool, []quarantine.SeenImage{renamed, odd}, "c", "none")
		remembers(t, s, vmsPool, a, renamed, d)
	}
	seeImages(t, s, vmsPool, []quarantine.SeenImage{b, a}) // b as it was before
	remembers(t, s, vmsPool, a, renamed, d)
	seeImages(t, s, vmsPool, []quarantine.SeenImage{a}, "a", "b", "d") // gone and there: it is there
	remembers(t, s, vmsPool, a)

	// Of other pools nothing is known, and nothing is forgotten here with theirs.
	for i, pool := range []quarantine.PoolRef{{FSID: "g", Pool: "vms"}, {FSID: "f", Pool: "VMS"}, {FSID: "f", Pool: "vms", Namespace: "n"}} {
		remembers(t, s, pool)
		other := quarantine.SeenImage{ImageID: "a", Name: fmt.Sprint("other", i), SeenAt: at(3)}
		seeImages(t, s, pool, []quarantine.SeenImage{other})
		remembers(t, s, pool, other)
		remembers(t, s, vmsPool, a)
		seeImages(t, s, pool, nil, "a")
		remembers(t, s, pool)
		remembers(t, s, vmsPool, a)
	}
}

// Where one is wrong nothing is remembered and nothing forgotten.
func seeImagesInvalid(t *testing.T, s Store) {
	a := quarantine.SeenImage{ImageID: "a", Name: "a_disk", SeenAt: t0}
	b := quarantine.SeenImage{ImageID: "b", Name: "b_disk", SeenAt: t0}
	seeImages(t, s, vmsPool, []quarantine.SeenImage{a})
	for what, wrong := range map[string]quarantine.SeenImage{"id": {Name: "x", SeenAt: t0}, "time": {ImageID: "x"}} {
		is(t, "without "+what, s.SeeImages(background(), vmsPool, []quarantine.SeenImage{b, wrong}, []string{"a"}), quarantine.ErrInvalid)
	}
	remembers(t, s, vmsPool, a)
	seeImages(t, s, vmsPool, []quarantine.SeenImage{{ImageID: "a", SeenAt: t0}}) // a name may be unknown
	remembers(t, s, vmsPool, quarantine.SeenImage{ImageID: "a", SeenAt: t0})
}

// Names of pools and images are bytes, and come back as they were.
func hostileImages(t *testing.T, s Store) {
	for _, name := range hostileNames() {
		pool := quarantine.PoolRef{FSID: name, Pool: name, Namespace: name}
		seeImages(t, s, pool, []quarantine.SeenImage{{ImageID: name, Name: name, SeenAt: t0}})
	}
	for _, name := range hostileNames() {
		pool := quarantine.PoolRef{FSID: name, Pool: name, Namespace: name}
		remembers(t, s, pool, quarantine.SeenImage{ImageID: name, Name: name, SeenAt: t0})
		seeImages(t, s, pool, nil, name)
		remembers(t, s, pool)
	}
}

// Sweeps of one pool that write at once: each is seen whole or not at all, and
// in the end the newest has its names and times.
func seeImagesConcurrent(t *testing.T, s Store) {
	const sweeps, images = 16, 20
	var wg sync.WaitGroup
	for sweep := range sweeps {
		wg.Go(func() {
			var seen []quarantine.SeenImage
			for i := range images {
				seen = append(seen, quarantine.SeenImage{ImageID: fmt.Sprintf("i%02d", i), Name: fmt.Sprint("n", sweep), SeenAt: t0.Add(time.Duration(sweep) * time.Second)})
			}
			if err := s.SeeImages(background(), vmsPool, seen, []string{"gone"}); err != nil {
				t.Errorf("see: %v", err)
			}
			got, err := s.SeenImages(background(), vmsPool)
			if err != nil || len(got) != images {
				t.Errorf("%d images, %v", len(got), err)
			}
			for _, x := range got {
				if x.Name != got[0].Name || !x.SeenAt.Equal(got[0].SeenAt) {
					t.Errorf("of two sweeps: %+v, %+v", got[0], x)
				}
			}
		})
	}
	wg.Wait()
	got, err := s.SeenImages(background(), vmsPool)
	if err != nil || len(got) != images || got[0].Name != fmt.Sprint("n", sweeps-1) {
		t.Errorf("%+v, %v", got, err)
	}
}
