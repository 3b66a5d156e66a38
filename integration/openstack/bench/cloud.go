package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	openstacklab "quarantine/integration/openstack"
)

// How often is asked: servers take seconds, and are asked about all at once;
// volumes take a tenth.
const (
	slow = 250 * time.Millisecond
	fast = 5 * time.Millisecond
)

// poll asks until the condition is met or fails, or the context ends.
func poll(ctx context.Context, every time.Duration, condition func() (bool, error)) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if ok, err := condition(); err != nil || ok {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// expectedDisks are the names of the disks of servers, which have two each, and
// of volumes.
func expectedDisks(servers, volumes []string) []string {
	var names []string
	for _, id := range servers {
		names = append(names, id+"_disk", id+"_disk.config")
	}
	for _, id := range volumes {
		names = append(names, "volume-"+id)
	}
	return names
}

// together does the work for each id at once, and returns the errors.
func together(ids []string, work func(id string) error) error {
	errs := make([]error, len(ids))
	var wg sync.WaitGroup
	for i, id := range ids {
		wg.Go(func() { errs[i] = work(id) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// servers returns the ids of the servers in the state; "" means all.
func (b *bench) servers(ctx context.Context, status string) (map[string]bool, error) {
	var answer struct{ Servers []struct{ ID string } }
	path := "/servers?limit=1000"
	if status != "" {
		path += "&status=" + status
	}
	if err := b.user.Do(ctx, http.MethodGet, "compute", path, nil, &answer); err != nil {
		return nil, err
	}
	ids := map[string]bool{}
	for _, s := range answer.Servers {
		ids[s.ID] = true
	}
	return ids, nil
}

var errBuild = errors.New("the cloud could not build a server")

// boot boots servers with a root disk and a config drive each.
func (b *bench) boot(ctx context.Context, n int) ([]string, error) {
	var ids []string
	for i := range n {
		id, err := b.user.BootNoWait(ctx, openstacklab.ServerSpec{Name: "bench-" + strconv.Itoa(i), ConfigDrive: true})
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, b.waitStatus(ctx, ids, "ACTIVE")
}

// stopServers shuts servers down.
func (b *bench) stopServers(ctx context.Context, ids []string) error {
	if err := together(ids, func(id string) error { return b.user.Action(ctx, id, map[string]any{"os-stop": nil}) }); err != nil {
		return err
	}
	return b.waitStatus(ctx, ids, "SHUTOFF")
}

// waitStatus waits until all servers are in the state.
func (b *bench) waitStatus(ctx context.Context, ids []string, status string) error {
	return poll(ctx, slow, func() (bool, error) {
		there, err := b.servers(ctx, status)
		if err != nil {
			return false, err
		}
		failed, err := b.servers(ctx, "ERROR")
		if err != nil {
			return false, err
		}
		all := true
		for _, id := range ids {
			if failed[id] {
				return false, fmt.Errorf("%w: %s", errBuild, id)
			}
			all = all && there[id]
		}
		return all, nil
	})
}

// makeVolumes makes empty volumes.
func (b *bench) makeVolumes(ctx context.Context, n int) ([]string, error) {
	var ids []string
	for i := range n {
		v, err := b.user.CreateVolume(ctx, openstacklab.VolumeSpec{Name: "bench-" + strconv.Itoa(i)})
		if err != nil {
			return nil, err
		}
		ids = append(ids, v.ID)
	}
	return ids, nil
}

// deleteServers deletes servers, all at once, and returns how long each took.
// One that fails in Nova, which happens where a disk is seized under its hands,
// is deleted once more.
func (b *bench) deleteServers(ctx context.Context, ids []string) ([]time.Duration, error) {
	var mu sync.Mutex
	begun := map[string]time.Time{}
	err := together(ids, func(id string) error {
		now := b.now()
		mu.Lock()
		begun[id] = now
		mu.Unlock()
		return b.user.Delete(ctx, id)
	})
	if err != nil {
		return nil, err
	}
	took := map[string]time.Duration{}
	again := map[string]bool{}
	err = poll(ctx, slow, func() (bool, error) {
		there, err := b.servers(ctx, "")
		if err != nil {
			return false, err
		}
		now := b.now()
		for _, id := range ids {
			if _, ok := took[id]; !ok && !there[id] {
				took[id] = now.Sub(begun[id])
			}
		}
		return len(took) == len(ids), b.deleteAgain(ctx, begun, again)
	})
	var all []time.Duration
	for _, d := range took {
		all = append(all, d)
	}
	if len(again) > 0 {
		fmt.Fprintf(b.out, "%d servers failed in Nova, and were deleted once more\n", len(again))
	}
	return all, err
}

// deleteAgain deletes once more what is in a state of error.
func (b *bench) deleteAgain(ctx context.Context, begun map[string]time.Time, again map[string]bool) error {
	failed, err := b.servers(ctx, "ERROR")
	if err != nil {
		return err
	}
	for id := range failed {
		if _, ours := begun[id]; !ours || again[id] {
			continue
		}
		again[id] = true
		if err := b.user.Delete(ctx, id); err != nil && !openstacklab.NotFound(err) {
			return err
		}
	}
	return nil
}

// deleteVolumes deletes volumes, one after the other, and returns how long each
// took.
func (b *bench) deleteVolumes(ctx context.Context, ids []string) ([]time.Duration, error) {
	var all []time.Duration
	for _, id := range ids {
		begun := b.now()
		if err := b.user.DeleteVolume(ctx, id); err != nil {
			return nil, err
		}
		err := poll(ctx, fast, func() (bool, error) {
			_, err := b.user.Volume(ctx, id)
			if openstacklab.NotFound(err) {
				return true, nil
			}
			return false, err
		})
		if err != nil {
			return nil, err
		}
		all = append(all, b.now().Sub(begun))
	}
	return all, nil
}
