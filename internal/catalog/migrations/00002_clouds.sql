-- +goose Up
-- What the questions to the clouds' APIs go by. Deletions that were recorded
-- before have all of it in their records; no cloud was asked about them.
ALTER TABLE deletions ADD COLUMN cloud TEXT NOT NULL DEFAULT '';
ALTER TABLE deletions ADD COLUMN acted_at BIGINT NOT NULL DEFAULT -62135596800000000; -- ended, else started, else received
ALTER TABLE deletions ADD COLUMN asked INTEGER NOT NULL DEFAULT 0; -- 1: the cloud's APIs were asked

-- The records' times are UTC, with up to six digits after the second;
-- SQLite's own times keep three. Only what is before the fraction is left to it.
UPDATE deletions SET
    cloud = coalesce(json_extract(record, '$.cloud'), ''),
    acted_at = coalesce((
        SELECT unixepoch(substr(at, 1, 19)) * 1000000
            + CASE substr(at, 20, 1) WHEN '.' THEN CAST(substr(rtrim(substr(at, 21), 'Z') || '000000', 1, 6) AS INTEGER) ELSE 0 END
        FROM (SELECT coalesce(json_extract(record, '$.ended_at'), json_extract(record, '$.started_at'), json_extract(record, '$.received_at')) AS at)
    ), -62135596800000000);

CREATE INDEX deletions_by_act ON deletions (cloud, acted_at, id);
CREATE INDEX deletions_unasked ON deletions (cloud, received_at, id) WHERE asked = 0;

-- The last sighting of each of the clouds' resources. The records, which are
-- long and seldom change, are apart: each sweep writes the times anew, of all.
CREATE TABLE sightings (
    n       INTEGER NOT NULL PRIMARY KEY,
    cloud   TEXT    NOT NULL,
    kind    TEXT    NOT NULL,
    id      TEXT    NOT NULL,
    seen_at BIGINT  NOT NULL,
    dead    INTEGER NOT NULL, -- 1: its death is recorded
    UNIQUE (cloud, kind, id)
);
CREATE INDEX sightings_living ON sightings (cloud, seen_at, kind, id) WHERE dead = 0;
CREATE INDEX sightings_dead ON sightings (seen_at) WHERE dead = 1;

CREATE TABLE sighting_records (
    n      INTEGER NOT NULL PRIMARY KEY REFERENCES sightings (n) ON DELETE CASCADE,
    record TEXT    NOT NULL
);

CREATE TABLE seen_images (
    fsid      TEXT   NOT NULL,
    pool      TEXT   NOT NULL,
    namespace TEXT   NOT NULL,
    image_id  TEXT   NOT NULL,
    name      TEXT   NOT NULL,
    seen_at   BIGINT NOT NULL,
    PRIMARY KEY (fsid, pool, namespace, image_id)
) WITHOUT ROWID;

-- +goose Down
DROP TABLE seen_images;
DROP TABLE sighting_records;
DROP TABLE sightings;
DROP INDEX deletions_unasked;
DROP INDEX deletions_by_act;
ALTER TABLE deletions DROP COLUMN asked;
ALTER TABLE deletions DROP COLUMN acted_at;
ALTER TABLE deletions DROP COLUMN cloud;
