package quarantine_test

import (
	"encoding/json"

	"quarantine/internal/quarantine"
)

// sameDisk compares whole disks, as JSON writes them, and their versions.
func sameDisk(t tb, got, want quarantine.Disk) {
	t.Helper()
	g, w := said(t, got), said(t, want)
	if g != w || got.Version != want.Version || got.RecordStale != want.RecordStale {
		t.Errorf("got  %s version %d stale %v\nwant %s version %d stale %v", g, got.Version, got.RecordStale, w, want.Version, want.RecordStale)
	}
}

func said(t tb, d quarantine.Disk) string {
	t.Helper()
	b, err := json.Marshal(d)
	if err != nil {
		t.Fatalf("encode: %v", err)
	}
	return string(b)
}
