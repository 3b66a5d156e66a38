package quarantine_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"quarantine/internal/quarantine"
)

// fakeCloud is a cloud's API that remembers like OpenStack: of a deleted
// server the name, the project and who did it, and no address; of a deleted
// volume nothing.
type fakeCloud struct {
	name string

	mu     sync.Mutex
	living map[string]quarantine.Deletion // by resource id
	dead   map[string]quarantine.Deletion
	acts   map[string][]quarantine.Deletion
	// asked counts the calls of Complete. fail, where set, is the error of the
	// call of that verb; cutShort ends Living with an error after so many.
	asked    int
	fail     map[string]error
	cutShort int
	// hidden is a resource that came after the listing.
	hidden string
}

func newFakeCloud(name string) *fakeCloud {
	return &fakeCloud{
		name: name, living: map[string]quarantine.Deletion{}, dead: map[string]quarantine.Deletion{},
		acts: map[string][]quarantine.Deletion{}, fail: map[string]error{}, cutShort: -1,
	}
}

func (c *fakeCloud) Name() string { return c.name }

func (c *fakeCloud) Living(_ context.Context, each func(quarantine.Deletion) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, d := range c.living {
		if n == c.cutShort {
			return fmt.Errorf("page 2: %w", quarantine.ErrUnavailable)
		}
		n++
		if d.ResourceID == c.hidden {
			continue
		}
		d.Disks = append([]quarantine.DiskRef(nil), d.Disks...)
		if err := each(d); err != nil {
			return err
		}
	}
	return c.fail["Living"]
}

func (c *fakeCloud) Dead(_ context.Context, since time.Time, each func(quarantine.Deletion) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range c.dead {
		if d.EndedAt.Before(since) || d.ResourceKind != quarantine.ResourceVM {
			continue
		}
		if err := each(d); err != nil {
			return err
		}
	}
	return c.fail["Dead"]
}

func (c *fakeCloud) Complete(_ context.Context, d quarantine.Deletion) (quarantine.Deletion, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked++
	if err := c.fail["Complete"]; err != nil {
		return quarantine.Deletion{}, err
	}
	known, ok := c.living[d.ResourceID]
	if dead, gone := c.dead[d.ResourceID]; gone && d.ResourceKind == quarantine.ResourceVM {
		known, ok = dead, true
	}
	if !ok {
		return quarantine.Deletion{}, quarantine.ErrNotFound
	}
	known.ID, known.Kind, known.Disks = d.ID, d.Kind, nil
	return known, nil
}

func (c *fakeCloud) Acts(_ context.Context, _ quarantine.ResourceKind, id string) ([]quarantine.Deletion, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.acts[id], c.fail["Acts"]
}

func (c *fakeCloud) Suspect(name string) (quarantine.Deletion, bool) {
	if id, ok := strings.CutPrefix(name, "volume-"); ok {
		return c.volume(id), true
	}
	if id, _, ok := strings.Cut(name, "_disk"); ok {
		return c.server(id), true
	}
	return quarantine.Deletion{}, false
}

// server is what a server's death would be, by its id alone.
func (c *fakeCloud) server(id string) quarantine.Deletion {
	return quarantine.Deletion{
		ID: quarantine.DeletionID(c.name, quarantine.KindDelete, id, ""), Cloud: c.name, CloudType: quarantine.CloudOpenStack,
		Kind: quarantine.KindDelete, ResourceKind: quarantine.ResourceVM, ResourceID: id,
		Disks: []quarantine.DiskRef{{Name: id, Prefix: true}, {Name: id + "_disk", Role: "root"}, {Name: id + "_disk.config", Role: "config"}},
	}
}

func (c *fakeCloud) volume(id string) quarantine.Deletion {
	return quarantine.Deletion{
		ID: quarantine.DeletionID(c.name, quarantine.KindVolumeDelete, id, ""), Cloud: c.name, CloudType: quarantine.CloudOpenStack,
		Kind: quarantine.KindVolumeDelete, ResourceKind: quarantine.ResourceVolume, ResourceID: id,
		Disks: []quarantine.DiskRef{{Name: "volume-" + id, Prefix: true, Role: "volume"}},
	}
}

// boot makes a living server or volume of the deletion that its death would be.
func (c *fakeCloud) boot(d quarantine.Deletion) quarantine.Deletion {
	c.mu.Lock()
	defer c.mu.Unlock()
	d.ResourceName = "name of " + d.ResourceID
	d.Project = quarantine.Principal{ID: "p1", Name: "physics", Domain: "research"}
	d.User = quarantine.Principal{ID: "u1", Name: "alice", Domain: "research"}
	if d.ResourceKind == quarantine.ResourceVM && len(d.Addresses) == 0 {
		d.Addresses = []quarantine.Address{{IP: "192.0.2.7", MAC: "fa:16:3e:00:00:07", Network: "private", Type: "fixed"}}
	}
	d.CreatedAt = t0.Add(-day)
	c.living[d.ResourceID] = d
	return d
}

// kill deletes it at that time. Nothing is said of it but by the API.
func (c *fakeCloud) kill(id string, at time.Time) quarantine.Deletion {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := c.living[id]
	delete(c.living, id)
	d.StartedAt, d.EndedAt = at, at.Add(2*time.Second)
	d.Deleter = quarantine.Principal{ID: "u9", Name: "oscar", Domain: "Default"}
	d.Addresses = nil
	c.dead[id] = d
	return d
}
