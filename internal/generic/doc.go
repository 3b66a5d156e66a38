// Package generic reads deletions that any VM manager or script reports in the
// service's own JSON, posted to /v1/hooks/generic.
//
// # The body
//
// One deletion, or several in an object with the single key "deletions":
//
//	{
//	  "kind": "delete",
//	  "resource_kind": "vm",
//	  "resource_id": "slot1_7@worker12/2026-03-01T08:00:00Z",
//	  "resource_name": "vac-worker12-07",
//	  "project": {"id": "atlas"},
//	  "user": "atlas-pilot",
//	  "deleter": "vacd@factory3",
//	  "flavor": "8-core",
//	  "image": {"id": "cernvm4", "name": "CernVM 4.6"},
//	  "host": "worker12.example.org",
//	  "availability_zone": "rack-4",
//	  "metadata": {"vo": "atlas", "slot": "7"},
//	  "tags": ["grid"],
//	  "addresses": ["192.0.2.7", {"ip": "2001:db8::7", "mac": "02:00:00:00:00:07", "network": "wn"}],
//	  "request_id": "req-81",
//	  "created_at": "2026-03-01T08:00:00Z",
//	  "started_at": "2026-03-02T10:11:12Z",
//	  "ended_at": "2026-03-02T10:11:14Z",
//	  "disks": [
//	    {"pool": "vac", "name": "vac-worker12-07", "role": "root", "required": true},
//	    {"pool": "vac", "namespace": "scratch", "name": "vac-worker12-07", "prefix": true, "role": "ephemeral"}
//	  ]
//	}
//
// Only resource_id and disks with a name are required; Schema is the JSON
// Schema of it all, with what each field means. The fields mean what those of
// quarantine.Deletion and quarantine.DiskRef mean.
//
// # Strictness
//
// A key that is not known is an error, so that a misspelt "requird" is not
// taken as false; so is what follows the object, a key that stands twice, null,
// and everything beyond the limits of the schema. An empty string counts as a
// key that is left out, because scripts write them. One bad deletion refuses
// the whole body: nothing of it is recorded.
//
// # Identity
//
// The same deletion may be reported any number of times, and the reports are
// merged. A report belongs to the same deletion if cloud, kind, resource_id
// and, for the kinds that a resource can go through several times (rebuild,
// shelve-offload, resize, unrescue, recreate, disk-detach), request_id are the
// same. For the other kinds request_id is only recorded. A resource_id must
// therefore never be used again by another VM: for slots that bear the same
// name every time, add the time of the start.
package generic
