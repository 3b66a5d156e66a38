package catalogtest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"quarantine/internal/quarantine"
)

// sightingOf is a sighting of a VM with all that a cloud tells of a living one.
func sightingOf(id string, at time.Time) quarantine.Sighting {
	d := fullDeletion("del-" + id)
	d.ResourceID, d.StartedAt, d.EndedAt, d.ReceivedAt = id, time.Time{}, time.Time{}, time.Time{}
	return quarantine.Sighting{SeenAt: at, Deletion: d}
}

func see(t tb, s Store, seen ...quarantine.Sighting) {
	t.Helper()
	if err := s.See(background(), seen); err != nil {
		t.Fatalf("see: %v", err)
	}
}

func markDead(t tb, s Store, id string) {
	t.Helper()
	if err := s.MarkDead(background(), "prod", quarantine.ResourceVM, id); err != nil {
		t.Fatalf("mark %s as dead: %v", id, err)
	}
}

// sighting checks what is kept of a VM of the cloud "prod".
func sighting(t tb, s Store, id string, want quarantine.Sighting) {
	t.Helper()
	got, err := s.Sighting(background(), "prod", quarantine.ResourceVM, id)
	if err != nil {
		t.Fatalf("sighting of %s: %v", id, err)
	}
	want.Deletion = want.Deletion.Normalize()
	same(t, "sighting of "+id, got, want)
}

// vanishes checks which resources are on a page of the vanished, in order.
func vanishes(t tb, s Store, before time.Time, limit int, want ...string) {
	t.Helper()
	got, err := s.Vanished(background(), "prod", before, limit)
	if err != nil {
		t.Fatalf("vanished before %s: %v", before, err)
	}
	out := []string{}
	for _, x := range got {
		out = append(out, x.Deletion.ResourceID)
	}
	if fmt.Sprint(out) != fmt.Sprint(want) {
		t.Errorf("before %s, at most %d: %v vanished, want %v", before, limit, out, want)
	}
}

// The last sighting of a resource is kept whole, whatever came in which order;
// an older one changes nothing. A resource is its cloud, kind and id together.
func seeKeepsTheLast(t *testing.T, s Store) {
	_, err := s.Sighting(background(), "prod", quarantine.ResourceVM, "vm")
	is(t, "before any", err, quarantine.ErrNotFound)
	see(t, s) // nothing

	first := sightingOf("vm", t0)
	see(t, s, first)
	sighting(t, s, "vm", first)

	moved := sightingOf("vm", t0.Add(time.Minute))
	moved.Deletion.Host, moved.Deletion.Addresses = "node2", []quarantine.Address{{IP: "192.0.2.99", Type: "floating"}}
	see(t, s, moved)
	sighting(t, s, "vm", moved)
	see(t, s, moved, first)
	sighting(t, s, "vm", moved)

	again := moved
	again.SeenAt, again.Deletion.Host = moved.SeenAt, "node3"
	see(t, s, moved, again) // of one time: the last
	sighting(t, s, "vm", again)

	volume, abroad := sightingOf("vm", t0), sightingOf("vm", t0)
	volume.Deletion.ResourceKind, abroad.Deletion.Cloud = quarantine.ResourceVolume, "other"
	see(t, s, volume, abroad)
	sighting(t, s, "vm", again)
	for _, other := range []quarantine.Sighting{volume, abroad} {
		d := other.Deletion
		got, err := s.Sighting(background(), d.Cloud, d.ResourceKind, d.ResourceID)
		if err != nil {
			t.Fatalf("sighting: %v", err)
		}
		same(t, "another resource of that id", got, quarantine.Sighting{SeenAt: t0, Deletion: d.Normalize()})
	}
	_, err = s.Sighting(background(), "prod", quarantine.ResourceImage, "vm")
	is(t, "of another kind", err, quarantine.ErrNotFound)
	_, err = s.Sighting(background(), "Prod", quarantine.ResourceVM, "vm")
	is(t, "of another cloud", err, quarantine.ErrNotFound)
}

