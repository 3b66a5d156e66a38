package catalog

import (
	"cmp"
	"context"
	"math"
	"slices"
	"time"

	"quarantine/internal/quarantine"
)

// classed gives each disk that takes room in a pool its class: why it goes, or
// stays, or may go. Its arguments are those of classArgs.
const classed = `SELECT share, id, deleted_at, used_bytes, size_bytes, CASE
		WHEN state IN ('expiring', 'purging') THEN 'going'
		WHEN state = 'quarantined' AND held = 0 AND retain_until > ? AND retain_until <= ? THEN 'going'
		WHEN held = 1 THEN 'held'
		WHEN firm_until = ? THEN 'compliance'
		WHEN firm_until > ? OR deleted_at > ? OR quarantined_at > ? THEN 'young'
		WHEN state <> 'quarantined' THEN 'busy'
		ELSE 'evictable' END AS class
	FROM disks WHERE state NOT IN ('purged', 'restored', 'lost') AND fsid = ? AND pool = ?`

func classArgs(q quarantine.ShareQuery) []any {
	now, born := micros(q.Now), micros(q.Born)
	return []any{micros(zeroTime()), now, int64(math.MaxInt64), now, born, born, q.FSID, q.Pool}
}

// sharesQuery goes through the pool twice. What may go, as a rule nearly all, is the
// difference: SQLite works out the class anew for each sum that asks for it, and so
// it does that for few.
const sharesQuery = `SELECT a.share, a.disks, a.used - coalesce(b.used, 0), coalesce(b.held, 0), coalesce(b.compliance, 0), coalesce(b.young, 0),
		coalesce(b.busy, 0), coalesce(b.going, 0), a.unmeasured - coalesce(b.unmeasured, 0)
	FROM (SELECT share, count(*) AS disks, sum(max(used_bytes, 0)) AS used, sum(CASE WHEN used_bytes < 0 THEN max(size_bytes, 0) ELSE 0 END) AS unmeasured
		FROM disks WHERE state NOT IN ('purged', 'restored', 'lost') AND fsid = ? AND pool = ? GROUP BY share) a
	LEFT JOIN (SELECT share, sum(max(used_bytes, 0)) AS used,
		sum(CASE class WHEN 'held' THEN max(used_bytes, 0) ELSE 0 END) AS held,
		sum(CASE class WHEN 'compliance' THEN max(used_bytes, 0) ELSE 0 END) AS compliance,
		sum(CASE class WHEN 'young' THEN max(used_bytes, 0) ELSE 0 END) AS young,
		sum(CASE class WHEN 'busy' THEN max(used_bytes, 0) ELSE 0 END) AS busy,
		sum(CASE class WHEN 'going' THEN max(used_bytes, 0) ELSE 0 END) AS going,
		sum(CASE WHEN class = 'going' AND used_bytes < 0 THEN max(size_bytes, 0) ELSE 0 END) AS unmeasured
		FROM (` + classed + `) WHERE class <> 'evictable' GROUP BY share) b ON b.share = a.share`

func sharesArgs(q quarantine.ShareQuery) []any {
	return append([]any{q.FSID, q.Pool}, classArgs(q)...)
}

// PoolShares sums up what each project has in quarantine in the pool. It reads one
// index alone.
func (c *Catalog) PoolShares(ctx context.Context, q quarantine.ShareQuery) ([]quarantine.Share, error) {
	rows, err := c.readDB.QueryContext(ctx, sharesQuery, sharesArgs(q)...)
	if err != nil {
		return nil, unavailable(err, "sum up the shares of pool %s", q.Pool)
	}
	defer rows.Close()
	var shares []quarantine.Share
	for rows.Next() {
		var s quarantine.Share
		if err := rows.Scan(&s.Project, &s.Disks, &s.Evictable, &s.Held, &s.Compliance, &s.Young, &s.Busy, &s.Going, &s.Unmeasured); err != nil {
			return nil, unavailable(err, "sum up the shares of pool %s", q.Pool)
		}
		shares = append(shares, s)
	}
	if err := rows.Err(); err != nil {
		return nil, unavailable(err, "sum up the shares of pool %s", q.Pool)
	}
	slices.SortFunc(shares, func(a, b quarantine.Share) int { return cmp.Compare(a.Project, b.Project) })
	return shares, nil
}

