package catalog

import (
	"context"
	"time"

	"quarantine/internal/quarantine"
)

// DiskStubs returns disks of the pool by image id. It reads the index alone.
// ErrInvalid for a limit below 1, or no state.
func (c *Catalog) DiskStubs(ctx context.Context, pool quarantine.PoolRef, states []quarantine.State, after string, limit int) ([]quarantine.DiskStub, error) {
	if limit < 1 || len(states) == 0 {
		return nil, invalidf("a page of %d disks in %d states", limit, len(states))
	}
	query, args := stubsQuery(pool, states, after, limit)
	rows, err := c.readDB.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, unavailable(err, "read the disks of %s", pool)
	}
	defer rows.Close()
	var stubs []quarantine.DiskStub
	for rows.Next() {
		var s quarantine.DiskStub
		var state string
		var deleted int64
		if err := rows.Scan(&s.ID, &s.ImageID, &state, &deleted, &s.Version); err != nil {
			return nil, unavailable(err, "read the disks of %s", pool)
		}
		s.State, s.DeletedAt = quarantine.State(state), time.UnixMicro(deleted).UTC()
		stubs = append(stubs, s)
	}
	if err := rows.Err(); err != nil {
		return nil, unavailable(err, "read the disks of %s", pool)
	}
	return stubs, nil
}

// stubsQuery makes the query and its arguments. The plus keeps SQLite from the
// indexes of a state, which are in another order.
func stubsQuery(pool quarantine.PoolRef, states []quarantine.State, after string, limit int) (string, []any) {
	args := []any{pool.FSID, pool.Pool, pool.Namespace, after}
	for _, s := range states {
		args = append(args, string(s))
	}
	return `SELECT id, image_id, state, deleted_at, version FROM disks
		WHERE fsid = ? AND pool = ? AND namespace = ? AND image_id > ? AND +state IN (` + marks(len(states)) + `)
		ORDER BY image_id LIMIT ?`, append(args, limit)
}
