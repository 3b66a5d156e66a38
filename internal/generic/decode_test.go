package generic_test

import (
	"testing"

	"quarantine/internal/generic"
)

// The smallest report is a VM's delete.
func TestSmallest(t *testing.T) {
	t.Parallel()
	got, err := generic.Decode("farm", []byte(`{"resource_id":"vm-7","disks":[{"name":"vm-7"}]}`))
	if err != nil || len(got) != 1 {
		t.Fatalf("got %v, %v", got, err)
	}
	if err := got[0].Validate(); err != nil {
		t.Fatal(err)
	}
}
