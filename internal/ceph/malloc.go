package ceph

/*
#include <malloc.h>
*/
import "C"

import (
	"context"
	"time"
)

// trimEvery is how often ReturnMemory returns memory.
const trimEvery = 30 * time.Second

// ReturnMemory returns to the system what Ceph's libraries have freed, until ctx
// ends. Each thread of theirs allocates from an arena of its own, and glibc keeps
// what is freed in all but the first: a process that adopts a thousand disks at once
// would come to several times of what it needs, and more with every burst. Similar
// to: malloc_trim(3).
func ReturnMemory(ctx context.Context) error {
	tick := time.NewTicker(trimEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			C.malloc_trim(0)
		}
	}
}
