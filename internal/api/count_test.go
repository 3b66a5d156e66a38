package api_test

import (
	"fmt"
	"testing"
	"time"

	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

// The disks of a list are counted some thousands ahead where an index counts them,
// and a few hundred where each row has to be looked at; the answer says that there
// are more.
func TestListsAreCountedAhead(t *testing.T) {
	t.Parallel()
	w := start(t)
	for i := range 230 {
		key := vms.Key(fmt.Sprint("x", i))
		d := quarantine.Disk{ID: key.DiskID(), Key: key, OriginalName: "x", State: quarantine.Quarantined, DeletedAt: w.clock.Now().Add(-time.Duration(i) * time.Minute),
			Deletion: &quarantine.Deletion{ID: fmt.Sprint(i), Cloud: "vac", Project: quarantine.Principal{ID: "p"}}}
		if _, err := w.catalog.PutDisk(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	for query, want := range map[string]wire.DiskPage{
		"": {Total: 230}, "state=quarantined": {Total: 230}, "project=p": {Total: 230}, "cloud=vac&state=quarantined": {Total: 230},
		"project=p&from=2026-01-01T00:00:00Z": {Total: 230},
		"project=p&state=quarantined":         {Total: 200, AtLeast: true}, "held=false": {Total: 200, AtLeast: true},
		"project=p&state=quarantined&offset=30": {Total: 230},
	} {
		got := read[wire.DiskPage](w, w.send(viewer, "GET", "/v1/disks?limit=5&"+query, ""))
		if got.Total != want.Total || got.AtLeast != want.AtLeast || len(got.Disks) != 5 {
			t.Errorf("%q: %d disks of %d, more: %v; want %+v", query, len(got.Disks), got.Total, got.AtLeast, want)
		}
	}
}
