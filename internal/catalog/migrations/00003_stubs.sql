-- +goose Up
-- For the comparison with a pool's trash, which is in the order of image ids: it
-- reads this alone, and none of the rows.
CREATE INDEX disks_by_image ON disks (fsid, pool, namespace, image_id, id, state, deleted_at, version);

-- +goose Down
DROP INDEX disks_by_image;
