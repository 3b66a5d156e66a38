package catalog

import (
	"context"
	"time"

	"quarantine/internal/quarantine"
)

const seenImagesQuery = `SELECT image_id, name, seen_at FROM seen_images WHERE fsid = ? AND pool = ? AND namespace = ? ORDER BY image_id`

// SeenImages returns what is remembered of the pool, by image id.
func (c *Catalog) SeenImages(ctx context.Context, pool quarantine.PoolRef) ([]quarantine.SeenImage, error) {
	rows, err := c.readDB.QueryContext(ctx, seenImagesQuery, pool.FSID, pool.Pool, pool.Namespace)
	if err != nil {
		return nil, unavailable(err, "read the seen images of %s", pool)
	}
	defer rows.Close()
	var out []quarantine.SeenImage
	for rows.Next() {
		var s quarantine.SeenImage
		var at int64
		if err := rows.Scan(&s.ImageID, &s.Name, &at); err != nil {
			return nil, unavailable(err, "read the seen images of %s", pool)
		}
		s.SeenAt = time.UnixMicro(at).UTC()
		out = append(out, s)
	}
	if err := rows.Err(); err != nil {
		return nil, unavailable(err, "read the seen images of %s", pool)
	}
	return out, nil
}

const (
	forgetImageQuery = `DELETE FROM seen_images WHERE fsid = ? AND pool = ? AND namespace = ? AND image_id = ?`
	seeImageQuery    = `INSERT INTO seen_images (fsid, pool, namespace, image_id, name, seen_at) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (fsid, pool, namespace, image_id) DO UPDATE SET name = excluded.name, seen_at = excluded.seen_at WHERE excluded.seen_at >= seen_at`
)

// SeeImages remembers images and forgets those whose ids are gone, all or
// nothing, in one transaction. An id in both lists is remembered: what is
// forgotten by mistake would not be missed when it is gone. Of an image that is
// known, an older sighting changes nothing. An id to forget that is not known is
// no error. ErrInvalid for an image without an id or a time.
func (c *Catalog) SeeImages(ctx context.Context, pool quarantine.PoolRef, seen []quarantine.SeenImage, forget []string) error {
	for _, s := range seen {
		if s.ImageID == "" || s.SeenAt.IsZero() {
			return invalidf("image %q of %s, named %q, seen at %s", s.ImageID, pool, s.Name, s.SeenAt)
		}
	}
	return c.writer.do(ctx, func(t *txn) error {
		for _, id := range forget {
			if _, err := t.exec(forgetImageQuery, pool.FSID, pool.Pool, pool.Namespace, id); err != nil {
				return unavailable(err, "forget image %s of %s", id, pool)
			}
		}
		for _, s := range seen {
			if _, err := t.exec(seeImageQuery, pool.FSID, pool.Pool, pool.Namespace, s.ImageID, s.Name, micros(s.SeenAt)); err != nil {
				return unavailable(err, "remember image %s of %s", s.ImageID, pool)
			}
		}
		return nil
	})
}
