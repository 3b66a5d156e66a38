-- +goose Up
-- For the disks that are kept as the last of their kind: the newest of a project,
-- and of one name in it, by state. The project's id is read out of the record, so
-- that the rows that are there need not be written again.
ALTER TABLE disks ADD COLUMN project_id TEXT GENERATED ALWAYS AS (coalesce(json_extract(record, '$.deletion.project.id'), '')) VIRTUAL;
CREATE INDEX disks_by_vm_name ON disks (cloud, project_id, resource_name, state, deleted_at, id) WHERE explained = 1;
CREATE INDEX disks_by_project_id ON disks (cloud, project_id, state, deleted_at, id) WHERE explained = 1;

-- +goose Down
DROP INDEX disks_by_project_id;
DROP INDEX disks_by_vm_name;
ALTER TABLE disks DROP COLUMN project_id;
