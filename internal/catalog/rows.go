package catalog

import (
	"context"

	"quarantine/internal/quarantine"
)

// DisksAfter returns disks by id, from behind that id on. ErrInvalid for a limit
// below 1.
func (c *Catalog) DisksAfter(ctx context.Context, id string, limit int) ([]quarantine.Disk, error) {
	if limit < 1 {
		return nil, invalidf("a page of %d disks", limit)
	}
	return c.readDisks(ctx, `SELECT record, version, record_stale FROM disks WHERE id > ? ORDER BY id LIMIT ?`, id, limit)
}