// Of sightings of which one is wrong none is kept.
func seeInvalid(t *testing.T, s Store) {
	for what, change := range map[string]func(*quarantine.Sighting){
		"time":     func(x *quarantine.Sighting) { x.SeenAt = time.Time{} },
		"cloud":    func(x *quarantine.Sighting) { x.Deletion.Cloud = "" },
		"kind":     func(x *quarantine.Sighting) { x.Deletion.ResourceKind = "" },
		"resource": func(x *quarantine.Sighting) { x.Deletion.ResourceID = "" },
		"id":       func(x *quarantine.Sighting) { x.Deletion.ID = "" },
		"year":     func(x *quarantine.Sighting) { x.Deletion.CreatedAt = time.Date(12345, 1, 1, 0, 0, 0, 0, time.UTC) },
	} {
		wrong := sightingOf("wrong", t0)
		change(&wrong)
		is(t, "without "+what, s.See(background(), []quarantine.Sighting{sightingOf("right", t0), wrong}), quarantine.ErrInvalid)
	}
	_, err := s.Sighting(background(), "prod", quarantine.ResourceVM, "right")
	is(t, "the right one", err, quarantine.ErrNotFound)
}

// Vanished are those that were seen before the time, not at it, and are not
// dead: the oldest first, then by kind and id; of one cloud, a page of them.
func vanished(t *testing.T, s Store) {
	us := time.Microsecond
	image := sightingOf("z image", t0)
	image.Deletion.ResourceKind = quarantine.ResourceImage
	abroad := sightingOf("abroad", t0)
	abroad.Deletion.Cloud = "other"
	see(t, s, sightingOf("c", t0.Add(2*us)), sightingOf("b", t0), sightingOf("a", t0), image, abroad,
		sightingOf("d", t0.Add(time.Hour).In(time.FixedZone("east", 7200))), sightingOf("e", t0.Add(2*us+999)))
	all := []string{"z image", "a", "b", "c", "e", "d"}
	later := t0.Add(2 * time.Hour)
	vanishes(t, s, later, 0, all...)
	vanishes(t, s, later, 100, all...)
	vanishes(t, s, later, 2, all[:2]...)
	vanishes(t, s, t0, 0)
	vanishes(t, s, t0.Add(us), 0, all[:3]...)
	vanishes(t, s, t0.Add(1), 0, all[:3]...) // between what can be kept
	vanishes(t, s, t0.Add(2*us), 0, all[:3]...)
	vanishes(t, s, t0.Add(2*us+1), 0, all[:5]...)
	vanishes(t, s, time.Time{}, 0)
	got, err := s.Vanished(background(), "prod", later, 1)
	if err != nil || len(got) != 1 {
		t.Fatalf("vanished: %v, %v", got, err)
	}
	same(t, "what vanished", got[0], quarantine.Sighting{SeenAt: t0, Deletion: image.Deletion.Normalize()})
	if none, err := s.Vanished(background(), "nowhere", later, 0); err != nil || len(none) != 0 {
		t.Errorf("of a cloud that was never seen: %v, %v", none, err)
	}
	_, err = s.Vanished(background(), "prod", later, -1)
	is(t, "a negative page", err, quarantine.ErrInvalid)

	markDead(t, s, "a")
	markDead(t, s, "a")
	vanishes(t, s, later, 0, "z image", "b", "c", "e", "d")
	see(t, s, sightingOf("b", later)) // it is back
	vanishes(t, s, later, 0, "z image", "c", "e", "d")
}

// The dead do not vanish, and can be asked for until they are forgotten; a new
// sighting makes one alive again, an old one does not.
func deadAndForgotten(t *testing.T, s Store) {
	later := t0.Add(time.Hour)
	for _, x := range []struct {
		cloud string
		kind  quarantine.ResourceKind
		id    string
	}{{"prod", quarantine.ResourceVM, "none"}, {"prod", quarantine.ResourceVolume, "a"}, {"other", quarantine.ResourceVM, "a"}} {
		see(t, s, sightingOf("a", t0))
		is(t, "mark what was not seen", s.MarkDead(background(), x.cloud, x.kind, x.id), quarantine.ErrNotFound)
	}
	see(t, s, sightingOf("b", t0.Add(time.Microsecond)), sightingOf("c", t0))
	markDead(t, s, "a")
	markDead(t, s, "b")
	vanishes(t, s, later, 0, "c")
	sighting(t, s, "a", sightingOf("a", t0))
	see(t, s, sightingOf("a", t0.Add(-time.Microsecond)))
	vanishes(t, s, later, 0, "c")
	see(t, s, sightingOf("a", t0))
	vanishes(t, s, later, 0, "a", "c")
	markDead(t, s, "a")

	forget := func(before time.Time, want int64) {
		t.Helper()
		if n, err := s.ForgetSightings(background(), before); err != nil || n != want {
			t.Errorf("forget before %s: %d, %v; want %d", before, n, err, want)
		}
	}
	forget(t0, 0)
	sighting(t, s, "a", sightingOf("a", t0))
	forget(t0.Add(1), 1)
	_, err := s.Sighting(background(), "prod", quarantine.ResourceVM, "a")
	is(t, "the forgotten", err, quarantine.ErrNotFound)
	is(t, "mark the forgotten", s.MarkDead(background(), "prod", quarantine.ResourceVM, "a"), quarantine.ErrNotFound)
	forget(t0.Add(time.Microsecond), 0)
	forget(later, 1)
	forget(later, 0)
	vanishes(t, s, later, 0, "c") // the living are never forgotten
	see(t, s, sightingOf("a", t0))
	sighting(t, s, "a", sightingOf("a", t0))
	vanishes(t, s, later, 0, "a", "c")
}

