package quarantine_test

import (
	"context"
	"slices"
	"sync"

	"quarantine/internal/quarantine"
)

// custody is a custody log in memory that can be made to fail.
type custody struct {
	mu      sync.Mutex
	entries []quarantine.Entry
	err     error
	// unreadable, where not nil, is what reading ends with.
	unreadable error
}

func newCustody(tb) *custody { return &custody{} }

// fail makes every Append fail, or with nil succeed again.
func (c *custody) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
}

func (c *custody) Append(_ context.Context, e quarantine.Entry) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return c.err
	}
	c.entries = append(c.entries, e)
	return nil
}

// of returns the acts of a disk as "act outcome", in order.
func (c *custody) of(key quarantine.Key) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []string
	for _, e := range c.entries {
		if e.Disk == key.DiskID() {
			out = append(out, e.Act+" "+e.Outcome)
		}
	}
	return out
}

// has reports whether the log has the act with the outcome for the disk.
func (c *custody) has(key quarantine.Key, act string) bool { return slices.Contains(c.of(key), act) }

// Entries returns a disk's entries, in order.
func (c *custody) Entries(_ context.Context, disk string) ([]quarantine.Entry, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.unreadable != nil {
		return nil, c.unreadable
	}
	var out []quarantine.Entry
	for _, e := range c.entries {
		if e.Disk == disk {
			out = append(out, e)
		}
	}
	return out, nil
}

// Verify says that the log is what it was.
func (c *custody) Verify(context.Context) error { return nil }
