-- +goose Up
-- Wishes for acts that take two people.
CREATE TABLE requests (
    id           TEXT    NOT NULL PRIMARY KEY,
    version      INTEGER NOT NULL,
    kind         TEXT    NOT NULL,
    subject      TEXT    NOT NULL,
    state        TEXT    NOT NULL,
    requested_at BIGINT  NOT NULL,
    record       TEXT    NOT NULL
);
CREATE INDEX requests_by_state ON requests (state, requested_at, id);
CREATE INDEX requests_by_age ON requests (requested_at, id);

-- +goose Down
DROP TABLE requests;
