package catalog

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"quarantine/internal/quarantine"
)

// BenchmarkPutDisk measures durable changes: a new disk, and the change of its
// state, by one caller for the latency and by 32 that share commits.
func BenchmarkPutDisk(b *testing.B) {
	for _, callers := range []int{1, 32} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			c := openBench(b)
			work, done := make(chan int), make(chan error, callers)
			b.ResetTimer()
			for range callers {
				go func() {
					var failed error
					for n := range work {
						if err := putTwice(c, n); err != nil {
							failed = err
						}
					}
					done <- failed
				}()
			}
			for n := range b.N {
				work <- n
			}
			close(work)
			for range callers {
				if err := <-done; err != nil {
					b.Error(err)
				}
			}
			b.ReportMetric(2*float64(b.N)/b.Elapsed().Seconds(), "changes/s")
		})
	}
}

func putTwice(c *Catalog, n int) error {
	key := quarantine.Key{FSID: "f", Pool: "vms", ImageID: fmt.Sprint(n)}
	at := time.Unix(int64(n), 0)
	d := quarantine.Disk{
		ID: key.DiskID(), Key: key, OriginalName: fmt.Sprint(n, "_disk"), State: quarantine.Pending, DeletedAt: at, RetainUntil: at.AddDate(0, 0, 14),
		Deletion: &quarantine.Deletion{
			ID: fmt.Sprint(n), Cloud: "prod", Kind: quarantine.KindDelete, ResourceKind: quarantine.ResourceVM, ResourceID: fmt.Sprint("vm", n), ResourceName: "web",
			Project: quarantine.Principal{ID: "p", Name: "physics"}, User: quarantine.Principal{ID: "u", Name: "ann"},
			Addresses: []quarantine.Address{{IP: "192.0.2.7", MAC: "fa:16:3e:00:00:01"}},
		},
	}
	d, err := c.PutDisk(context.Background(), d)
	if err != nil {
		return err
	}
	d.State = quarantine.Quarantined
	_, err = c.PutDisk(context.Background(), d)
	return err
}

func openBench(b *testing.B) *Catalog {
	b.Helper()
	c, err := Open(context.Background(), filepath.Join(b.TempDir(), "catalog.db"), Options{}, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := c.Close(); err != nil {
			b.Error(err)
		}
	})
	return c
}

// BenchmarkSee measures a sweep over a cloud of 200,000 resources in one call:
// the first, and one that finds all as they were.
func BenchmarkSee(b *testing.B) {
	c := openBench(b)
	ctx, n := context.Background(), 200_000
	seen := make([]quarantine.Sighting, n)
	sweep := func(at time.Time) {
		for i := range seen {
			seen[i] = quarantine.Sighting{SeenAt: at, Deletion: aLiving(i)}
		}
		if err := c.See(ctx, seen); err != nil {
			b.Fatal(err)
		}
	}
	began := time.Now()
	sweep(time.Unix(0, 0))
	b.Logf("first sweep of %d: %s", n, time.Since(began))
	sweeps := 0
	for b.Loop() {
		sweeps++
		sweep(time.Unix(int64(sweeps), 0))
	}
	reportFile(b, c)
	began = time.Now()
	page, err := c.Vanished(ctx, "prod", time.Unix(int64(sweeps)+1, 0), 100)
	if err != nil || len(page) != 100 {
		b.Fatalf("%d vanished, %v", len(page), err)
	}
	b.Logf("a page of 100 that vanished: %s", time.Since(began))
}

// BenchmarkSeeImages measures a sweep over a pool of 100,000 images in one
// call, with the reading of what was remembered.
func BenchmarkSeeImages(b *testing.B) {
	c := openBench(b)
	ctx, n, pool := context.Background(), 100_000, quarantine.PoolRef{FSID: "4f8e2f6a-0a2d-4d39-9f0b-0a6a3a4d3c11", Pool: "vms"}
	seen := make([]quarantine.SeenImage, n)
	sweeps := 0
	for b.Loop() {
		sweeps++
		for i := range seen {
			seen[i] = quarantine.SeenImage{ImageID: fmt.Sprintf("%012x", i), Name: fmt.Sprintf("00000000-0000-4000-8000-%012x_disk", i), SeenAt: time.Unix(int64(sweeps), 0)}
		}
		if err := c.SeeImages(ctx, pool, seen, nil); err != nil {
			b.Fatal(err)
		}
	}
	reportFile(b, c)
	began := time.Now()
	got, err := c.SeenImages(ctx, pool)
	if err != nil || len(got) != n {
		b.Fatalf("%d images, %v", len(got), err)
	}
	b.Logf("read back: %s", time.Since(began))
}

// reportFile reports the sizes of the catalog's file and of its log.
func reportFile(b *testing.B, c *Catalog) {
	b.Helper()
	for end, unit := range map[string]string{"": "file-MiB", "-wal": "log-MiB"} {
		info, err := os.Stat(c.path + end)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(info.Size())/(1<<20), unit)
	}
}

// aLiving is the sighting of a server as clouds have them, about 1 kB of JSON.
func aLiving(n int) quarantine.Deletion {
	uuid := fmt.Sprintf("00000000-0000-4000-8000-%012x", n)
	return quarantine.Deletion{
		ID: fmt.Sprintf("%016x", n), Cloud: "prod", CloudType: quarantine.CloudOpenStack, Kind: quarantine.KindDelete,
		ResourceKind: quarantine.ResourceVM, ResourceID: uuid, ResourceName: fmt.Sprint("web-", n),
		Project: quarantine.Principal{ID: "9d2c1a7be0f24c0e8c2f5a3d4b6e7f80", Name: "physics", Domain: "science"},
		User:    quarantine.Principal{ID: "1d2c1a7be0f24c0e8c2f5a3d4b6e7f81", Name: "ann", Domain: "science"},
		Flavor:  "m1.large", Image: quarantine.Principal{ID: uuid, Name: "debian-12"}, Host: "node17.example.org", AvailabilityZone: "nova",
		Metadata: map[string]string{"role": "worker", "experiment": "one"}, Tags: []string{"batch"},
		Addresses: []quarantine.Address{
			{IP: "192.0.2.7", MAC: "fa:16:3e:00:00:01", Network: "internal", PortID: uuid, Type: "fixed"},
			{IP: "203.0.113.9", MAC: "fa:16:3e:00:00:01", Network: "internal", Type: "floating"}},
		KeyPair: "laptop", Volumes: []quarantine.VolumeRef{{ID: uuid, Device: "/dev/vdb"}}, CreatedAt: time.Unix(1_700_000_000, 0),
		Disks: []quarantine.DiskRef{{Pool: "vms", Name: uuid, Prefix: true}, {Pool: "vms", Name: uuid + "_disk", Role: "root"}},
	}
}
