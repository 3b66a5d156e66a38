package catalog

import (
	"context"
	"fmt"
	"log/slog"
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
			c, err := Open(context.Background(), filepath.Join(b.TempDir(), "catalog.db"), Options{}, slog.New(slog.DiscardHandler))
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
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
