package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"quarantine/internal/quarantine"
)

// pastDisks are more than the catalog's cache holds.
const pastDisks = 12_000

// past has the catalog know of disks that were here and are gone: a service that has
// run for a month, whose caches are full.
func (p *product) past(ctx context.Context, n int, now time.Time) error {
	work := make(chan int)
	var wg sync.WaitGroup
	var once sync.Once
	var failed error
	for range maxWorkers {
		wg.Go(func() {
			for i := range work {
				if _, err := p.catalog.PutDisk(ctx, gone(i, now)); err != nil {
					once.Do(func() { failed = fmt.Errorf("write a past into the catalog: %w", err) })
				}
			}
		})
	}
	for i := range n {
		work <- i
	}
	close(work)
	wg.Wait()
	return failed
}

// gone is the row of a disk that was purged.
func gone(i int, now time.Time) quarantine.Disk {
	key := quarantine.Key{FSID: "gone", Pool: "gone", ImageID: fmt.Sprintf("%012x", i)}
	server := fmt.Sprintf("%08x-0000-4000-8000-000000000000", i)
	died := now.AddDate(0, 0, -30).Add(time.Duration(i) * time.Second).UTC().Truncate(time.Second)
	return quarantine.Disk{
		ID: key.DiskID(), Key: key, OriginalName: server + "_disk", State: quarantine.Purged, Capture: quarantine.CaptureGuard, SizeBytes: 10 << 30, UsedBytes: -1,
		DeletedAt: died, QuarantinedAt: died, RetainUntil: died.AddDate(0, 0, 14), PurgedAt: died.AddDate(0, 0, 15),
		Decision: quarantine.Decision{Rule: "default", Retain: 14 * 24 * time.Hour, Reason: "no other rule applies"},
		Deletion: &quarantine.Deletion{
			ID: quarantine.DeletionID("openstack", quarantine.KindDelete, server, ""), Cloud: "openstack", CloudType: quarantine.CloudOpenStack, Kind: quarantine.KindDelete,
			ResourceKind: quarantine.ResourceVM, ResourceID: server, ResourceName: fmt.Sprint("web-", i), ServerID: server,
			Project: quarantine.Principal{ID: fmt.Sprintf("%032x", i%50), Name: "physics"}, User: quarantine.Principal{ID: fmt.Sprintf("%032x", i%90), Name: "ann"},
			Addresses: []quarantine.Address{{IP: fmt.Sprintf("10.1.%d.%d", i>>8&255, i&255), MAC: fmt.Sprintf("fa:16:3e:00:%02x:%02x", i>>8&255, i&255), Network: "private"}},
			StartedAt: died, EndedAt: died, ReceivedAt: died, Disks: []quarantine.DiskRef{{Pool: "gone", Name: server + "_disk", Role: "root"}},
		},
	}
}
