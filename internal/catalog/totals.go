package catalog

import (
	"context"
	"time"

	"quarantine/internal/quarantine"
)

const totalsQuery = `SELECT fsid, pool, namespace, state, count(*), sum(max(size_bytes, 0)), sum(max(used_bytes, 0))
	FROM disks GROUP BY fsid, pool, namespace, state ORDER BY fsid, pool, namespace, state`

// Totals counts the disks and their bytes by pool and state, in that order.
// Sizes that are not known count as nothing.
func (c *Catalog) Totals(ctx context.Context) ([]quarantine.Total, error) {
	rows, err := c.readDB.QueryContext(ctx, totalsQuery)
	if err != nil {
		return nil, unavailable(err, "sum up the disks")
	}
	defer rows.Close()
	var totals []quarantine.Total
	for rows.Next() {
		var t quarantine.Total
		if err := rows.Scan(&t.FSID, &t.Pool, &t.Namespace, &t.State, &t.Disks, &t.Bytes, &t.Used); err != nil {
			return nil, unavailable(err, "sum up the disks")
		}
		totals = append(totals, t)
	}
	if err := rows.Err(); err != nil {
		return nil, unavailable(err, "sum up the disks")
	}
	return totals, nil
}

const oldestPendingQuery = `SELECT coalesce(min(quarantined_at), ?) FROM disks WHERE state = ?`

// OldestPending is the time since when the oldest pending disk waits for its
// seal: when it was taken up, not when it was deleted, which may be long
// before its pool was in our care. The zero time if none is pending.
func (c *Catalog) OldestPending(ctx context.Context) (time.Time, error) {
	var at int64
	err := c.readDB.QueryRowContext(ctx, oldestPendingQuery, micros(zeroTime()), string(quarantine.Pending)).Scan(&at)
	if err != nil {
		return time.Time{}, unavailable(err, "find the oldest pending disk")
	}
	if at == micros(zeroTime()) {
		return time.Time{}, nil
	}
	return time.UnixMicro(at).UTC(), nil
}

// zeroTime stands for a date that is not set.
func zeroTime() time.Time { return time.Time{} }