// hostileNames are names that a store could take for something else. Those
// that are not UTF-8 are kept with U+FFFD in place of each wrong byte.
func hostileNames() []string {
	return []string{"'; DROP TABLE sightings; --", `"`, "%", "_", "?", "a\x00b", "a", "A", "é", "e\u0301", "<&>\u2028", "\xff", "x\xfe\xfdy", " a ", "\U0010FFFF", "NULL"}
}

// Strange names mean themselves, in every method, and no two of them are one.
func hostileSightings(t *testing.T, s Store) {
	later := t0.Add(time.Hour)
	for i, cloud := range hostileNames() {
		at := t0.Add(time.Duration(i) * time.Second)
		x := sightingOf(cloud, at)
		x.Deletion.Cloud, x.Deletion.ResourceKind = cloud, quarantine.ResourceKind(cloud)
		see(t, s, x)
	}
	for i, cloud := range hostileNames() {
		at := t0.Add(time.Duration(i) * time.Second)
		got, err := s.Sighting(background(), cloud, quarantine.ResourceKind(cloud), cloud)
		if err != nil || !got.SeenAt.Equal(at) {
			t.Errorf("sighting of %q: %v, %v", cloud, got.SeenAt, err)
		}
		gone, err := s.Vanished(background(), cloud, later, 0)
		if err != nil || len(gone) != 1 || !gone[0].SeenAt.Equal(at) {
			t.Fatalf("vanished of %q: %d, %v", cloud, len(gone), err)
		}
		d := gone[0].Deletion // as it is handed back
		if err := s.MarkDead(background(), d.Cloud, d.ResourceKind, d.ResourceID); err != nil {
			t.Errorf("mark %q as dead: %v", cloud, err)
		}
		if gone, err := s.Vanished(background(), cloud, later, 0); err != nil || len(gone) != 0 {
			t.Errorf("vanished of %q, dead: %d, %v", cloud, len(gone), err)
		}
	}
}

// After any calls the inventory says what the plainest inventory says.
func inventoryModel(t *testing.T, s Store) {
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		cloud := fmt.Sprint("cloud", n)
		type kept struct {
			quarantine.Sighting
			dead bool
		}
		model := map[string]kept{}
		draw := func(t *rapid.T) quarantine.Sighting {
			x := sightingOf(word(t, "id", "a", "b", "c"), t0.Add(time.Duration(rapid.IntRange(0, 4).Draw(t, "at"))*time.Second))
			x.Deletion.Cloud, x.Deletion.Host = cloud, word(t, "host", "", "n1", "n2")
			return x
		}
		t.Repeat(map[string]func(*rapid.T){
			"see": func(t *rapid.T) {
				seen := rapid.SliceOfN(rapid.Custom(draw), 0, 4).Draw(t, "seen")
				see(t, s, seen...)
				for _, x := range seen {
					if id := x.Deletion.ResourceID; !x.SeenAt.Before(model[id].SeenAt) {
						model[id] = kept{x, false}
					}
				}
			},
			"mark dead": func(t *rapid.T) {
				id := word(t, "id", "a", "b", "c")
				err := s.MarkDead(background(), cloud, quarantine.ResourceVM, id)
				m, known := model[id]
				if known {
					m.dead = true
					model[id] = m
				} else {
					is(t, "mark", err, quarantine.ErrNotFound)
				}
			},
			"forget": func(t *rapid.T) {
				before := moment(t, "before")
				// Of other clouds too, of earlier rounds: their number is not compared.
				if _, err := s.ForgetSightings(background(), before); err != nil {
					t.Fatalf("forget: %v", err)
				}
				for id, m := range model {
					if m.dead && m.SeenAt.Before(before) {
						delete(model, id)
					}
				}
			},
			"": func(t *rapid.T) {
				before, limit := moment(t, "before"), rapid.IntRange(0, 3).Draw(t, "limit")
				want := []quarantine.Sighting{}
				for _, m := range model {
					if !m.dead && m.SeenAt.Before(before) {
						want = append(want, quarantine.Sighting{SeenAt: m.SeenAt, Deletion: m.Deletion.Normalize()})
					}
				}
				slices.SortFunc(want, func(a, b quarantine.Sighting) int {
					return cmp.Or(a.SeenAt.Compare(b.SeenAt), cmp.Compare(a.Deletion.ResourceID, b.Deletion.ResourceID))
				})
				if limit > 0 {
					want = want[:min(limit, len(want))]
				}
				got, err := s.Vanished(background(), cloud, before, limit)
				if err != nil {
					t.Fatalf("vanished: %v", err)
				}
				same(t, "vanished", append([]quarantine.Sighting{}, got...), want)
			},
		})
	})
}

