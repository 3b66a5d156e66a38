-- +goose Up
CREATE TABLE cases (
    id        TEXT    NOT NULL PRIMARY KEY,
    version   INTEGER NOT NULL,
    opened_at BIGINT  NOT NULL,
    record    TEXT    NOT NULL
);
CREATE INDEX cases_by_age ON cases (opened_at, id);

-- Holds on what is yet to be deleted.
CREATE TABLE standing_holds (
    id        TEXT    NOT NULL PRIMARY KEY,
    version   INTEGER NOT NULL,
    opened_at BIGINT  NOT NULL,
    record    TEXT    NOT NULL
);

-- Disks on which these could not be looked for; there are few at any time.
ALTER TABLE disks ADD COLUMN unchecked INTEGER NOT NULL DEFAULT 0;
CREATE INDEX disks_unchecked ON disks (state) WHERE unchecked = 1;

-- +goose Down
DROP INDEX disks_unchecked;
ALTER TABLE disks DROP COLUMN unchecked;
DROP TABLE standing_holds;
DROP TABLE cases;
