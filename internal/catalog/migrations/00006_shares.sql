-- +goose Up
-- Whose share of a pool's room a disk takes, up to when no shortage of room takes
-- it, and whether one has (quarantine.ShareOf, FirmUntil, EarlyByCapacity).
ALTER TABLE disks ADD COLUMN share TEXT NOT NULL DEFAULT '';
ALTER TABLE disks ADD COLUMN firm_until BIGINT NOT NULL DEFAULT 9223372036854775807;
ALTER TABLE disks ADD COLUMN evicted INTEGER NOT NULL DEFAULT 0;

-- A disk with a least time in its decision stays firm until its row is written
-- again, which no shortage does: only the service counts with durations.
UPDATE disks SET
    share = CASE explained WHEN 0 THEN '' ELSE cloud || '/' ||
        coalesce(nullif(json_extract(record, '$.deletion.project.id'), ''), json_extract(record, '$.deletion.project.name'), '') END,
    firm_until = CASE WHEN json_extract(record, '$.decision.mode') = 'compliance' OR json_extract(record, '$.decision.min') IS NOT NULL
        THEN 9223372036854775807 ELSE deleted_at END;

-- For the sums by share and for the longest dead of one: they read this alone, and
-- none of the rows. Tombstones take no room.
CREATE INDEX disks_by_share ON disks (fsid, pool, share, deleted_at, id, state, held, firm_until, quarantined_at, retain_until, used_bytes, size_bytes)
    WHERE state NOT IN ('purged', 'restored', 'lost');
CREATE INDEX disks_evicted ON disks (fsid, pool, deleted_at, id, state, share, used_bytes, firm_until, retain_until) WHERE evicted = 1;

-- +goose Down
DROP INDEX disks_evicted;
DROP INDEX disks_by_share;
ALTER TABLE disks DROP COLUMN evicted;
ALTER TABLE disks DROP COLUMN firm_until;
ALTER TABLE disks DROP COLUMN share;
