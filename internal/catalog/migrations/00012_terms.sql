-- +goose Up
-- The terms in the order of the disks' deaths: a large project has a hundred
-- thousand disks, of which a page is read.
CREATE TABLE dated_terms (
    kind    TEXT   NOT NULL,
    value   TEXT   NOT NULL,
    died    BIGINT NOT NULL, -- the disk's deleted_at
    disk_id TEXT   NOT NULL REFERENCES disks (id) ON DELETE CASCADE,
    PRIMARY KEY (kind, value, died, disk_id)
) WITHOUT ROWID;
INSERT INTO dated_terms SELECT kind, value, deleted_at, disk_id FROM disk_terms JOIN disks ON id = disk_id;
DROP TABLE disk_terms;
ALTER TABLE dated_terms RENAME TO disk_terms;
CREATE INDEX disk_terms_by_disk ON disk_terms (disk_id);

-- +goose Down
CREATE TABLE undated_terms (
    kind    TEXT NOT NULL,
    value   TEXT NOT NULL,
    disk_id TEXT NOT NULL REFERENCES disks (id) ON DELETE CASCADE,
    PRIMARY KEY (kind, value, disk_id)
) WITHOUT ROWID;
INSERT INTO undated_terms SELECT kind, value, disk_id FROM disk_terms;
DROP TABLE disk_terms;
ALTER TABLE undated_terms RENAME TO disk_terms;
CREATE INDEX disk_terms_by_disk ON disk_terms (disk_id);
