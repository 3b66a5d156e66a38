package ceph

import (
	"errors"
	"testing"

	"quarantine/internal/quarantine"
)

// Of a cluster that is not in the configuration any more nothing is known: that it has
// an image is not denied, from which it would follow that the disk is lost.
func TestUnknownClusterDeniesNothing(t *testing.T) {
	r, err := NewRegistry()
	if err != nil {
		t.Fatal(err)
	}
	key := quarantine.Key{FSID: "elsewhere", Pool: "vms", ImageID: "1"}
	_, intrash := r.FindInTrash(t.Context(), key)
	_, there := r.HasImage(t.Context(), key)
	_, opened := r.OpenImage(t.Context(), key)
	_, seals := r.SealsOf(t.Context(), key)
	for _, err := range []error{intrash, there, opened, seals} {
		if !errors.Is(err, quarantine.ErrUnavailable) || errors.Is(err, quarantine.ErrNotFound) {
			t.Errorf("%v", err)
		}
	}
}
