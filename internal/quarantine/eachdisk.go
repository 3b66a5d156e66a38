package quarantine

import (
	"cmp"
	"context"
)

// diskPage is how many disks eachDisk reads at once. Two pages are in memory: one
// is read while the one before is worked off.
const diskPage = 1000

// eachDisk calls do for the disks that the filter selects, by their death, however
// many there are. The catalog is read a page at a time, and not held meanwhile. do
// must leave alone what the filter looks at: a disk that leaves the selection can
// hide another one that died in the same second.
func eachDisk(ctx context.Context, disks Disks, f DiskFilter, do func(*Disk) error) error {
	reading, stop := context.WithCancel(ctx)
	pages, failed := make(chan []Disk), make(chan error, 1)
	go func() {
		defer close(pages)
		failed <- readPages(reading, disks, f, pages)
	}()
	var err error
	for page := range pages { // to the end, which stop brings near
		for i := 0; i < len(page) && err == nil; i++ {
			if err = do(&page[i]); err != nil {
				stop()
			}
		}
	}
	stop()
	return cmp.Or(err, <-failed)
}

// readPages sends the pages, until ctx ends.
func readPages(ctx context.Context, disks Disks, f DiskFilter, pages chan<- []Disk) error {
	f.Sort, f.Desc, f.Limit, f.Offset = "", false, diskPage, 0
	for {
		page, err := disks.FindDisks(ctx, f)
		if err != nil {
			return err
		}
		select {
		case pages <- page:
		case <-ctx.Done():
			return ctx.Err()
		}
		if len(page) < f.Limit {
			return nil
		}
		// On behind the last: its second, and how many of that second there were.
		last := page[len(page)-1].DeletedAt
		if !last.Equal(f.DeletedFrom) {
			f.DeletedFrom, f.Offset = last, 0
		}
		for i := len(page) - 1; i >= 0 && page[i].DeletedAt.Equal(last); i-- {
			f.Offset++
		}
	}
}
