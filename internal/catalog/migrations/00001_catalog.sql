-- +goose Up
CREATE TABLE disks (
    id             TEXT    NOT NULL PRIMARY KEY,
    version        INTEGER NOT NULL,
    state          TEXT    NOT NULL,
    fsid           TEXT    NOT NULL,
    pool           TEXT    NOT NULL,
    namespace      TEXT    NOT NULL,
    image_id       TEXT    NOT NULL,
    original_name  TEXT    NOT NULL,
    cloud          TEXT    NOT NULL, -- of the deletion; '' while unexplained
    resource_name  TEXT    NOT NULL,
    project        TEXT    NOT NULL, -- name, else id: to sort by
    user_label     TEXT    NOT NULL, -- the owner's name, else id: to sort by
    deleted_at     BIGINT  NOT NULL, -- microseconds since 1970, UTC; so all _at and _until
    quarantined_at BIGINT  NOT NULL,
    retain_until   BIGINT  NOT NULL,
    expiring_at    BIGINT  NOT NULL,
    size_bytes     BIGINT  NOT NULL,
    used_bytes     BIGINT  NOT NULL, -- -1: not measured
    held           INTEGER NOT NULL, -- 0 or 1; so the next four
    explained      INTEGER NOT NULL,
    isolate        INTEGER NOT NULL,
    sealed         INTEGER NOT NULL,
    record_stale   INTEGER NOT NULL,
    record         TEXT    NOT NULL
);

-- For the lists of people, which are in the order of death and show one page:
-- each gives its rows in that order, so that no more than the page is read.
CREATE INDEX disks_by_death ON disks (deleted_at, id);
CREATE INDEX disks_by_state_death ON disks (state, deleted_at, id);
CREATE INDEX disks_by_cloud ON disks (cloud, deleted_at, id);
CREATE INDEX disks_by_cloud_state ON disks (cloud, state, deleted_at, id);
CREATE INDEX disks_by_pool_death ON disks (fsid, pool, namespace, deleted_at, id);
CREATE INDEX disks_held ON disks (deleted_at, id) WHERE held = 1;
CREATE INDEX disks_unexplained ON disks (deleted_at, id) WHERE explained = 0;
CREATE INDEX disks_by_name ON disks (original_name);
-- For the collector: what is due. held is there so that the disks under a hold
-- are passed over without reading their rows.
CREATE INDEX disks_by_retention ON disks (retain_until, id);
CREATE INDEX disks_due ON disks (state, retain_until, id, held);
CREATE INDEX disks_by_expiry ON disks (state, expiring_at, id, held);
-- For one pool's disks by state, and for the totals, which it answers without
-- the rows.
CREATE INDEX disks_by_pool ON disks (fsid, pool, namespace, state, deleted_at, id, size_bytes, used_bytes);
-- For the reconciler's chores, of which there are few rows at any time.
CREATE INDEX disks_stale ON disks (state) WHERE record_stale = 1;
CREATE INDEX disks_unexplained_by_state ON disks (state) WHERE explained = 0;
CREATE INDEX disks_unmeasured ON disks (state, deleted_at, id) WHERE used_bytes = -1;

-- What a disk is looked up by and may have several of: kind is address, case
-- (of an open hold), project, user or vm.
CREATE TABLE disk_terms (
    kind    TEXT NOT NULL,
    value   TEXT NOT NULL,
    disk_id TEXT NOT NULL REFERENCES disks (id) ON DELETE CASCADE,
    PRIMARY KEY (kind, value, disk_id)
) WITHOUT ROWID;
CREATE INDEX disk_terms_by_disk ON disk_terms (disk_id);

CREATE TABLE deletions (
    id          TEXT    NOT NULL PRIMARY KEY,
    received_at BIGINT  NOT NULL,
    is_open     INTEGER NOT NULL, -- 1: a disk is required, and not all are accounted for
    record      TEXT    NOT NULL
);
CREATE INDEX deletions_open ON deletions (received_at, id) WHERE is_open = 1;

CREATE TABLE deletion_disks (
    name        TEXT    NOT NULL,
    is_prefix   INTEGER NOT NULL,
    deletion_id TEXT    NOT NULL REFERENCES deletions (id) ON DELETE CASCADE,
    PRIMARY KEY (name, is_prefix, deletion_id)
) WITHOUT ROWID;
CREATE INDEX deletion_disks_by_deletion ON deletion_disks (deletion_id);

CREATE TABLE marks (
    name  TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
);

-- +goose Down
DROP TABLE marks;
DROP TABLE deletion_disks;
DROP TABLE deletions;
DROP TABLE disk_terms;
DROP TABLE disks;