const evictableQuery = `SELECT id, share, deleted_at, used_bytes, 0 FROM (` + classed + ` AND share = ? AND (deleted_at, id) > (?, ?) AND used_bytes > 0)
	WHERE class = 'evictable' ORDER BY deleted_at, id LIMIT ?`

// Evictable returns the project's disks that may be evicted, the longest dead
// first. ErrInvalid for a limit below 1.
func (c *Catalog) Evictable(ctx context.Context, q quarantine.ShareQuery, project string, after quarantine.Candidate, limit int) ([]quarantine.Candidate, error) {
	if limit < 1 {
		return nil, invalidf("a page of %d disks", limit)
	}
	from := int64(math.MinInt64)
	if after.ID != "" {
		from = micros(after.DeletedAt)
	}
	return c.candidates(ctx, evictableQuery, append(classArgs(q), project, from, after.ID, limit)...)
}

const evictedQuery = `SELECT id, share, deleted_at, used_bytes, firm_until > ? FROM disks
	WHERE evicted = 1 AND fsid = ? AND pool = ? AND +state = 'expiring' AND (retain_until = ? OR retain_until > ?) ORDER BY deleted_at, id`

// Evicted returns the pool's disks that are expiring because it was too full.
func (c *Catalog) Evicted(ctx context.Context, q quarantine.ShareQuery) ([]quarantine.Candidate, error) {
	now := micros(q.Now)
	return c.candidates(ctx, evictedQuery, now, q.FSID, q.Pool, micros(zeroTime()), now)
}

func (c *Catalog) candidates(ctx context.Context, query string, args ...any) ([]quarantine.Candidate, error) {
	rows, err := c.readDB.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, unavailable(err, "find disks that may be evicted")
	}
	defer rows.Close()
	var out []quarantine.Candidate
	for rows.Next() {
		var d quarantine.Candidate
		var deleted int64
		if err := rows.Scan(&d.ID, &d.Project, &deleted, &d.UsedBytes, &d.Firm); err != nil {
			return nil, unavailable(err, "find disks that may be evicted")
		}
		d.DeletedAt = time.UnixMicro(deleted).UTC()
		out = append(out, d)
	}
	if err := rows.Err(); err != nil {
		return nil, unavailable(err, "find disks that may be evicted")
	}
	return out, nil
}

const dueQuery = `SELECT (retain_until - ?) / ?, sum(max(used_bytes, 0)) FROM disks
	WHERE state NOT IN ('purged', 'restored', 'lost') AND fsid = ? AND pool = ?
		AND state IN ('pending', 'quarantined') AND held = 0 AND retain_until > ? AND retain_until < ?
	GROUP BY 1`

// DueBytes sums up what is due in each of the coming steps.
func (c *Catalog) DueBytes(ctx context.Context, q quarantine.ShareQuery, step time.Duration, steps int) ([]int64, error) {
	if step < time.Microsecond || steps < 1 {
		return nil, invalidf("%d steps of %s", steps, step)
	}
	now, width := micros(q.Now), step.Microseconds()
	rows, err := c.readDB.QueryContext(ctx, dueQuery, now, width, q.FSID, q.Pool, now, now+width*int64(steps))
	if err != nil {
		return nil, unavailable(err, "sum up what will be due in pool %s", q.Pool)
	}
	defer rows.Close()
	due := make([]int64, steps)
	for rows.Next() {
		var i, n int64
		if err := rows.Scan(&i, &n); err != nil {
			return nil, unavailable(err, "sum up what will be due in pool %s", q.Pool)
		}
		due[i] = n
	}
	if err := rows.Err(); err != nil {
		return nil, unavailable(err, "sum up what will be due in pool %s", q.Pool)
	}
	return due, nil
}