// Sweeps that write at once leave of each resource the newest sighting.
func seeConcurrent(t *testing.T, s Store) {
	const sweeps, resources = 16, 20
	var wg sync.WaitGroup
	for sweep := range sweeps {
		wg.Go(func() {
			var seen []quarantine.Sighting
			for i := range resources {
				x := sightingOf(fmt.Sprintf("vm%02d", i), t0.Add(time.Duration(sweep)*time.Second))
				x.Deletion.Host = fmt.Sprint("node", sweep)
				seen = append(seen, x)
			}
			if err := s.See(background(), seen); err != nil {
				t.Errorf("see: %v", err)
			}
			if _, err := s.Vanished(background(), "prod", t0.Add(time.Hour), 5); err != nil {
				t.Errorf("vanished: %v", err)
			}
		})
	}
	wg.Wait()
	got, err := s.Vanished(background(), "prod", t0.Add(time.Hour), 0)
	if err != nil || len(got) != resources {
		t.Fatalf("%d resources, %v", len(got), err)
	}
	for _, x := range got {
		if !x.SeenAt.Equal(t0.Add((sweeps-1)*time.Second)) || x.Deletion.Host != fmt.Sprint("node", sweeps-1) {
			t.Errorf("%s: seen at %s on %s", x.Deletion.ResourceID, x.SeenAt, x.Deletion.Host)
		}
	}
}

// An ended context stops everything that the clouds' side of the catalog does.
func endedContextOfClouds(t *testing.T, s Store) {
	see(t, s, sightingOf("vm", t0), sightingOf("dead", t0))
	markDead(t, s, "dead")
	merge(t, s, fullDeletion("del"))
	seeImages(t, s, vmsPool, []quarantine.SeenImage{{ImageID: "i", Name: "n", SeenAt: t0}})
	ended, cancel := context.WithCancel(background())
	cancel()
	later := t0.Add(time.Hour)
	for what, act := range map[string]func() error{
		"See":             func() error { return s.See(ended, []quarantine.Sighting{sightingOf("new", t0)}) },
		"Sighting":        func() error { _, err := s.Sighting(ended, "prod", quarantine.ResourceVM, "vm"); return err },
		"Vanished":        func() error { _, err := s.Vanished(ended, "prod", later, 0); return err },
		"MarkDead":        func() error { return s.MarkDead(ended, "prod", quarantine.ResourceVM, "vm") },
		"ForgetSightings": func() error { _, err := s.ForgetSightings(ended, later); return err },
		"Unasked":         func() error { _, err := s.Unasked(ended, "prod", t0, 0); return err },
		"Asked":           func() error { return s.Asked(ended, fullDeletion("del")) },
		"FindDeletions":   func() error { _, err := s.FindDeletions(ended, "prod", t0, later); return err },
		"SeenImages":      func() error { _, err := s.SeenImages(ended, vmsPool); return err },
		"SeeImages":       func() error { return s.SeeImages(ended, vmsPool, nil, []string{"i"}) },
	} {
		err := act()
		is(t, what, err, context.Canceled)
		is(t, what, err, quarantine.ErrUnavailable)
	}
	vanishes(t, s, later, 0, "vm")
	sighting(t, s, "dead", sightingOf("dead", t0))
	unasked(t, s, t0, 0, "del")
	remembers(t, s, vmsPool, quarantine.SeenImage{ImageID: "i", Name: "n", SeenAt: t0})
}
