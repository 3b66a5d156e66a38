-- +goose Up
-- For the watch of the seals: whose seal was a snapshot that Ceph has removed.
-- Ceph's ids are small; 0 is not known (rows of before, until the reconciler's
-- round comes by).
ALTER TABLE disks ADD COLUMN seal_id BIGINT NOT NULL DEFAULT 0;
ALTER TABLE disks ADD COLUMN seal_broken INTEGER NOT NULL DEFAULT 0;
CREATE INDEX disks_by_seal ON disks (seal_id) WHERE seal_id > 0;
CREATE INDEX disks_seal_broken ON disks (deleted_at, id) WHERE seal_broken = 1;

-- +goose Down
DROP INDEX disks_seal_broken;
DROP INDEX disks_by_seal;
ALTER TABLE disks DROP COLUMN seal_broken;
ALTER TABLE disks DROP COLUMN seal_id;
